"""What a worker holds: each job, and the record of the claim that brought it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from jobpipe.model.job import Claimed


class Records:
    """The claim records of this worker: which can be deleted since all their jobs have ended."""

    def __init__(self) -> None:
        self.held: dict[tuple[int, int], Claimed] = {}
        self.queues: Counter[str] = Counter()
        """How many jobs of each queue are held."""
        self._open: Counter[int] = Counter()
        self._done: list[int] = []

    def add(self, jobs: Sequence[Claimed]) -> None:
        self.held.update({(job.id, job.token): job for job in jobs})
        self.queues.update([job.queue for job in jobs])
        self._open.update([job.claim_id for job in jobs])

    def end(self, keys: Iterable[tuple[int, int]]) -> None:
        held = self.held
        ended = [held.pop(key) for key in keys if key in held]
        self.queues.subtract(Counter([job.queue for job in ended]))
        for claim_id, count in Counter([job.claim_id for job in ended]).items():
            self._open[claim_id] -= count
            if not self._open[claim_id]:
                del self._open[claim_id]
                self._done.append(claim_id)

    def take_done(self) -> list[int]:
        done, self._done = self._done, []
        return done

    def return_done(self, done: list[int]) -> None:
        self._done += done
