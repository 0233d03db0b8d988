"""One run of the system, as all finders of anomalies look at it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from tests.process.contents import AttemptRow, Contents, JobRow
from tests.process.history import History, Run, Wish
from tests.process.ledger import Entry


class Case:
    """One run of the system: what was seen from outside, and what the store says."""

    def __init__(
        self,
        entries: Iterable[Entry],
        contents: Contents,
        *,
        in_order: bool,
        lease_seconds: float = 1.0,
    ) -> None:
        self.history = History(entries, lease_seconds)
        self.lease_seconds = lease_seconds
        self.contents = contents
        self.in_order = in_order
        self.by_op: defaultdict[str, list[JobRow]] = defaultdict(list)
        for job in contents.jobs:
            self.by_op[job.op].append(job)
        self.attempts: defaultdict[int, list[AttemptRow]] = defaultdict(list)
        for attempt in contents.attempts:
            self.attempts[attempt.job].append(attempt)

    def jobs_of(self, op: str) -> list[JobRow]:
        """Return the jobs of a wish: one, if all is well."""
        return self.by_op.get(op, [])

    def wish_of(self, run: Run) -> Wish | None:
        """Return what a run was asked for by."""
        return self.history.wishes.get(run.op)

    def recorded(self, run: Run) -> str | None:
        """Return what the store's history says of a run."""
        rows = (row for row in self.attempts[run.job] if row.token == run.token)
        return next((row.outcome for row in rows), None)

    def until(self, run: Run) -> int:
        """Return when a run ceased to count: it ended, or the store took it back from its worker.

        What a process that stood still does after that is no attempt of the job any more. Where
        clocks were moved, nobody can tell when it was: such a run does not count at all.
        """
        ends = [each.start for each in self.history.runs[run.job] if each.token > run.token]
        rows = [row for row in self.attempts[run.job] if row.token == run.token]
        moved = self.history.clock_moved
        ends += [run.start if moved else row.ended for row in rows if row.ended is not None]
        if run.end is not None:
            ends.append(run.end)
        elif not rows:  # its process died, and who saw that gave it back
            ends.append(self.history.end_of(run))
        return min(ends, default=self.history.end_of(run))

    def spans(self, job: int) -> list[tuple[int, int]]:
        """Return from when to when each run of a job counted, those that never did left out."""
        found = [(run.start, self.until(run)) for run in self.history.runs[job]]
        return sorted(span for span in found if span[0] < span[1])
