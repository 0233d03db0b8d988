"""What a process of its own may use of its machine: set before any of the task's code runs."""

from __future__ import annotations

from dataclasses import dataclass, fields

from jobpipe.errors import ConfigError
from jobpipe.tasks.codec import show

MIN_MEMORY_MB, MAX_MEMORY_MB = 64, 1024 * 1024
MAX_CPU_SECONDS = 1e9
MIN_OPEN_FILES, MAX_OPEN_FILES = 32, 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds of a process; None: none. Raises ConfigError when one is out of range."""

    memory_mb: int | None = None
    """Address space: what the process may map, which is more than what it fills."""
    cpu_seconds: float | None = None
    """Processor time of an attempt, over all threads; beyond it SIGXCPU ends the process."""
    open_files: int | None = None

    def __post_init__(self) -> None:
        bounds = {
            "memory_mb": (MIN_MEMORY_MB, MAX_MEMORY_MB, int),
            "cpu_seconds": (0.01, MAX_CPU_SECONDS, int | float),
            "open_files": (MIN_OPEN_FILES, MAX_OPEN_FILES, int),
        }
        for field in fields(self):
            value = getattr(self, field.name)
            low, high, kind = bounds[field.name]
            is_number = isinstance(value, kind) and not isinstance(value, bool)
            if value is not None and not (is_number and low <= value <= high):
                word = "a whole number" if kind is int else "a number"
                allowed = f"{word} from {low} to {high}, or None"
                raise ConfigError(
                    f"limits: {field.name}={show(value)} is refused; allowed: {allowed}"
                )

    @property
    def memory_bytes(self) -> int | None:
        return None if self.memory_mb is None else self.memory_mb * 1024 * 1024
