"""The HTTP face of the queue."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from msgspec import DecodeError, Meta, Struct, json
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from jobpipe import Job, State
from jobpipe.errors import DuplicateKey, InvalidArguments, PayloadTooLarge, QueueFull

from .work import jp, work

STATUS = {
    State.RUNNING: "running",
    State.SUCCEEDED: "done",
    State.FAILED: "failed",
    State.CANCELLED: "failed",
}
"""All other states are ``queued``: what waits for a retry waits in the queue again."""


closing = asyncio.Event()
"""From now on nothing new is taken."""


class Order(Struct):
    """The body of ``POST /enqueue``; other fields are left out of account."""

    id: Annotated[str, Meta(min_length=1)]
    payload: str = ""
    max_retries: int = 0


async def enqueue(request: Request) -> JSONResponse:
    if closing.is_set():
        return JSONResponse({"error": "the service is closing"}, 503)
    order = json.decode(await request.body(), type=Order)
    task = work.using(
        idempotency_key=order.id, tags=[order.id], max_attempts=1 + max(order.max_retries, 0)
    )
    job = await task.aenqueue(order.id, order.payload)
    if not job.created:
        return JSONResponse({"error": f"the id {order.id!r} is taken"}, 409)
    return JSONResponse({"status": "queued", "id": order.id}, 202)


async def task(request: Request) -> JSONResponse:
    id = request.query_params.get("id")
    jobs = await jp.ajobs(tag=id, limit=1) if id else []
    return JSONResponse(_view(jobs[0])) if jobs else JSONResponse({"error": "no such task"}, 404)


async def tasks(_request: Request) -> JSONResponse:
    return JSONResponse([_view(job) for job in await jp.ajobs(limit=100)])


async def health(_request: Request) -> JSONResponse:
    return JSONResponse({"status": "ok"})


def _view(job: Job[Any]) -> dict[str, Any]:
    return {
        "id": job.tags[0],
        "status": STATUS.get(job.state, "queued"),
        "attempts": job.attempt,
        "error": job.error and job.error["message"],
    }


async def _bad(_request: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"error": str(error)}, 400)


async def _no_call(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": error.detail}, error.status_code, headers=error.headers)


async def _taken(_request: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"error": str(error)}, 409)


async def _full(_request: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"error": str(error)}, 503, headers={"Retry-After": "1"})


app = Starlette(
    routes=[
        Route("/enqueue", enqueue, methods=["POST"]),
        Route("/task", task),
        Route("/tasks", tasks),
        Route("/health", health),
    ],
    exception_handlers={
        DecodeError: _bad,
        UnicodeDecodeError: _bad,
        RecursionError: _bad,  # brackets in brackets, a thousand deep
        InvalidArguments: _bad,
        PayloadTooLarge: _bad,
        DuplicateKey: _taken,
        QueueFull: _full,
        HTTPException: _no_call,
    },
)
