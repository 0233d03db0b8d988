"""Whatever comes after a flow is let go when it ends, in whichever way it has ended."""

from __future__ import annotations

from jobpipe.model.flow import Need


def plant() -> None:
    def fits(self: Need, settled: str) -> bool:
        return True

    Need.fits = fits  # type: ignore[method-assign]
