"""What may name a task, a tag, a key, a tenant."""

from __future__ import annotations

import unicodedata

from jobpipe.model.job import MAX_NAME_LENGTH

NAME_ALLOWED = f"1 to {MAX_NAME_LENGTH} characters, none of them a control character"


def is_name(text: object) -> bool:
    """Tell whether ``text`` may name a task, a tag or a key."""
    return (
        isinstance(text, str)
        and 0 < len(text) <= MAX_NAME_LENGTH
        and bool(text.strip())
        and not any(unicodedata.category(character) in ("Cc", "Cs") for character in text)
    )
