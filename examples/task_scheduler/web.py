"""The HTTP face of the scheduler."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from msgspec import DecodeError, Struct, json
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from jobpipe import Job, State
from jobpipe.errors import InvalidArguments, JobNotFound, PayloadTooLarge

from .work import jp, sleep

OPENAPI = Path(__file__).with_name("openapi.json")

PAGES = StaticFiles(packages=[("jobpipe.http", "pages")])
"""The page that lets one try every call; it loads nothing from elsewhere."""

STATUS = {
    State.RUNNING: "Run",
    State.SUCCEEDED: "Completed",
    State.FAILED: "Completed",
    State.CANCELLED: "Completed",
}
"""All other states are ``In Queue``."""


class NewTask(Struct):
    description: str


async def create(_request: Request) -> JSONResponse:
    """Queue a task; its number comes back at once."""
    job = await sleep.aenqueue()
    return JSONResponse({"number": job.id}, 201)


async def show(request: Request) -> JSONResponse:
    return JSONResponse(_progress(await jp.ajob(request.path_params["number"])))


async def recent(_request: Request) -> JSONResponse:
    return JSONResponse([{"number": job.id, **_progress(job)} for job in await jp.ajobs(limit=20)])


async def create_described(request: Request) -> JSONResponse:
    new = json.decode(await request.body(), type=NewTask)
    job = await sleep.aenqueue(new.description)
    return JSONResponse({"oid": job.id, "description": new.description}, 201)


async def show_described(request: Request) -> JSONResponse:
    job = await jp.ajob(request.path_params["number"])
    progress = _progress(job)
    seconds = progress.pop("time_to_execute")
    described = {"task_oid": job.id, "description": _args(job).get("description", "")}
    return JSONResponse({**described, **progress, "exec_time": seconds})


def _args(job: Job[Any]) -> dict[str, Any]:
    return json.decode(job.record.args) if job.record else {}


def _progress(job: Job[Any]) -> dict[str, Any]:
    """Return how far a task is; a time that has not come yet is null."""
    record = job.record
    assert record is not None
    status = STATUS.get(record.state, "In Queue")
    started = None if status == "In Queue" else record.started_at
    until = record.finished_at or datetime.now(UTC).timestamp() * 1e6
    return {
        "status": status,
        "create_time": _time(record.created_at),
        "start_time": _time(started),
        "time_to_execute": None if started is None else round((until - started) / 1e6, 3),
    }


def _time(micros: int | None) -> str | None:
    return None if micros is None else datetime.fromtimestamp(micros / 1e6, UTC).isoformat()


async def docs(_request: Request) -> Response:
    return FileResponse(Path(PAGES.all_directories[0]) / "docs.html")


async def openapi(_request: Request) -> Response:
    return FileResponse(OPENAPI)


async def _unknown(_request: Request, _error: Exception) -> JSONResponse:
    return JSONResponse({"error": "there is no such task"}, 404)


async def _refused(_request: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"error": str(error)}, 422)


async def _no_call(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": error.detail}, error.status_code, headers=error.headers)


@asynccontextmanager
async def lifespan(_app: Starlette) -> AsyncIterator[None]:
    """Run tasks in this process, beside those of others."""
    async with jp.arunning():
        yield
    await jp.aclose()


app = Starlette(
    lifespan=lifespan,
    routes=[
        Route("/tasks", create, methods=["POST"]),
        Route("/tasks", recent),
        Route("/tasks/{number:int}", show),
        Route("/tasks/", create_described, methods=["POST"]),
        Route("/tasks/{number:int}/", show_described),
        Route("/api/docs", docs),
        Route("/api/openapi.json", openapi),
        Mount("/api/docs", PAGES),
    ],
    exception_handlers={
        JobNotFound: _unknown,
        DecodeError: _refused,
        UnicodeDecodeError: _refused,
        RecursionError: _refused,  # brackets in brackets, a thousand deep
        InvalidArguments: _refused,
        PayloadTooLarge: _refused,
        HTTPException: _no_call,
    },
)
