"""The ledger's lines, put together: what became of each wish, each run, each fault."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from tests.process.ledger import Entry, Gate

NEVER = 2**63


CLOCK_SET = "clock set"
"""The name of the fault after which a delay may be shorter or longer than it was to be."""

AFTERMATH = 2
"""For how many leases after a fault one may still be lost to it."""


class Wish:
    """One enqueue of a producer with all its tries, under one ``op``."""

    def __init__(self, op: str) -> None:
        self.op = op
        self.invoked = NEVER
        self.acked: int | None = None
        self.jobs: set[int] = set()
        self.delay = 0.0
        self.key: str | None = None
        self.gates: tuple[Gate, ...] = ()
        self.after: tuple[str, ...] = ()
        self.flow: str | None = None
        self.role: str | None = None
        self.refused = self.open = 0

    @property
    def must_not_exist(self) -> bool:
        """Every try was refused or rolled back."""
        return self.acked is None and self.refused > 0 and not self.open


class Run:
    """One run of a job by a worker."""

    def __init__(self, start: Entry) -> None:
        self.job, self.token, self.pid = start.job or 0, start.token or 0, start.pid
        self.op = start.op or ""
        self.start = start.at
        self.end: int | None = None
        self.how: str | None = None

    def __repr__(self) -> str:
        return f"run of job {self.job} with token {self.token} in process {self.pid}"


class Fault:
    """Harm done to one process, or (``whom`` is None) to everybody."""

    def __init__(self, entry: Entry) -> None:
        self.whom, self.began, self.over = entry.whom, entry.at, NEVER
        self.name = entry.how


class History:
    """A ledger read as a whole."""

    def __init__(self, entries: Iterable[Entry], lease_seconds: float = 1.0) -> None:
        self._aftermath = round(AFTERMATH * lease_seconds * 1e9)
        self.wishes: dict[str, Wish] = {}
        self.runs: defaultdict[int, list[Run]] = defaultdict(list)
        self.faults: list[Fault] = []
        self.events: list[Entry] = []
        self._last_line: dict[int, int] = {}
        for entry in sorted(entries, key=lambda entry: entry.at):
            self._last_line[entry.pid] = entry.at
            self._take(entry)

    def end_of(self, run: Run) -> int:
        """Return when the run ended; of one that was cut off, when it was last sure to go on."""
        return run.end if run.end is not None else max(run.start, self._last_line[run.pid])

    def is_excused(self, one: Run, other: Run) -> bool:
        """Tell whether a fault met the older of two runs of a job before the later one began.

        A paused worker may begin the older one last, so both starts count.
        """
        older = min(one, other, key=lambda run: run.token)
        first, last = sorted((one.start, other.start))
        return any(
            fault.whom in (None, older.pid)
            and fault.began < last
            and fault.over + self._aftermath >= first
            for fault in self.faults
        )

    @property
    def clock_moved(self) -> bool:
        """Whether the machine's time of day was ever set anew."""
        return any(fault.name == CLOCK_SET for fault in self.faults)

    def clock_moved_between(self, first: int, last: int) -> bool:
        """Tell whether the machine's time of day was set anew then."""
        return any(
            fault.name == CLOCK_SET and first - self._aftermath <= fault.began <= last
            for fault in self.faults
        )

    def _take(self, entry: Entry) -> None:
        match entry.what:
            case "invoke" | "ok" | "fail" | "unknown":
                self._take_answer(entry)
            case "start":
                self.runs[entry.job or 0].append(Run(entry))
            case "end":
                self._end_run(entry)
            case "fault":
                self.faults.append(Fault(entry))
            case "over":
                for fault in self.faults:
                    if fault.whom == entry.whom and fault.over == NEVER:
                        fault.over = entry.at
            case "event":
                self.events.append(entry)

    def _take_answer(self, entry: Entry) -> None:
        assert entry.op is not None
        wish = self.wishes.setdefault(entry.op, Wish(entry.op))
        if entry.what == "invoke":
            wish.invoked = min(wish.invoked, entry.at)
            wish.delay, wish.key, wish.gates = entry.delay, entry.key, entry.gates
            wish.after, wish.flow, wish.role = entry.after, entry.flow, entry.role
            wish.open += 1
        elif entry.what == "ok":
            wish.acked = entry.at if wish.acked is None else wish.acked
            wish.open -= 1
            if entry.job is not None:
                wish.jobs.add(entry.job)
        elif entry.what == "fail":
            wish.refused += 1
            wish.open -= 1

    def _end_run(self, entry: Entry) -> None:
        for run in reversed(self.runs[entry.job or 0]):
            if (run.token, run.pid, run.end) == (entry.token, entry.pid, None):
                run.end, run.how = entry.at, entry.how
                return
