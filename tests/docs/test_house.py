"""The rules of the house that a machine can check."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "jobpipe"
LONGEST_FILE = 400
LONGEST_FUNCTION = 40

CELLARS = {"util", "utils", "helper", "helpers", "common", "base", "misc", "manager", "managers"}
SQL = re.compile(r"\b(SELECT\s|INSERT\s+INTO\s|DELETE\s+FROM\s|UPDATE\s+\S+\s+SET\s)")
WORDS_OF_HASTE = re.compile(r"\b(TODO|FIXME|XXX)\b")
CLOCKS = {"time.time", "time.time_ns", "datetime.now", "datetime.utcnow", "datetime.today"}
# In pieces, so that this file does not hold what it forbids.
REGISTRIES = ["py" + "pi.org", "python" + "hosted.org", "npm" + "js.org", "deb.de" + "bian.org"]
MACHINE_PATHS = re.compile(r"(?<![\w./])/(?:wo" + r"rk|ro" + r"ot)/")


@cache
def trees() -> dict[str, ast.Module]:
    """Return the parsed modules of the package by their path below it."""
    return {
        file.relative_to(SOURCE).as_posix(): ast.parse(file.read_text(encoding="utf-8"))
        for file in sorted(SOURCE.rglob("*.py"))
    }


def nodes(*, outside: str = "") -> Iterator[tuple[str, ast.AST]]:
    """Yield (place, node) for every node of the package, but for paths that match ``outside``."""
    for path, tree in trees().items():
        if not (outside and re.search(outside, path)):
            for node in ast.walk(tree):
                yield f"{path}:{getattr(node, 'lineno', 0)}", node


def docstrings(tree: ast.AST) -> set[int]:
    """Return the ids of the nodes that are texts for readers: strings standing alone."""
    return {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }


def text_of(node: ast.AST) -> str:
    """Return the text of a string or an f-string, with ``x`` for what is filled in."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(text_of(part) or "x" for part in node.values)
    return ""


def imported(node: ast.AST) -> list[str]:
    """Return the full names that an import statement brings in."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        return [f"{'.' * node.level}{node.module or ''}.{alias.name}" for alias in node.names]
    return []


def tracked_texts() -> Iterator[tuple[str, str]]:
    """Yield (path, text) of every file that is in the repository or would be added to it."""
    listed = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "-z", "-co", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for path in filter(None, listed.split("\0")):
        if (ROOT / path).is_file():
            yield path, (ROOT / path).read_text(encoding="utf-8", errors="replace")


def source_texts() -> Iterator[tuple[str, str]]:
    for file in sorted(SOURCE.rglob("*")):
        if file.suffix in {".py", ".sql"}:
            yield file.relative_to(SOURCE).as_posix(), file.read_text(encoding="utf-8")


def test_files_are_short() -> None:
    long = {path: text.count("\n") for path, text in source_texts()}
    assert {path: lines for path, lines in long.items() if lines > LONGEST_FILE} == {}


def test_functions_are_short() -> None:
    lengths = {
        f"{place} {node.name}": (node.end_lineno or 0) - node.lineno + 1
        for place, node in nodes()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert {name: n for name, n in lengths.items() if n > LONGEST_FUNCTION} == {}


def test_no_file_is_a_cellar() -> None:
    names = [path for path, _ in source_texts()]
    assert [n for n in names if CELLARS & set(re.split(r"[/_.]", n))] == []


def test_every_module_says_what_it_is() -> None:
    assert [path for path, tree in trees().items() if not ast.get_docstring(tree)] == []


def test_only_bootstrap_names_the_drivers() -> None:
    """Checked here, since an import-linter contract may not name a module yet to come."""
    driver = re.compile(r"^(jobpipe\.store\.|\.*)(sqlite|postgres)\b")
    found = [
        place
        for place, node in nodes(outside=r"^(bootstrap\.py|store/sqlite/|store/postgres/)")
        for name in imported(node)
        if driver.search(name)
    ]
    assert found == []


def test_sql_stands_only_in_sql_files() -> None:
    for_readers = set().union(*(docstrings(tree) for tree in trees().values()))
    found = [
        place
        for place, node in nodes()
        if id(node) not in for_readers and SQL.search(text_of(node))
    ]
    assert found == []


def test_only_config_reads_the_environment() -> None:
    found = [
        place
        for place, node in nodes(outside="^config/")
        if (isinstance(node, ast.Attribute) and node.attr in {"environ", "environb", "getenv"})
        or (isinstance(node, ast.alias) and node.name in {"environ", "environb", "getenv"})
    ]
    assert found == []


def test_only_a_clock_asks_the_time() -> None:
    found = [
        place
        for place, node in nodes(outside=r"(^|/)clock\.py$")
        if isinstance(node, ast.Attribute) and ".".join(ast.unparse(node).split(".")[-2:]) in CLOCKS
    ]
    assert found == []


def test_nothing_runs_what_it_reads() -> None:
    found = [
        place
        for place, node in nodes()
        if (isinstance(node, ast.Name) and node.id in {"eval", "exec"})
        or (isinstance(node, ast.alias) and node.name.split(".")[0] in {"pickle", "marshal"})
        or (isinstance(node, ast.ImportFrom) and node.module in {"pickle", "marshal"})
    ]
    assert found == []


def test_nothing_is_left_for_later() -> None:
    found = [path for path, text in source_texts() if WORDS_OF_HASTE.search(text)]
    assert found == []


def test_no_type_is_ignored() -> None:
    assert [path for path, text in source_texts() if re.search(r"type:\s*ignore", text)] == []


@pytest.mark.parametrize("host", REGISTRIES)
def test_no_package_registry_is_named(host: str) -> None:
    assert [path for path, text in tracked_texts() if host in text] == []


def test_no_path_of_one_machine_is_named() -> None:
    assert [path for path, text in tracked_texts() if MACHINE_PATHS.search(text)] == []
