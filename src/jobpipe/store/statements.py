"""Reads a dialect's ``sql/*.sql``: named statements with named parameters.

A file holds statements, each under a header ``-- name: claim`` and comment lines that say why.
``{p}`` stands before every table name: the schema on PostgreSQL, the prefix on SQLite. A
parameter is written ``:name``; a cast is written ``CAST(:name AS type)``. What several statements
share stands once, under ``-- part: name``, and is put in for ``{name}``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

HEADER = re.compile(r"^-- (name|part): ([a-z_]+)\s*$", re.MULTILINE)
PARAMETER = re.compile(r"(?<![:\w]):([a-z_]+)\b")
COMMENT = re.compile(r"^\s*--.*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Prepared:
    """A statement in the form that one driver sends."""

    name: str
    sql: str
    parameters: tuple[str, ...]
    """Names in the order of their first appearance."""


def load(package: str, prefix: str) -> dict[str, str]:
    """Return the statements of ``package``'s ``sql`` folder by name, ``{p}`` filled in.

    Raises ValueError when two statements share a name.
    """
    statements: dict[str, str] = {}
    parts: dict[str, str] = {}
    for file in sql_files(package, "sql"):
        for kind, name, sql in parse(file.read_text(encoding="utf-8")):
            if name in statements or name in parts:
                raise ValueError(f"two statements are named {name}")
            (parts if kind == "part" else statements)[name] = sql
    return {name: _filled(sql, parts).replace("{p}", prefix) for name, sql in statements.items()}


def _filled(sql: str, parts: Mapping[str, str]) -> str:
    for name, part in parts.items():
        sql = sql.replace("{" + name + "}", part)
    return sql


def sql_files(package: str, folder: str) -> list[Path]:
    """Return the SQL files of a folder beside a package's modules, by name."""
    place = Path(str(import_module(package).__file__)).parent / folder
    return sorted(file for file in place.iterdir() if file.suffix == ".sql")


def parse(text: str) -> list[tuple[str, str, str]]:
    """Split a file into its statements and parts: kind, name, text without comments."""
    pieces = HEADER.split(text)[1:]
    return [
        (kind, name, COMMENT.sub("", body).strip().rstrip(";").strip())
        for kind, name, body in zip(pieces[::3], pieces[1::3], pieces[2::3], strict=True)
    ]


def prepare(
    statements: Mapping[str, str], placeholder: Callable[[str, int], str]
) -> dict[str, Prepared]:
    """Rewrite every ``:name`` as ``placeholder(name, position from 1)``."""
    return {name: _prepare(name, sql, placeholder) for name, sql in statements.items()}


def _prepare(name: str, sql: str, placeholder: Callable[[str, int], str]) -> Prepared:
    order = tuple(dict.fromkeys(PARAMETER.findall(sql)))
    position = {parameter: index for index, parameter in enumerate(order, start=1)}
    rewritten = PARAMETER.sub(lambda m: placeholder(m[1], position[m[1]]), sql)
    return Prepared(name, rewritten, order)
