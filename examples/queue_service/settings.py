"""What the environment says, or else the file .env in this folder; a bad number counts as none."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

DOTENV = Path(__file__).with_name(".env")


@dataclass(frozen=True)
class Settings:
    workers: int
    queue_size: int
    url: str
    host: str
    port: int


def read_settings(environ: Mapping[str, str] = os.environ, dotenv: Path = DOTENV) -> Settings:
    given = {**_read_file(dotenv), **environ}
    return Settings(
        workers=_number(given, "WORKERS", 4, 1, 10_000),
        queue_size=_number(given, "QUEUE_SIZE", 64, 1, 1_000_000_000),
        url=given.get("JOBPIPE_URL", "sqlite:///:memory:"),
        host=given.get("HOST", "127.0.0.1"),
        port=_number(given, "PORT", 8080, 0, 65_535),
    )


def _read_file(path: Path) -> dict[str, str]:
    """Return the NAME=value lines; blank ones and comments do not matter."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    pairs = (line.partition("=") for line in lines if not line.lstrip().startswith("#"))
    return {name.strip(): value.strip().strip("'\"") for name, sign, value in pairs if sign}


def _number(given: Mapping[str, str], name: str, default: int, least: int, most: int) -> int:
    text = given.get(name, str(default))
    if text.isascii() and text.isdigit() and least <= int(text) <= most:
        return int(text)
    allowed = f"a whole number from {least} to {most}"
    warnings.warn(f"{name}={text!r} is not {allowed}: {default} is used", stacklevel=3)
    return default
