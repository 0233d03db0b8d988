"""Text from elsewhere made fit for one line of a terminal or a log.

Names, arguments and errors are data: they may hold ANSI sequences, line breaks or marks that turn
the direction of writing. Each such character is shown as an escape and never acted upon.
"""

from __future__ import annotations

import re

UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f"
    "\ud800-\udfff\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
)
"""Controls, marks of direction, invisible tags, separators of lines and lone surrogates."""

_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def escape(text: str) -> str:
    """Return the text as one line without any character that does instead of being seen."""
    return text if text.isascii() and text.isprintable() else UNSAFE.sub(_escaped, text)


def escape_json(text: str) -> str:
    """Return JSON text with unsafe characters in its strings as JSON escapes."""
    return text if text.isascii() and "\x7f" not in text else _UNSAFE_IN_JSON.sub(_as_json, text)


def escape_block(text: str) -> list[str]:
    """Return the lines of a longer text, such as a traceback, each one escaped."""
    return [escape(line.expandtabs(4)) for line in text.rstrip("\r\n").split("\n")]


# Between the strings of JSON text stand line breaks, which are its layout.
_UNSAFE_IN_JSON = re.compile(UNSAFE.pattern.replace("\x00-\x1f", "", 1))


def _escaped(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code <= 0xFF:
        return _SHORT.get(match[0]) or f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def _as_json(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code <= 0xFFFF:
        return f"\\u{code:04x}"
    high, low = divmod(code - 0x10000, 0x400)
    return f"\\u{0xD800 + high:04x}\\u{0xDC00 + low:04x}"
