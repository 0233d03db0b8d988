"""A fresh asyncpg connection knows the arrays of our statements without looking them up."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest

from jobpipe.store.postgres import array_types
from jobpipe.store.postgres import dialect as dialects
from jobpipe.store.postgres.address import Address
from jobpipe.store.postgres.async_driver import connect

NAMES = {"boolean": "bool", "smallint": "int2", "integer": "int4", "bigint": "int8"}
BUILT_IN = {"text"}
VALUES: dict[str, list[Any]] = {
    "boolean": [True, None],
    "smallint": [-1, 32767],
    "integer": [2**31 - 1],
    "bigint": [-(2**63), None, 7],
    "text": ["a", ""],
}


def test_arrays_cost_no_statement_of_their_own(postgres_url: str) -> None:
    async def work() -> list[str]:
        sent: list[str] = []
        connection = await connect(Address(postgres_url), 5)
        connection.add_query_logger(lambda record: sent.append(record.query))
        try:
            for name, values in VALUES.items():
                question = f"SELECT CAST($1 AS {name}[])"
                assert await connection.fetchval(question, values) == values
        finally:
            await connection.close()
        return sent

    assert asyncio.run(work()) == [f"SELECT CAST($1 AS {name}[])" for name in VALUES]


def test_every_array_that_a_statement_takes_is_known() -> None:
    texts = dialects.load("jobpipe").dollar.values()
    used = {name for text in texts for name in re.findall(r"AS (\w+)\[\]\)", text.sql)}
    assert used == set(VALUES)
    assert {NAMES[name] for name in used - BUILT_IN} == set(array_types.ARRAYS)


def test_a_connection_that_keeps_its_types_elsewhere_is_left_to_look_them_up() -> None:
    array_types.tell_arrays(object())


@pytest.mark.parametrize("name", array_types.ARRAYS)
def test_the_numbers_are_the_servers(name: str, postgres_url: str) -> None:
    async def work() -> tuple[int, int]:
        connection = await connect(Address(postgres_url), 5)
        try:
            row = await connection.fetchrow(
                "SELECT typarray, oid FROM pg_type WHERE typname = CAST($1 AS text)", name
            )
            return row["typarray"], row["oid"]
        finally:
            await connection.close()

    assert asyncio.run(work()) == array_types.ARRAYS[name]
