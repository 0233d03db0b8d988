"""mypy --strict and pyright accept right uses of tasks and refuse each wrong one.

Each checker takes some seconds to read the library's types; it runs once over both files.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

CASES = Path(__file__).parent / "typing"
FILES = ("right.py", "wrong.py")
MYPY_ERROR = re.compile(r"(\w+\.py):(\d+): error: (.*)")

Findings = dict[tuple[str, int], str]


def mypy(cache: Path) -> Findings:
    options = ["--strict", "--config-file=", "--no-pretty", f"--cache-dir={cache}"]
    text = run("mypy", *options)
    return {
        (Path(name).name, int(line)): message for name, line, message in MYPY_ERROR.findall(text)
    }


def pyright(_cache: Path) -> Findings:
    report = json.loads(run("pyright", f"--pythonpath={sys.executable}", "--outputjson"))
    return {
        (Path(each["file"]).name, each["range"]["start"]["line"] + 1): each["message"]
        for each in report["generalDiagnostics"]
        if each["severity"] == "error"
    }


def run(checker: str, *options: str) -> str:
    command = [sys.executable, "-m", checker, *options, *FILES]
    done = subprocess.run(command, cwd=CASES, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stdout + done.stderr  # 1: it ran, and found errors
    return done.stdout


def marked() -> set[tuple[str, int]]:
    return {
        (name, number)
        for name in FILES
        for number, line in enumerate((CASES / name).read_text().splitlines(), start=1)
        if line.endswith("# wrong")
    }


@pytest.mark.parametrize("check", [mypy, pyright])
def test_a_type_checker_refuses_the_wrong_lines_and_no_others(
    check: Callable[[Path], Findings], tmp_path: Path
) -> None:
    found = check(tmp_path)
    expected = marked()
    assert len(expected) == 41
    accepted = sorted(expected - found.keys())
    refused = {place: message for place, message in found.items() if place not in expected}
    assert (accepted, refused) == ([], {})
