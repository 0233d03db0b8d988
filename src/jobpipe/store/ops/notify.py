"""Tell other processes to look, where the store can carry such a message."""

from __future__ import annotations

from jobpipe.store.port import Mode, Op, Statement, operation


@operation(Mode.ONE)
def notify(channel: str, payload: str) -> Op[None]:
    """Send one message to whoever listens on the channel."""
    yield Statement("notify", {"channel": channel, "payload": payload})
