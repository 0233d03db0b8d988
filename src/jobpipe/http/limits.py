"""What one connection, and all of them together, may ask of the server."""

from __future__ import annotations

import resource

HEAD_MAX = 32 * 1024
"""Most bytes of a request's head: its line and its headers."""
HEADERS_MAX = 100
"""Most headers of a request."""
URL_MAX = 8 * 1024
"""Longest target of a request, in bytes."""
PIPELINE_MAX = 100
"""Most requests of one connection that wait for an earlier one."""
UNWANTED_MAX = 256 * 1024
"""Most bytes of a body that are read after its request has been answered."""
CONNECTIONS_MAX = 20_000
"""Most connections at once, where the system allows as many descriptors."""
REQUESTS_MAX = 5_000
"""Most requests at once, those that wait and those that stream among them."""
BACKLOG = 1_024
"""Most connections that the system holds until they are taken."""

HEAD_SECONDS = 10.0
"""How long a head may take from its first byte, or from the beginning of the connection."""
BODY_SECONDS = 120.0
"""How long a body may take."""
PROGRESS_SECONDS, PROGRESS_BYTES = 10.0, 5 * 1024
"""In so long, at least so much of a body must come."""
IDLE_SECONDS = 75
"""How long a connection may rest between two requests."""
WRITE_SECONDS = 30.0
"""How long a client may leave an answer unread that waits for it."""
LINGER_SECONDS = 1.0
"""How long what a refused client still sends is read, so that he sees the answer."""

SPARE_DESCRIPTORS = 256
"""Kept for the store, for files and for the processes of jobs."""


def most_connections() -> int:
    """Allow this process as many descriptors as it may have; return what that gives."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = CONNECTIONS_MAX + SPARE_DESCRIPTORS
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return min(CONNECTIONS_MAX, max(wanted - SPARE_DESCRIPTORS, SPARE_DESCRIPTORS))
