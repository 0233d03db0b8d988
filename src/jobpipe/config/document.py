"""Settings as people read them: the rows of ``config show`` and the table in the docs."""

from __future__ import annotations

from dataclasses import dataclass

from jobpipe.config.declared import SETTINGS
from jobpipe.config.load import Effective
from jobpipe.config.setting import Setting
from jobpipe.config.settings import Settings


@dataclass(frozen=True, slots=True)
class SettingRow:
    """One effective setting, fit to be shown: secrets are masked."""

    env: str
    value: str
    origin: str


def describe(effective: Effective) -> list[SettingRow]:
    """One row for each setting, in the order of the docs."""
    return [
        SettingRow(
            env=setting.env,
            value=_shown_value(setting, getattr(effective.settings, setting.field)),
            origin=str(effective.origins[setting.field]),
        )
        for setting in SETTINGS
    ]


def as_texts(settings: Settings) -> dict[str, str]:
    """Every setting by field name, as a text that its reader takes; secrets are not masked."""
    values = ((setting, getattr(settings, setting.field)) for setting in SETTINGS)
    return {
        setting.field: "none" if value is None else setting.show(value) for setting, value in values
    }


def settings_table() -> str:
    """The Markdown table of all settings."""
    lines = ["| variable | key | default | allowed | meaning |", "|---|---|---|---|---|"]
    for setting in SETTINGS:
        default = f"`{setting.default}`" if setting.default else "none"
        fallback = f" Fallback: `{setting.fallback_env}`." if setting.fallback_env else ""
        cells = (f"`{setting.env}`", f"`{setting.key}`", default, setting.allowed)
        lines.append(f"| {' | '.join(cells)} | {setting.doc}{fallback} |")
    return "\n".join(lines) + "\n"


def _shown_value(setting: Setting, value: object) -> str:
    if value is None:
        return "none"
    text = setting.show(value)
    return setting.mask(text) if setting.secret else text
