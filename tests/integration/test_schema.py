"""The schema of both stores: what it is, how it comes about, and the steps of a job it refuses."""

from __future__ import annotations

import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from itertools import product
from pathlib import Path
from typing import Any, Protocol

import psycopg
import pytest

from jobpipe.errors import ConfigError
from jobpipe.model.job import Lane, NewJob
from jobpipe.model.state import EDGES, FINAL, INITIAL, SHELVED, State, may, refusal_condition
from jobpipe.model.worker import NewWorker
from jobpipe.store import migrations
from jobpipe.store.ops import read
from jobpipe.store.ops.claim import claim
from jobpipe.store.ops.enqueue import enqueue
from jobpipe.store.ops.worker import register
from jobpipe.store.postgres import dialect
from jobpipe.store.postgres.driver import PostgresStore
from jobpipe.store.sqlite.driver import SqliteStore

SNAPSHOTS = Path(__file__).parent / "schema"
REASONED = {State.PARKED, State.FAILED, State.CANCELLED}

CATALOG = """
SELECT 'column ' || c.relname || '.' || a.attname || ' ' || format_type(a.atttypid, a.atttypmod)
       || CASE WHEN a.attnotnull THEN ' not null' ELSE '' END
       || CASE WHEN a.attidentity <> '' THEN ' identity ' || CAST(a.attidentity AS text) ELSE '' END
       || coalesce(' default ' || pg_get_expr(d.adbin, d.adrelid), '')
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE c.relnamespace = 'jobpipe'::regnamespace AND c.relkind = 'r' AND a.attnum > 0
UNION ALL
SELECT 'table ' || relname || coalesce(' with ' || array_to_string(reloptions, ', '), '')
FROM pg_class WHERE relnamespace = 'jobpipe'::regnamespace AND relkind = 'r'
UNION ALL
SELECT 'sequence ' || relname FROM pg_class
WHERE relnamespace = 'jobpipe'::regnamespace AND relkind = 'S'
UNION ALL
SELECT 'index ' || indexdef FROM pg_indexes WHERE schemaname = 'jobpipe'
UNION ALL
SELECT 'constraint ' || conrelid::regclass || ' ' || conname || ' ' || pg_get_constraintdef(oid)
FROM pg_constraint WHERE connamespace = 'jobpipe'::regnamespace AND contype <> 'n'
UNION ALL
SELECT 'trigger ' || pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal
UNION ALL
SELECT 'function ' || pg_get_functiondef(oid) FROM pg_proc
WHERE pronamespace = 'jobpipe'::regnamespace
"""

MIGRATE = """
import sys
from jobpipe import failpoint
from jobpipe.store.postgres import dialect
from jobpipe.store.postgres.driver import PostgresStore
failpoint.arm(sys.argv[2])
print(len(PostgresStore(sys.argv[1], dialect.load("jobpipe")).migrate()))
"""


class Connection(Protocol):
    """What the two drivers' connections have in common."""

    def execute(self, query: Any, /) -> Any: ...
    def close(self) -> None: ...


def postgres_store(url: str) -> PostgresStore:
    return PostgresStore(url, dialect.load("jobpipe"))


def newest(package: str = dialect.PACKAGE) -> int:
    return max(step.version for step in migrations.load(package, ""))


def start_migration(url: str, failpoints: str = "") -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", MIGRATE, url, failpoints],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture
def migrated_url(postgres_url: str) -> str:
    postgres_store(postgres_url).migrate()
    return postgres_url


@pytest.fixture(params=["sqlite", "postgresql"])
def raw(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Connection, str]]:
    """A connection to a fresh store, and what stands before its tables' names."""
    if request.param == "sqlite":
        SqliteStore(str(tmp_path / "jobs.db")).migrate()
        with closing(sqlite3.connect(tmp_path / "jobs.db", isolation_level=None)) as connection:
            yield connection, "jobpipe_"
    else:
        url = request.getfixturevalue("migrated_url")
        with closing(psycopg.connect(url, autocommit=True)) as connection:
            yield connection, "jobpipe."


