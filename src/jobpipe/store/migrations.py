"""The numbered migrations of a dialect, and what a store still needs of them.

A migration is a file ``NNNN_name.sql`` that is never changed once released. The store keeps a row
for each applied one. A store that is newer than this program is refused: an older program could
break what it does not know.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from jobpipe.errors import ConfigError
from jobpipe.store.statements import PARAMETER, sql_files

# Migrations make tables, indexes and triggers, and drop the latter two, by these words alone, at
# the beginning of a line; and no two have one name.
MAKES = re.compile(
    r"^CREATE (?:UNIQUE )?(TABLE|INDEX|TRIGGER) (\S+)(?:[^;(]*? ON (\S+))?"
    r"|^DROP (?:INDEX|TRIGGER) ([^\s;]+)",
    re.MULTILINE,
)
_ABSENT = {
    "table": "is missing",
    "index": "is missing",
    "trigger": "is missing, or switched off",
}


@dataclass(frozen=True, slots=True)
class Migration:
    """One step of the schema."""

    version: int
    name: str
    sql: str


@dataclass(frozen=True, slots=True)
class SchemaStatus:
    """How far a store's schema is."""

    applied: tuple[int, ...]
    pending: tuple[Migration, ...]
    known: int
    """The newest version that this program knows."""

    @property
    def current(self) -> int:
        return max(self.applied, default=0)

    @property
    def is_newer(self) -> bool:
        return self.current > self.known


@dataclass(frozen=True, slots=True)
class Made:
    """What a whole schema has."""

    kind: str
    """``table``, ``index`` or ``trigger``."""
    name: str
    table: str


def load(package: str, prefix: str) -> tuple[Migration, ...]:
    """Return the migrations of ``package`` in order, ``{p}`` filled in."""
    found = [
        Migration(
            version=int(file.name[:4]),
            name=file.name[5:-4],
            sql=file.read_text(encoding="utf-8").replace("{p}", prefix),
        )
        for file in sql_files(package, "migrations")
    ]
    return tuple(sorted(found, key=lambda migration: migration.version))


def compare(applied: Sequence[int], migrations: Sequence[Migration]) -> SchemaStatus:
    """Tell which of the migrations a store with these versions still needs."""
    return SchemaStatus(
        applied=tuple(sorted(applied)),
        pending=tuple(step for step in migrations if step.version not in applied),
        known=max(step.version for step in migrations),
    )


def missing(
    migrations: Sequence[Migration], status: SchemaStatus, there: Collection[tuple[str, str]]
) -> list[str]:
    """Return in words what the applied migrations made and is not ``there``: kinds and names.

    Of a table that is missing, nothing else is told.
    """
    made = _made([step for step in migrations if step.version in status.applied])
    lost = [each for each in made if (each.kind, each.name) not in there]
    tables = {each.name for each in lost if each.kind == "table"}
    told = [each for each in lost if each.kind == "table" or each.table not in tables]
    return [f"the {each.kind} {each.name} {_ABSENT[each.kind]}" for each in told]


def _made(migrations: Sequence[Migration]) -> list[Made]:
    """Return all that is left when all migrations have run; tables first, then by name."""
    made: dict[str, Made] = {}
    for step in migrations:
        for kind, *names in MAKES.findall(step.sql):
            name, table, dropped = (each.rpartition(".")[2] for each in names)
            if dropped:
                del made[dropped]
            else:
                made[name] = Made(kind.lower(), name, table)
    return sorted(made.values(), key=lambda each: (each.kind != "table", each.name))


def script(
    texts: Mapping[str, str],
    first: Sequence[str],
    migrations: Sequence[Migration],
    literals: Mapping[str, str],
) -> str:
    """Return what applies all the migrations to an empty store, for a database's own shell.

    ``first`` names the statements that come before them; ``literals`` are the SQL expressions
    for the parameters that these name.
    """
    parts = [_filled(texts[name], literals) for name in first]
    for step in migrations:
        noted = {**literals, "version": str(step.version), "name": f"'{step.name}'"}
        parts += [step.sql.strip().rstrip(";"), _filled(texts["note_migration"], noted)]
    return ";\n\n".join(["BEGIN", *parts, "COMMIT"]) + ";\n"


def _filled(sql: str, literals: Mapping[str, str]) -> str:
    return PARAMETER.sub(lambda found: literals[found[1]], sql)


def refuse_newer(status: SchemaStatus) -> None:
    """Raise ConfigError when the store was made by a newer Jobpipe."""
    if status.is_newer:
        raise ConfigError(
            f"the store's schema has version {status.current}, this Jobpipe knows {status.known}",
            help="Install the Jobpipe version that made this schema, or a newer one.",
        )
