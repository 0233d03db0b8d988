"""The settings of whoever calls an HTTP service: what it proves itself with."""

from __future__ import annotations

import re

from jobpipe.config import values
from jobpipe.config.mask import MASK
from jobpipe.config.setting import Setting

_TOKEN = re.compile(r"[\x21-\x7e]{1,512}")


def read_token(value: object) -> str:
    """A token, as it was given out."""
    token = values.read_text(value)
    if not _TOKEN.fullmatch(token):
        raise ValueError("a token has 1 to 512 printable characters and no blank")
    return token


def _hidden(_text: str) -> str:
    return MASK


CALLING: tuple[Setting, ...] = (
    Setting(
        field="token",
        env="JOBPIPE_TOKEN",
        read=values.optional(read_token),
        default=None,
        allowed="1 to 512 printable characters without blanks, or `none`",
        doc="The token shown to the service that JOBPIPE_URL names.",
        secret=True,
        mask=_hidden,
    ),
    Setting(
        field="plain_http",
        env="JOBPIPE_PLAIN_HTTP",
        read=values.read_switch,
        default="off",
        allowed="`on` or `off`",
        doc="Whether the token may go to another machine over `http://`, where it can be read on"
        " the way.",
        show=values.format_switch,
    ),
)
