"""The inner parts of uvicorn that the connection leans on: they bind us to its versions."""

from __future__ import annotations

import ast
import asyncio
import inspect
from typing import Any

import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http import httptools_impl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from jobpipe.http import protocol

INHERITED = {"connections", "cycle", "flow", "headers", "loop", "parser", "pipeline"} | {
    *("server_state", "tasks", "transport", "url", "_unset_keepalive_if_required"),
}
OVERRIDDEN = {"connection_made", "connection_lost", "data_received", "pause_writing"} | {
    *("resume_writing", "on_message_begin", "on_url", "on_header", "on_headers_complete"),
    *("on_body", "on_message_complete"),
}
OF_A_CYCLE = {"disconnected", "keep_alive", "message_event", "response_complete"} | {
    "response_started"
}
OF_THE_FLOW = {"read_paused", "resume_reading"}
OF_THE_STATE = {"connections", "default_headers", "tasks"}


def test_uvicorn_has_the_parts_that_a_connection_leans_on() -> None:
    async def application(_scope: Scope, _receive: Receive, _send: Send) -> None: ...

    async def lacking() -> dict[str, set[str]]:
        config = uvicorn.Config(application, http=protocol.Protocol, lifespan="off")
        config.load()
        state = uvicorn.Server(config).server_state
        base = HttpToolsProtocol(config, state, {}, asyncio.get_running_loop())
        base.connection_made(asyncio.Transport())
        base.on_message_begin()
        flow = base.flow
        of_a_cycle = set(vars(_cycle(base)))
        return {
            "protocol": (INHERITED | OVERRIDDEN) - set(dir(base)),
            "cycle": OF_A_CYCLE - of_a_cycle,
            "flow": OF_THE_FLOW - set(dir(flow)),
            "state": OF_THE_STATE - set(dir(state)),
        }

    found = asyncio.run(lacking())
    assert found == {"protocol": set(), "cycle": set(), "flow": set(), "state": set()}
    assert httptools_impl.STATUS_LINE[431].startswith(b"HTTP/1.1 431 ")


def _cycle(base: HttpToolsProtocol) -> RequestResponseCycle:
    given: dict[str, Any] = dict.fromkeys(inspect.signature(RequestResponseCycle).parameters)
    return RequestResponseCycle(**given | {"scope": {}, "flow": base.flow, "default_headers": []})


def test_these_are_all_the_parts() -> None:
    """What ``Protocol`` reads of itself is its own or stands above."""
    tree = ast.parse(inspect.getsource(protocol.Protocol))
    of_itself = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "self"
    }
    written = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)
    }
    own = set(vars(protocol.Protocol)) | {name for name in written if name.startswith("_")}
    assert of_itself - own - INHERITED == set()