def test_postgresql_schema_is_the_one_of_record(migrated_url: str) -> None:
    with closing(psycopg.connect(migrated_url)) as connection:
        lines = sorted(row[0] for row in connection.execute(CATALOG).fetchall())
    assert "\n".join(lines) + "\n" == (SNAPSHOTS / "postgresql.txt").read_text()


def test_sqlite_schema_is_the_one_of_record(tmp_path: Path) -> None:
    SqliteStore(str(tmp_path / "jobs.db")).migrate()
    with closing(sqlite3.connect(tmp_path / "jobs.db")) as connection:
        found = connection.execute(
            "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%'"
            " ORDER BY type, name"
        ).fetchall()
    assert "\n\n".join(row[0] for row in found) + "\n" == (SNAPSHOTS / "sqlite.txt").read_text()


@pytest.mark.parametrize("package", ["jobpipe.store.sqlite", dialect.PACKAGE])
def test_the_trigger_holds_exactly_the_table_of_edges(package: str) -> None:
    scripts = " ".join(step.sql for step in migrations.load(package, ""))
    condition = refusal_condition(spelled_out=package != dialect.PACKAGE)
    assert "".join(condition.split()) in "".join(scripts.split())


def test_every_step_is_refused_or_accepted_as_the_model_says(raw: tuple[Connection, str]) -> None:
    connection, prefix = raw
    wrong = []
    for number, (before, after, rerun) in enumerate(product(State, State, (False, True)), start=1):
        bring_to(connection, prefix, number, before)
        accepted = is_accepted(connection, update(prefix, number, after, rerun=rerun))
        if accepted != (before is after or may(before, after, rerun=rerun)):
            wrong.append((before, after, rerun, accepted))
    assert wrong == []


def test_a_job_begins_only_in_a_first_state(raw: tuple[Connection, str]) -> None:
    connection, prefix = raw
    accepted = {
        state
        for number, state in enumerate(State, start=1)
        if is_accepted(connection, insert(prefix, number, state))
    }
    assert accepted == INITIAL


def bring_to(connection: Connection, prefix: str, number: int, state: State) -> None:
    """Make a job that came to the state in legal steps."""
    first, *steps = next(path for path in paths() if path[-1] is state)
    connection.execute(insert(prefix, number, first))
    for step in steps:
        connection.execute(update(prefix, number, step, rerun=False))


def paths() -> Iterator[list[State]]:
    for first in sorted(INITIAL):
        yield [first]
    yield from ([State.QUEUED, second] for second in sorted(EDGES[State.QUEUED]))
    running = [State.QUEUED, State.RUNNING]
    yield from ([*running, third] for third in sorted(EDGES[State.RUNNING]))


def fields(number: int, state: State) -> dict[str, str]:
    """Return the columns that go with the state, as SQL."""
    return {
        "state": f"'{state}'",
        "rank": str(number) if state is State.QUEUED else "NULL",
        "due_at": "5" if state in {State.SCHEDULED, State.RETRYING} else "NULL",
        "finished_at": "6" if state in FINAL else "NULL",
        "shelf": f"'{state}'" if state in SHELVED else "NULL",
        "reason": "'fatal'" if state in REASONED else "NULL",
    }


def insert(prefix: str, number: int, state: State) -> str:
    fixed = {
        "id": str(number),
        "task": "'t'",
        "queue": "'q'",
        "priority": "0",
        "args": "'{}'",
        "created_at": "1",
        "max_attempts": "1",
        "max_losses": "1",
    }
    row = fixed | fields(number, state)
    return f"INSERT INTO {prefix}job ({', '.join(row)}) VALUES ({', '.join(row.values())})"


def update(prefix: str, number: int, state: State, *, rerun: bool) -> str:
    row = fields(number, state) | ({"reruns": "reruns + 1"} if rerun else {})
    changes = ", ".join(f"{column} = {value}" for column, value in row.items())
    return f"UPDATE {prefix}job SET {changes} WHERE id = {number}"


def is_accepted(connection: Connection, statement: str) -> bool:
    try:
        connection.execute(statement)
    except (sqlite3.IntegrityError, psycopg.errors.CheckViolation) as error:
        return "jobpipe: " not in str(error)  # refused by a CHECK: the test's row was not whole
    return True


