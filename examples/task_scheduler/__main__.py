"""Serves, and runs tasks, until Ctrl-C."""

from __future__ import annotations

import uvicorn

from .web import app
from .work import settings

if __name__ == "__main__":
    uvicorn.run(app, host=settings.host, port=settings.port)
