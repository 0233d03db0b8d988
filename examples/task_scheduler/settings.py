"""What the environment says, or else the file .env in this folder."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Settings:
    url: str
    host: str
    port: int
    longest_sleep: int


def read_settings(
    environ: Mapping[str, str] = os.environ, dotenv: Path = HERE / ".env"
) -> Settings:
    given = {**_read_file(dotenv), **environ}
    return Settings(
        url=_store_url(given),
        host=given.get("API_HOST", "127.0.0.1"),
        port=_number(given, "API_PORT", 8000, 65_535),
        longest_sleep=_number(given, "LONGEST_SLEEP", 10, 86_400),
    )


def _store_url(given: Mapping[str, str]) -> str:
    if uri := given.get("SQLALCHEMY_CONN_URI"):
        return re.sub(
            r"^(\w+)\+\w+:", r"\1:", uri
        )  # postgresql+asyncpg: which driver is our affair
    if database := given.get("POSTGRES_DB"):
        user = quote(given.get("POSTGRES_USER", "postgres"), safe="")
        password = quote(given.get("POSTGRES_PASSWORD", ""), safe="")
        host, port = given.get("POSTGRES_HOST", "localhost"), given.get("POSTGRES_PORT", "5432")
        return f"postgresql://{user}:{password}@{host}:{port}/{quote(database, safe='')}"
    return f"sqlite:///{quote(str(HERE / 'tasks.db'))}"


def _number(given: Mapping[str, str], name: str, default: int, most: int) -> int:
    text = given.get(name, str(default))
    if text.isascii() and text.isdigit() and int(text) <= most:
        return int(text)
    raise SystemExit(f"{name}={text!r} is refused; allowed: a whole number from 0 to {most}")


def _read_file(path: Path) -> dict[str, str]:
    """Return the NAME=value lines; blank ones and comments do not matter."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    pairs = (line.partition("=") for line in lines if not line.lstrip().startswith("#"))
    return {name.strip(): value.strip().strip("'\"") for name, sign, value in pairs if sign}
