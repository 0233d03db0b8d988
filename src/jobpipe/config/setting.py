"""What is declared of a setting."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from jobpipe.config.mask import mask_url
from jobpipe.config.values import Reader
from jobpipe.policy.duration import format_number

PREFIX = "JOBPIPE_"


def _plain(value: object) -> str:
    return format_number(value) if isinstance(value, float) else str(value)


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One setting; ``default`` is written as a user would write it, None where there is none."""

    field: str
    env: str
    read: Reader
    default: str | None
    allowed: str
    doc: str
    secret: bool = False
    fallback_env: str | None = None
    show: Callable[[object], str] = _plain
    mask: Callable[[str], str] = mask_url
    """Hides what is secret in a shown or refused value, if the setting is ``secret``."""

    @property
    def key(self) -> str:
        """The key in jobpipe.toml and in [tool.jobpipe]."""
        return self.env.removeprefix(PREFIX).lower()

    def default_value(self) -> object:
        """The default as a checked value."""
        return None if self.default is None else self.read(self.default)
