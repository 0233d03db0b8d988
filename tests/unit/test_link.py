"""The socket between a supervisor and a child: what arrives is understood, or left out."""

from __future__ import annotations

import asyncio
import socket

import msgspec

from jobpipe.runtime.supervisor.link import PENDING_MAX, Link
from jobpipe.runtime.supervisor.messages import FromChild, Ready, Waning


def received(*parts: bytes) -> list[FromChild]:
    """Return what a link makes of bytes that arrive in these parts."""

    async def receive() -> list[FromChild]:
        ours, theirs = socket.socketpair()
        messages: list[FromChild] = []
        decoder: msgspec.json.Decoder[FromChild] = msgspec.json.Decoder(FromChild)
        link = Link(ours, decoder, messages.append, lambda: None)
        with theirs:
            for part in parts:
                sent = 0
                while sent < len(part):
                    sent += theirs.send(part[sent : sent + 65_536])
                    link.read()
        link.close()
        return messages

    return asyncio.run(receive())


READY, WANING = (msgspec.json.encode(each) + b"\n" for each in (Ready(), Waning()))


def test_messages_come_whole_however_they_arrive() -> None:
    assert received(READY[:5], READY[5:] + WANING) == [Ready(), Waning()]


def test_what_a_job_has_written_into_the_socket_is_left_out() -> None:
    assert received(READY + b"hello\n\n\xff\n" + WANING) == [Ready(), Waning()]


def test_a_line_without_end_does_not_fill_the_memory() -> None:
    assert received(b"x" * (PENDING_MAX + 1), b"\n" + READY) == [Ready()]