def test_eight_processes_may_begin_at_once(postgres_url: str) -> None:
    started = [start_migration(postgres_url) for _ in range(8)]
    ended = [process.communicate() for process in started]
    assert [error for _out, error in ended if error] == []
    assert sorted(int(out) for out, _error in ended) == [0] * 7 + [newest()]
    assert postgres_store(postgres_url).check() == []


def test_a_killed_migration_leaves_nothing_behind(postgres_url: str) -> None:
    process = start_migration(postgres_url, "migrate.after_step=kill")
    process.communicate()
    assert process.returncode == -9
    with closing(psycopg.connect(postgres_url)) as connection:
        found = connection.execute("SELECT 1 FROM pg_namespace WHERE nspname = 'jobpipe'")
        assert found.fetchall() == []
    store = postgres_store(postgres_url)
    assert store.schema_status().current == 0
    assert [step.version for step in store.migrate()] == list(range(1, newest() + 1))


def test_migrating_again_does_nothing(migrated_url: str) -> None:
    store = postgres_store(migrated_url)
    assert store.migrate() == ()
    assert store.schema_status().applied == tuple(range(1, newest() + 1))
    assert store.schema_status().pending == ()


@pytest.mark.parametrize("package", ["jobpipe.store.sqlite", dialect.PACKAGE])
def test_jobs_of_the_first_schema_go_on_in_the_newest(
    package: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    def open_store() -> SqliteStore | PostgresStore:
        if package != dialect.PACKAGE:
            return SqliteStore(str(tmp_path / "jobs.db"))
        return postgres_store(request.getfixturevalue("postgres_url"))

    with closing(open_store()) as old:
        old._migrations = old._migrations[:1]
        assert [step.version for step in old.migrate()] == [1]
        (stored,) = old.run(enqueue([NewJob(task="t", args="{}")]))
    with closing(open_store()) as store:
        assert [step.version for step in store.migrate()] == list(range(2, newest(package) + 1))
        assert store.check() == []
        record = store.run(read.job(stored.id))
        assert record is not None
        assert (record.state, record.progress) == (State.QUEUED, None)
        about = NewWorker(name="w", host="h", pid=1, pid_started="0", slots=1, queues=["*"])
        worker = store.run(register(about, 15_000_000))
        (job,) = store.run(claim(worker, [Lane("default", 0)], 1, after={}, done=()))
        assert (job.id, job.suspect, job.checkpoint) == (stored.id, False, None)


def test_claims_of_the_first_schema_are_kept_in_the_newest(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    with closing(SqliteStore(str(path))) as old:
        old._migrations = old._migrations[:2]
        old.migrate()
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(
            "INSERT INTO jobpipe_claim (worker_id, jobs) VALUES (4, '[[1,1,5],[2,3,6]]')"
        )
        SqliteStore(str(path)).migrate()
        found = connection.execute("SELECT * FROM jobpipe_claim").fetchall()
    assert found == [(1, 4, "[1,2]", "[1,3]", "[5,6]")]


def test_migration_through_a_transaction_pooler(pgbouncer_url: tuple[str, str]) -> None:
    pooled, direct = pgbouncer_url
    store = PostgresStore(pooled, dialect.load("jobpipe"), pooler="transaction")
    assert len(store.migrate()) == newest()
    assert store.check() == []
    assert postgres_store(direct).schema_status().current == newest()


def test_a_newer_schema_is_refused(migrated_url: str) -> None:
    with closing(psycopg.connect(migrated_url, autocommit=True)) as connection:
        connection.execute("INSERT INTO jobpipe.migration VALUES (999, 'from_the_future', 0)")
    store = postgres_store(migrated_url)
    assert store.schema_status().is_newer
    with pytest.raises(ConfigError, match=f"version 999, this Jobpipe knows {newest()}"):
        store.migrate()


@pytest.fixture
def newcomer_url(postgres_url: str) -> Iterator[str]:
    """The URL of the same database for a user with no rights but to connect."""
    with closing(psycopg.connect(postgres_url, autocommit=True)) as connection:
        connection.execute("CREATE ROLE newcomer LOGIN")
        yield postgres_url.replace("postgres@", "newcomer@")
        connection.execute("DROP OWNED BY newcomer CASCADE")
        connection.execute("DROP ROLE newcomer")


def test_without_the_right_to_create_the_user_hears_what_to_do(newcomer_url: str) -> None:
    with pytest.raises(ConfigError, match="permission denied") as caught:
        postgres_store(newcomer_url).migrate()
    assert "Grant the user the rights" in caught.value.help


def test_a_prepared_schema_needs_no_right_on_the_database(
    newcomer_url: str, postgres_url: str
) -> None:
    with closing(psycopg.connect(postgres_url, autocommit=True)) as connection:
        connection.execute("CREATE SCHEMA jobpipe")
        connection.execute("GRANT USAGE, CREATE ON SCHEMA jobpipe TO newcomer")
    assert len(postgres_store(newcomer_url).migrate()) == newest()


def test_a_whole_schema_passes_the_check(migrated_url: str) -> None:
    assert postgres_store(migrated_url).check() == []


@pytest.mark.parametrize(
    "damage, finding",
    [
        ("DROP TABLE jobpipe.lane", "the table lane is missing"),
        ("DROP TABLE jobpipe.job", "the table job is missing"),
        ("DROP TABLE jobpipe.gate", "the table gate is missing"),
        ("DROP INDEX jobpipe.gate_job_line", "the index gate_job_line is missing"),
        (
            "DROP TRIGGER job_first_look ON jobpipe.job",
            "the trigger job_first_look is missing, or switched off",
        ),
        (
            "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'jobpipe.job_due'::regclass",
            "the index job_due is not valid: REINDEX it",
        ),
        (
            "ALTER TABLE jobpipe.lane ADD CONSTRAINT odd CHECK (priority < 500) NOT VALID",
            "the constraint odd was never validated",
        ),
        (
            "ALTER TABLE jobpipe.job DISABLE TRIGGER job_edges",
            "the trigger job_edges is missing, or switched off",
        ),
        (
            "DROP TRIGGER job_edges ON jobpipe.job",
            "the trigger job_edges is missing, or switched off",
        ),
        (
            "CREATE OR REPLACE TRIGGER job_edges BEFORE UPDATE ON jobpipe.job FOR EACH ROW"
            " WHEN (OLD.state = 'parked' AND NEW.state IN ('queued', 'failed'))"
            " EXECUTE FUNCTION jobpipe.refuse_state()",
            "the trigger job_edges allows other changes of state than this Jobpipe",
        ),
    ],
)
def test_the_check_finds_damage(migrated_url: str, damage: str, finding: str) -> None:
    with closing(psycopg.connect(migrated_url, autocommit=True)) as connection:
        connection.execute(damage.encode())
    assert postgres_store(migrated_url).check() == [finding]


@pytest.mark.parametrize(
    "damage, finding",
    [
        ("DROP TABLE jobpipe_gate", "the table jobpipe_gate is missing"),
        ("DROP INDEX jobpipe_job_expiry", "the index jobpipe_job_expiry is missing"),
        (
            "DROP TRIGGER jobpipe_job_arrival",
            "the trigger jobpipe_job_arrival is missing, or switched off",
        ),
    ],
)
def test_the_check_of_a_file_finds_damage(tmp_path: Path, damage: str, finding: str) -> None:
    store = SqliteStore(str(tmp_path / "jobs.db"))
    store.migrate()
    assert store.check() == []
    with closing(sqlite3.connect(tmp_path / "jobs.db")) as connection:
        connection.execute(damage)
    assert store.check() == [finding]


@pytest.mark.parametrize("package", ["jobpipe.store.sqlite", dialect.PACKAGE])
def test_of_a_schema_that_is_gone_all_tables_are_missing(package: str) -> None:
    texts = "\n".join(step.sql for step in migrations.load(package, ""))
    tables = re.findall(r"CREATE TABLE (\w+)", texts)
    told = [f"the table {name} is missing" for name in sorted(tables)]
    known = migrations.load(package, "")
    whole = migrations.compare([step.version for step in known], known)
    assert migrations.missing(known, whole, set()) == told
    assert migrations.missing(known, migrations.compare([], known), set()) == []
