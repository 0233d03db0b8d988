"""What PostgreSQL can and cannot do, as the rest of the house sees it."""

from __future__ import annotations

from jobpipe.store.port import Capabilities

CAPABILITIES = Capabilities(
    dialect="postgresql", frontier=True, peek=False, exclusive_writer=False, shared=True
)
