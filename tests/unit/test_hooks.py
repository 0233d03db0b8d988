"""What cannot be a lifespan, middleware or a hook is refused when it is declared."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from jobpipe import Jobpipe
from jobpipe.errors import ConfigError


@pytest.fixture
def jp(tmp_path: Path) -> Jobpipe:
    return Jobpipe(f"sqlite:///{tmp_path}/jobs.db")


@pytest.mark.parametrize(
    "wrong", [5, print, lambda: None, lambda job: None], ids=["5", "print", "plain", "argument"]
)
def test_what_cannot_be_a_lifespan_is_refused(jp: Jobpipe, wrong: Any) -> None:
    with pytest.raises(ConfigError, match=r"lifespan .* is refused"):
        jp.lifespan(wrong)


@pytest.mark.parametrize(
    "wrong", [5, lambda: None, lambda job: None, lambda job, a, b: None], ids=["5", "0", "1", "3"]
)
def test_what_cannot_be_middleware_is_refused(jp: Jobpipe, wrong: Any) -> None:
    with pytest.raises(ConfigError, match=r"allowed: a function of \(job, call_next\)"):
        jp.middleware(wrong)


@pytest.mark.parametrize("option", ["on_success", "on_retry", "on_failure"])
@pytest.mark.parametrize("wrong", [5, [print, 5], lambda job: None], ids=["5", "[5]", "1"])
def test_what_cannot_be_a_hook_is_refused(jp: Jobpipe, option: str, wrong: Any) -> None:
    about = "result" if option == "on_success" else "error"
    with pytest.raises(ConfigError, match=rf"{option} .*allowed: a function of \(job, {about}\)"):
        jp.task(**{option: wrong})(lambda: None)
    with pytest.raises(ConfigError, match=rf"{option} .*allowed: a function of \(job, {about}\)"):
        getattr(jp, option)(wrong)
