"""Tells an asyncpg connection of the arrays that our statements use, so that it need not ask.

asyncpg looks up almost every array type anew on each connection: some ten milliseconds of planning
that the first claim and the first enqueue would wait for. PostgreSQL's own types have the same
numbers on every server. What is not told here, asyncpg looks up as before.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

ARRAYS = {
    "bool": (1000, 16),
    "int2": (1005, 21),
    "int4": (1007, 23),
    "int8": (1016, 20),
}
"""Per type the number of its array type, and its own; asyncpg knows those of text itself."""


def tell_arrays(connection: Any) -> None:
    """Let the connection read and write these arrays from its first statement on."""
    with suppress(AttributeError):  # kept elsewhere by another asyncpg, which then looks them up
        settings = connection._protocol.get_settings()
        settings.register_data_types(
            [_row(name, array, element) for name, (array, element) in ARRAYS.items()]
        )


def _row(name: str, array: int, element: int) -> dict[str, object]:
    """Return what asyncpg's own look-up says of the array type."""
    return {
        "oid": array,
        "ns": "pg_catalog",
        "name": f"_{name}",
        "kind": b"b",
        "basetype": None,
        "elemtype": element,
        "elemdelim": b",",
        "range_subtype": None,
        "attrtypoids": None,
        "attrnames": None,
        "basetype_name": None,
        "elemtype_name": name,
        "range_subtype_name": None,
    }
