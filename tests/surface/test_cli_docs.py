"""The page about the command line: its reference is made from the commands, its blocks run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from jobpipe.cli.document import reference

ROOT = Path(__file__).parents[2]
PAGE = ROOT.joinpath("docs", "cli.md").read_text(encoding="utf-8")
MARK = "== next =="


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def test_the_reference_is_made_from_the_commands() -> None:
    _, _, rest = PAGE.partition("<!-- reference: made by scripts/write_cli_docs.py -->\n")
    assert rest.partition("<!-- /reference -->\n")[0] == reference(), (
        "run `python scripts/write_cli_docs.py`"
    )


def test_the_session_on_the_page_runs_as_it_stands_there(tmp_path: Path) -> None:
    (application,), (session,) = blocks("python"), blocks("console")
    tmp_path.joinpath("app.py").write_text(application, encoding="utf-8")
    steps = [step.partition("\n") for step in re.split(r"^\$ ", session, flags=re.MULTILINE)[1:]]
    # The marks must not change `$?`, which the session asks for.
    script = "".join(f"code=$?; echo '{MARK}'; (exit $code)\n{step[0]}\n" for step in steps)
    ended = subprocess.run(
        ["bash", "-c", f"exec 2>&1\n{script}"],
        cwd=tmp_path,
        env={"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert ended.stdout.split(f"{MARK}\n")[1:] == [expected for _, _, expected in steps]
