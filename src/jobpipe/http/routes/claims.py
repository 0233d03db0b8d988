"""Programs in any language: they claim jobs, run them, and say how they ended."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from jobpipe import errors
from jobpipe.app import claims
from jobpipe.application import Jobpipe
from jobpipe.http.endpoint import Answer, Call, Endpoint, Handler
from jobpipe.http.service import to_json
from jobpipe.model.role import Role

ENVELOPE = 256 * 1024
"""Bytes of a body beside the results or errors in it."""

TEXT = "text/plain"

CLAIM = "/api/v1/claims/{claim:int}"


async def claim(call: Call) -> Response:
    return Handing(call)


class Handing(Response):
    """Waits for jobs, but no longer than the service and the caller stay; then hands them out."""

    def __init__(self, call: Call) -> None:
        super().__init__()
        self._call = call

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, unless the caller has gone: then nothing stays claimed."""
        call, caller = self._call, self._call.principal.name
        claiming = asyncio.ensure_future(call.app.aclaim(call.body, caller))
        forget = call.condition.when_stopping(claiming.cancel)
        leaving = asyncio.ensure_future(_left(receive))
        is_gone = True
        try:
            await asyncio.wait([claiming, leaving], return_when=asyncio.FIRST_COMPLETED)
            await asyncio.sleep(0)  # who leaves in this very turn is seen to leave
            is_gone = leaving.done()
        finally:
            forget()
            leaving.cancel()
            claiming.cancel()
            await asyncio.wait([claiming])
            if is_gone and not claiming.cancelled():
                await call.app.aclaim_give_back(claiming.result(), caller)
        if is_gone:
            return
        if not claiming.cancelled():
            await self._answer(claiming.result())(scope, receive, send)
        else:
            await self._answer(claims.NOTHING)(scope, receive, send)

    def _answer(self, given: claims.ClaimView) -> Response:
        status = 201 if given.jobs else 200
        if TEXT in self._call.headers.get("accept", ""):
            return PlainTextResponse(claims.as_lines(given), status)
        return Response(to_json(given), status, media_type="application/json")


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        continue  # a body that nobody reads


async def heartbeat(call: Call) -> Answer:
    return Answer(value=await call.app.aclaim_heartbeat(call.path["claim"], call.principal.name))


async def finish(call: Call) -> Answer:
    return Answer(value=await call.app.aclaim_finish(*_said(call)))


async def fail(call: Call) -> Answer:
    return Answer(value=await call.app.aclaim_fail(*_said(call)))


async def snooze(call: Call) -> Answer:
    return Answer(value=await call.app.aclaim_snooze(*_said(call)))


async def log(call: Call) -> Answer:
    return Answer(value=await call.app.aclaim_log(*_said(call)))


async def progress(call: Call) -> Answer:
    return Answer(value=await call.app.aclaim_progress(*_said(call)))


def _said(call: Call) -> tuple[int, Any, str]:
    """Return of which claim something is said, what, and by whom."""
    return call.path["claim"], call.body, call.principal.name


def _payloads(app: Jobpipe) -> int:
    return 4 * app.settings.max_payload + ENVELOPE


def _outcomes(
    handle: Handler, summary: str, body: type, body_max: int | Callable[[Jobpipe], int]
) -> Endpoint:
    """Return the call that says something of several jobs of a claim, and is answered for each."""
    return Endpoint(
        method="POST",
        path=f"{CLAIM}/{handle.__name__}",
        role=Role.WORKER,
        handle=handle,
        summary=summary,
        body=body,
        body_max=body_max,
        answer=claims.VerdictsView,
        errors=(errors.LeaseLost, errors.InvalidArguments),
    )


ENDPOINTS = (
    Endpoint(
        method="POST",
        path="/api/v1/claims",
        role=Role.WORKER,
        handle=claim,
        summary="Take jobs to run, waiting for the first one",
        description="With `Accept: text/plain` the answer has one line a job, whose fields are"
        " separated by tabs: claim, job, token, attempt, task, arguments as JSON.",
        body=claims.NewClaim,
        body_max=ENVELOPE,
        answer=claims.ClaimView,
        status=201,
        also={200: "There was no job: `claim` is null, and there are no lines."},
        errors=(errors.InvalidArguments,),
        is_new_work=True,
    ),
    Endpoint(
        method="POST",
        path=f"{CLAIM}/heartbeat",
        role=Role.WORKER,
        handle=heartbeat,
        summary="Keep a claim, and hear which of its jobs are to be cancelled",
        body=claims.NoBody,
        answer=claims.HeartbeatView,
        errors=(errors.LeaseLost,),
    ),
    _outcomes(finish, "Say that jobs went well", claims.FinishedJobs, _payloads),
    _outcomes(fail, "Say that jobs went wrong", claims.FailedJobs, _payloads),
    _outcomes(snooze, "Put jobs off, without charging an attempt", claims.SnoozedJobs, ENVELOPE),
    _outcomes(log, "Add lines to the logs of running jobs", claims.Lines, _payloads),
    _outcomes(progress, "Say how far running jobs are", claims.Progresses, ENVELOPE),
)
