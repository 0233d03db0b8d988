"""What PostgreSQL's refusals mean, by SQLSTATE: one table for both drivers.

No text repeats a password. An error that the table does not name stays what it is.
"""

from __future__ import annotations

from dataclasses import dataclass

from jobpipe.errors import ConfigError, JobpipeError, StoreUnavailable
from jobpipe.store.postgres.address import Address

CONFLICTS = ("40001", "40P01")
"""Serialization failure and deadlock: the transaction was undone and may be started again."""
STALE_PLANS = ("0A000", "26000")
"""A prepared statement no longer fits tables that were migrated since, or the server lost it."""
STOOD_STILL = "25P03"
"""The server ended a session that said nothing in a transaction (``attempts.LIMIT_STANDSTILL``)."""
LATER = ("08", "57P", "53300")
"""While connecting: worth another try (starting up, shutting down, too many clients)."""

# libpq reports no SQLSTATE for a refused connection, only the server's sentence.
GREETINGS = (
    ("connection is bad: invalid ", "F0000"),
    ("password authentication failed", "28P01"),
    ("no password supplied", "28P01"),
    ("no pg_hba.conf entry", "28000"),
    ("authentication failed", "28000"),
    ("is not permitted to log in", "28000"),
    ("permission denied for database", "42501"),
    ("the database system is", "57P03"),
    ("too many clients", "53300"),
    ("too many connections", "53300"),
    ("remaining connection slots are reserved", "53300"),
)


@dataclass(frozen=True, slots=True)
class Meaning:
    """What to raise for the SQLSTATEs that start with one of ``states``."""

    states: tuple[str, ...]
    kind: type[ConfigError] | type[StoreUnavailable]
    message: str
    help: str | None = None


MEANINGS = (
    Meaning(
        ("F0",),
        ConfigError,
        "is a URL with a wrong parameter",
        "Correct the port or the parameters in JOBPIPE_URL.",
    ),
    Meaning(
        ("28P01", "28000"),
        ConfigError,
        "refuses the login",
        "Correct the user and the password in JOBPIPE_URL.",
    ),
    Meaning(
        ("3D000",),
        ConfigError,
        "has no such database",
        "Create the database (createdb NAME), or correct its name in JOBPIPE_URL.",
    ),
    Meaning(
        ("42501",),
        ConfigError,
        "does not let this user do that",
        "Grant the user the rights on the schema, or let its owner run `jobpipe db migrate`.",
    ),
    Meaning(
        ("42P01", "3F000", "42703", "42883"),
        ConfigError,
        "has no Jobpipe schema, or an old one",
        "Run `jobpipe db migrate` (or look at `jobpipe db status`).",
    ),
    Meaning(
        ("26000", "42P05"),
        ConfigError,
        "is reached through a pooler that keeps no prepared statements",
        "Set JOBPIPE_POOLER=transaction, or use a URL that leads to the server itself.",
    ),
    Meaning(
        ("25006",),
        StoreUnavailable,
        "is read-only",
        "Connect to the primary server, or lift default_transaction_read_only.",
    ),
    Meaning(("53100",), StoreUnavailable, "has no disk space left", "Free disk space."),
    Meaning(
        ("53300",),
        StoreUnavailable,
        "takes no more connections",
        "Raise max_connections, or put a pooler in front.",
    ),
    Meaning(
        ("55P03",),
        StoreUnavailable,
        "made the statement wait too long for a lock",
        "Look who holds it (pg_stat_activity, pg_locks). If a round of admission is under way"
        " somewhere and does not end, the server ends it after 10 s.",
    ),
    Meaning(
        ("57014",),
        StoreUnavailable,
        "made the statement wait too long",
        "Look who holds the lock (pg_stat_activity, pg_locks), or raise the time-out.",
    ),
    Meaning(("40",), StoreUnavailable, "undid the transaction again and again"),
    Meaning(("08", "53", "57P", "58", STOOD_STILL), StoreUnavailable, "cannot be reached"),
)


def sqlstate(error: BaseException) -> str:
    """Return the error's SQLSTATE, or an empty text where there is none to be found."""
    state = getattr(error, "sqlstate", None)
    if state:
        return str(state)
    sentence = str(error)
    if "does not exist" in sentence and "FATAL" in sentence:
        return "3D000" if "database " in sentence.partition("FATAL")[2] else "28000"
    return next((state for words, state in GREETINGS if words in sentence), "")


def is_lost(error: BaseException) -> bool:
    """Tell whether the error means that the connection is gone."""
    return isinstance(error, OSError) or sqlstate(error).startswith(("08", "57P", STOOD_STILL))


def unreachable(error: BaseException, address: Address) -> JobpipeError:
    """Return what to raise when no connection could be opened."""
    return explain(error, address) or StoreUnavailable(_text(address, "cannot be reached", error))


def malformed(address: Address) -> ConfigError:
    """Return what to raise for a URL that a driver cannot read; its text may hold the password."""
    return ConfigError(
        f"the PostgreSQL URL {address.masked} cannot be read",
        help="Write postgresql://user:password@host:port/database, special characters as %XX.",
    )


def lost(error: BaseException, address: Address, *, outcome_unknown: bool) -> StoreUnavailable:
    """Return what to raise when a connection broke under an operation."""
    message = "broke the connection; nothing was stored"
    if outcome_unknown:
        message = "broke the connection during the commit; it is unknown whether it was stored"
    return StoreUnavailable(_text(address, message, error), outcome_unknown=outcome_unknown)


def explain(error: BaseException, address: Address) -> JobpipeError | None:
    """Return what to raise instead of the server's refusal, or None to let it be."""
    state = sqlstate(error)
    for meaning in MEANINGS:
        if state and state.startswith(meaning.states):
            return meaning.kind(_text(address, meaning.message, error), help=meaning.help)
    return None


def _text(address: Address, message: str, error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    detail = address.hide(lines[0]) if lines else type(error).__name__
    return f"{address.masked} {message}: {detail}"
