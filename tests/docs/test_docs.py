"""README and docs: every block runs, every link leads somewhere, every guarantee names its test."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from jobpipe.model.state import EDGES, FINAL, State
from jobpipe.store.sqlite.connection import connect
from scripts.write_performance_docs import page_with_figures
from scripts.write_reliability_docs import page_with_sums
from scripts.write_state_docs import page_with_states, state_diagram
from tests.servers.postgres import PostgresServer

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted(ROOT.joinpath("docs").rglob("*.md"))]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]+\]\(([^)\s]+)\)")
FILE_NAME = re.compile(r"# (\w+\.py)\n")
POSTGRES_URL = "postgresql://me:secret@localhost/app"
LONGEST_DECISION = 60


class Block(NamedTuple):
    language: str
    text: str


@cache
def blocks(page: Path) -> tuple[Block, ...]:
    return tuple(Block(*found) for found in BLOCK.findall(page.read_text(encoding="utf-8")))


def is_run(block: Block) -> bool:
    return block.language == "python" or block.text.startswith("jobpipe ")


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def run(command: list[str], folder: Path) -> None:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("JOBPIPE_")}
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    ended = subprocess.run(
        command,
        cwd=folder,
        env={**kept, "PATH": path, "PYTHONPATH": str(folder), "PYTHONWARNINGS": "error"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 0, f"{' '.join(command)}\n{ended.stdout}\n{ended.stderr}"


@pytest.fixture
def postgres_if_named(request: pytest.FixtureRequest, page: Path) -> Iterator[str]:
    """The URL of a database for a page whose blocks ask for one."""
    if not any(POSTGRES_URL in block.text for block in blocks(page) if is_run(block)):
        yield POSTGRES_URL
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    url = server.create_database()
    yield url
    server.drop_database(url)


@pytest.mark.parametrize("page", [p for p in PAGES if any(map(is_run, blocks(p)))], ids=name_of)
def test_every_block_runs(page: Path, tmp_path: Path, postgres_if_named: str) -> None:
    for number, (language, text) in enumerate(filter(is_run, blocks(page))):
        source = text.replace(POSTGRES_URL, postgres_if_named)
        if language == "python":
            named = FILE_NAME.match(source)
            file = tmp_path / (named[1] if named else f"block_{number}.py")
            file.write_text(source, encoding="utf-8")
            run([sys.executable, file.name], tmp_path)
        else:
            run(["bash", "-euo", "pipefail", "-c", source], tmp_path)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    broken = []
    for link in LINK.findall(BLOCK.sub("", text)):
        target, _, anchor = link.partition("#")
        file = page.parent / target if target else page
        if not target.startswith("http") and not (file.exists() and has_heading(file, anchor)):
            broken.append(link)
    assert broken == []


def has_heading(page: Path, anchor: str) -> bool:
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    marks = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
    return not anchor or anchor in marks


def test_each_guarantee_names_tests_that_exist() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    section = text.partition("## What is guaranteed")[2].partition("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| ")][1:]
    named = [re.findall(r"`((?:tests|bench)/[^`]+)`", row) for row in rows]
    assert len(rows) >= 8
    assert [row for row, files in zip(rows, named, strict=True) if not files] == []
    missing = [file for files in named for file in files if not (ROOT / file).is_file()]
    assert missing == []


def test_the_page_of_states_is_made_from_the_table() -> None:
    page = (ROOT / "docs" / "states.md").read_text(encoding="utf-8")
    assert state_diagram() in page
    assert page == page_with_states(page), "run `python scripts/write_state_docs.py`"


def test_the_page_of_reliability_has_the_sums_of_the_ledger() -> None:
    page = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
    assert page == page_with_sums(page), "run `python scripts/write_reliability_docs.py`"


def test_the_page_of_performance_has_the_figures_of_the_committed_run() -> None:
    page = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
    assert page == page_with_figures(page), "run `python scripts/write_performance_docs.py`"


def test_the_picture_shows_every_step_and_no_other() -> None:
    steps = set(re.findall(r"^    (\w+) --> (\w+)$", state_diagram(), re.MULTILINE))
    assert steps == {(before, after) for before in State for after in EDGES[before]}
    ends = set(re.findall(r"^    (\w+) --> \[\*\]$", state_diagram(), re.MULTILINE))
    assert ends == set(FINAL)


def test_decisions_are_short() -> None:
    lengths = {
        page.name: page.read_text(encoding="utf-8").count("\n")
        for page in ROOT.joinpath("docs", "decisions").glob("*.md")
    }
    assert {name: lines for name, lines in lengths.items() if lines > LONGEST_DECISION} == {}


def test_internals_tell_of_every_folder() -> None:
    text = (ROOT / "docs" / "internals.md").read_text(encoding="utf-8")
    source = ROOT / "src" / "jobpipe"
    folders = {file.parent.relative_to(source).as_posix() for file in source.rglob("*.py")} - {"."}
    assert {folder for folder in folders if f"`{folder}/`" not in text} == set()


def test_internals_name_files_that_exist() -> None:
    """Where a page says `runtime/claimer.py` or `finish.sql`, there is such a file."""
    files = [path.as_posix() for path in (ROOT / "src").rglob("*.*")]
    files += [path.as_posix() for path in (ROOT / "tests").rglob("*.py")]
    for page in [ROOT / "docs" / "internals.md", *ROOT.joinpath("docs", "decisions").glob("*.md")]:
        named = set(re.findall(r"`([\w/]+\.(?:py|sql))`", page.read_text(encoding="utf-8")))
        missing = {name for name in named if not any(f.endswith(f"/{name}") for f in files)}
        assert missing == set(), page.name


def test_sqlite_connections_sync_every_commit(tmp_path: Path) -> None:
    connection = connect(str(tmp_path / "jobs.db"))
    assert connection.execute("PRAGMA synchronous").fetchone()[0] == 2  # FULL
    assert connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    connection.close()
