"""The pytest plugin, in suites of its own: each is another process."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from jobpipe.testing.kit import PLACES

pytest_plugins = ["pytester"]

ROOT = Path(__file__).parents[2]
PAGE = ROOT.joinpath("docs", "testing.md").read_text(encoding="utf-8")

SHOP = """
from jobpipe import Jobpipe

jp = Jobpipe("postgresql://nobody@127.0.0.1:1/none")


@jp.task
def ship(order: int) -> str:
    return f"order {order} is on its way"
"""


@pytest.fixture
def alone(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A suite that loads this plugin alone: others take seconds to load."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTEST_PLUGINS", "jobpipe.testing.plugin")
    return pytester


@pytest.fixture
def suite(pytester: pytest.Pytester) -> pytest.Pytester:
    pytester.makepyfile(shop=SHOP)
    pytester.makepyprojecttoml(
        '[tool.pytest.ini_options]\njobpipe_app = "shop:jp"\npythonpath = ["."]\n'
    )
    return pytester


def test_the_fixture_holds_the_application_of_the_ini_file(suite: pytest.Pytester) -> None:
    """As installed: pytest loads every plugin there is, which takes seconds."""
    suite.makepyfile(
        """
        from shop import jp, ship


        def test_one(jobpipe):
            ship.enqueue(7)
            (job,) = jobpipe.assert_enqueued(ship, args=(7,), count=1)
            jobpipe.drain()
            assert job.result() == "order 7 is on its way"


        def test_two(jobpipe):
            assert jobpipe.enqueued() == []
        """
    )
    suite.runpytest_subprocess("-W", "error").assert_outcomes(passed=2)


@pytest.mark.parametrize(
    "place, why",
    [("shpo:jp", "No module named 'shpo'"), ("shop:pj", "has no attribute 'pj'"), ("?", "'[?]'")],
)
def test_a_place_without_an_application_is_named(
    alone: pytest.Pytester, suite: pytest.Pytester, place: str, why: str
) -> None:
    suite.makepyfile("def test_it(jobpipe): ...")
    result = suite.runpytest_subprocess("-o", f"jobpipe_app={place}")
    result.assert_outcomes(errors=1)
    assert re.search(
        f"ConfigError: the ini option jobpipe_app = {re.escape(place)}: .*{why}", str(result.stdout)
    )


def test_the_mode_may_stand_in_the_ini_file(alone: pytest.Pytester, suite: pytest.Pytester) -> None:
    suite.makepyfile(
        """
        from shop import ship


        def test_inline(jobpipe):
            assert jobpipe.mode == "inline"
            assert ship.enqueue(7).state == "succeeded"
        """
    )
    suite.runpytest_subprocess("-o", "jobpipe_mode=inline").assert_outcomes(passed=1)


def test_the_application_may_come_from_a_fixture_and_be_used_everywhere(
    alone: pytest.Pytester,
) -> None:
    alone.makepyfile(shop=SHOP)
    alone.makeconftest(
        """
        import pytest


        @pytest.fixture
        def jobpipe_app():
            from shop import jp

            return jp
        """
    )
    alone.makepyfile(
        """
        import pytest
        from shop import ship

        pytestmark = pytest.mark.usefixtures("jobpipe")


        def test_it():
            assert ship.enqueue(7).refresh().state == "queued"
        """
    )
    result = alone.runpytest_subprocess("-o", "pythonpath=.")
    result.assert_outcomes(passed=1)


def test_without_an_application_the_fixture_says_how_to_name_it(
    alone: pytest.Pytester,
) -> None:
    alone.makepyfile("def test_it(jobpipe):\n    jobpipe.drain()\n")
    result = alone.runpytest_subprocess()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*ConfigError: the test kit has no application*"])


def test_a_suite_that_does_not_use_it_loads_next_to_nothing() -> None:
    program = (
        "import sys, pytest; before = set(sys.modules); import jobpipe.testing.plugin;"
        "print(*sorted(set(sys.modules) - before))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.split() == ["jobpipe", "jobpipe.testing", "jobpipe.testing.plugin"]


def test_the_tests_of_the_page_pass(alone: pytest.Pytester) -> None:
    files = re.findall(r"^```\w+\n# (\S+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    for name, text in files:
        alone.path.joinpath(name).write_text(text, encoding="utf-8")
    assert [name for name, _ in files] == [
        "shop.py",
        "pyproject.toml",
        "test_shop.py",
        "by_hand.py",
    ]
    alone.runpytest_subprocess("-W", "error").assert_outcomes(passed=7)


def test_the_page_lists_every_place_that_may_fail() -> None:
    listed = re.findall(r"^\| `([a-z_]+\.[a-z_]+)` \|", PAGE, re.MULTILINE)
    assert tuple(listed) == PLACES
