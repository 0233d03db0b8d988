"""The goals of the project, each judged by the figures of a run and by nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from statistics import median

from bench.harness.results import Results
from bench.harness.samples import ratio, values

PG, LITE = "jobpipe", "jobpipe_sqlite"
FLOORS = {PG: "floor_postgres", LITE: "floor_sqlite"}

Figure = tuple[str, str, str]
"""Of which case, system and name."""

Asked = Callable[[Results], tuple[float, str] | None]
"""Tells what a run came to, and against whom; None where it has no figures for that."""


@dataclass(frozen=True)
class Goal:
    """One thing that is wanted: at least, or at most, so much."""

    case: str
    what: str
    bound: float
    asked: Asked
    stretch: float | None = None
    unit: str = "x"
    at_most: bool = False

    @property
    def wanted(self) -> str:
        text = f"{'<=' if self.at_most else '>='} {_number(self.bound)} {self.unit}"
        return text if self.stretch is None else f"{text} ({_number(self.stretch)})"

    def judged(self, value: float) -> str:
        """Say whether a figure is good enough."""
        if not self._holds(value, self.bound):
            return "not reached"
        is_more = self.stretch is not None and self._holds(value, self.stretch)
        return "stretch reached" if is_more else "reached"

    def _holds(self, value: float, bound: float) -> bool:
        return value <= bound if self.at_most else value >= bound


def rows(results: Results) -> list[list[str]]:
    """Return a row for each goal that the run can judge: goal, wanted, measured, verdict."""
    return [_row(goal, results) for goal in GOALS if goal.case in results.cases]


def _row(goal: Goal, results: Results) -> list[str]:
    found = goal.asked(results)
    if found is None:
        return [goal.case, goal.what, goal.wanted, "", "not measured"]
    value, whom = found
    measured = f"{_number(value)} {goal.unit}" + (f" ({whom})" if whom else "")
    return [goal.case, goal.what, goal.wanted, measured, goal.judged(value)]


def _number(value: float) -> str:
    text = f"{value:,.0f}" if value >= 1_000 else f"{value:.2f}"
    return text.removesuffix(".00")


def _values(results: Results, figure: Figure) -> dict[int, float]:
    case, system, name = figure
    return values(results.samples, case, system, name)


def _against(ours: Figure, theirs: Figure, results: Results) -> tuple[float, str] | None:
    """Ours by theirs, round by round."""
    found = ratio(_values(results, ours), _values(results, theirs))
    return None if found is None else (found, "")


def _share(ours: Figure, theirs: Figure, results: Results) -> tuple[float, str] | None:
    found = _against(ours, theirs, results)
    return None if found is None else (100 * found[0], "")


def _best(
    ours: Figure,
    stores: tuple[str, ...],
    results: Results,
    *,
    most: bool = True,
    language: str = "",
) -> tuple[float, str] | None:
    """Ours by the best peer's on these stores; where less is better the least is the best."""
    case, _, name = ours
    peers = {
        system: median(found.values())
        for system, about in results.systems.items()
        if about["store"] in stores
        and about["language"].lower().startswith(language)
        and not system.startswith(("jobpipe", "floor"))
        and (found := _values(results, (case, system, name)))
    }
    if not peers:
        return None
    best = (max if most else min)(peers, key=lambda system: peers[system])
    found_ratio = ratio(_values(results, ours), _values(results, (case, best, name)))
    return None if found_ratio is None else (found_ratio, results.systems[best]["title"])


def _worst(figures: tuple[Figure, ...], results: Results) -> tuple[float, str] | None:
    """The largest of several figures; none of them may be missing."""
    found = [_values(results, figure) for figure in figures]
    if not all(found):
        return None
    return max(median(each.values()) for each in found), ""


def _cpu_growth(results: Results) -> tuple[float, str] | None:
    """CPU a job of worker and server, two processes by one."""
    both = []
    for case in ("drain-2", "drain-1"):
        worker, store = (_values(results, (case, PG, name)) for name in ("worker_us", "store_us"))
        both.append({n: worker[n] + store[n] for n in worker.keys() & store.keys()})
    found = ratio(both[0], both[1])
    return None if found is None else (found, "")


def _eight(system: str, results: Results) -> tuple[float, str] | None:
    """The rate of eight processes by that of the best number of them."""
    found = {n: _values(results, (f"drain-{n}", system, "rate")) for n in (1, 2, 8)}
    if not all(found.values()):
        return None
    medians = {n: median(each.values()) for n, each in found.items()}
    best = max(medians, key=lambda n: medians[n])
    return 100 * medians[8] / medians[best], f"best: {best}"


def _rate(case: str, ours: str, theirs: str) -> Asked:
    return partial(_against, (case, ours, "rate"), (case, theirs, "rate"))


def _floor(case: str, ours: str) -> Asked:
    return partial(_share, (case, ours, "rate"), (case, FLOORS[ours], "rate"))


def _peers(case: str, ours: str, *stores: str, figure: str = "rate", most: bool = True) -> Asked:
    return partial(_best, (case, ours, figure), stores, most=most)


def _between(system: str, first: str, second: str, figure: str = "rate") -> Asked:
    return partial(_against, (first, system, figure), (second, system, figure))


def _most(case: str, system: str, *figures: str) -> Asked:
    return partial(_worst, tuple((case, system, figure) for figure in figures))


HELD = ("held-snapshot", "autovacuum-off")
GROWTHS = ("growth", "claim_growth", "growth_unknown", "claim_growth_unknown")

GOALS = (
    Goal("drain-1", "PostgreSQL, by PgQueuer's", 3, _rate("drain-1", PG, "pgqueuer"), 5),
    Goal(
        "drain-1",
        "PostgreSQL, by Graphile Worker's",
        2.5,
        _rate("drain-1", PG, "graphile_worker"),
        4,
    ),
    Goal("drain-1", "PostgreSQL, of the raw floor", 55, _floor("drain-1", PG), 75, "%"),
    Goal(
        "drain-1",
        "CPU of the worker, by the best Python peer's on PostgreSQL",
        0.25,
        partial(
            _best, ("drain-1", PG, "worker_us"), ("postgresql",), most=False, language="python"
        ),
        at_most=True,
    ),
    Goal("drain-2", "PostgreSQL, by the best peer's two", 2.5, _peers("drain-2", PG, "postgresql")),
    Goal("drain-2", "PostgreSQL, CPU a job, two by one", 1.15, _cpu_growth, at_most=True),
    Goal("drain-8", "PostgreSQL, of the best number", 90, partial(_eight, PG), unit="%"),
    Goal("drain-1", "SQLite, by huey's", 5, _rate("drain-1", LITE, "huey"), 8),
    Goal("drain-1", "SQLite, by the best Redis-backed peer's", 1, _peers("drain-1", LITE, "redis")),
    Goal("drain-1", "SQLite, of the raw floor", 40, _floor("drain-1", LITE), unit="%"),
    Goal("drain-2", "SQLite, two processes by one", 1, _between(LITE, "drain-2", "drain-1")),
    Goal(
        "enqueue-async",
        "PostgreSQL, by the best peer's",
        2,
        _peers("enqueue-async", PG, "postgresql"),
    ),
    Goal(
        "enqueue-sync",
        "PostgreSQL, by the best peer's",
        1.5,
        _peers("enqueue-sync", PG, "postgresql"),
    ),
    Goal(
        "enqueue-async",
        "PostgreSQL, of bare INSERT and commit",
        75,
        _floor("enqueue-async", PG),
        unit="%",
    ),
    Goal(
        "enqueue-sync",
        "PostgreSQL, of bare INSERT and commit",
        75,
        _floor("enqueue-sync", PG),
        unit="%",
    ),
    Goal(
        "enqueue-32",
        "PostgreSQL, by one at a time",
        5,
        _between(PG, "enqueue-32", "enqueue-async"),
        10,
    ),
    Goal(
        "enqueue-32",
        "SQLite, by one at a time",
        5,
        _between(LITE, "enqueue-32", "enqueue-async"),
        10,
    ),
    Goal(
        "enqueue-bulk",
        "PostgreSQL, by the best peer's",
        2,
        _peers("enqueue-bulk", PG, "postgresql"),
        3,
    ),
    Goal("enqueue-bulk", "PostgreSQL, of bare COPY", 50, _floor("enqueue-bulk", PG), unit="%"),
    Goal(
        "pickup-idle",
        "p50, PostgreSQL, by the best peer's",
        1,
        _peers("pickup-idle", PG, "postgresql", figure="p50", most=False),
        at_most=True,
    ),
    *(
        Goal(
            "pickup-idle",
            f"p99, {name}",
            15,
            _most("pickup-idle", ours, "p99"),
            unit="ms",
            at_most=True,
        )
        for ours, name in ((PG, "PostgreSQL"), (LITE, "SQLite"))
    ),
    *(
        Goal(
            "pickup-busy",
            f"p99, {name}, by idle",
            3,
            _between(ours, "pickup-busy", "pickup-idle", "p99"),
            at_most=True,
        )
        for ours, name in ((PG, "PostgreSQL"), (LITE, "SQLite"))
    ),
    *(
        goal
        for case in HELD
        for goal in (
            Goal(
                case,
                "database CPU a job, last minute by first",
                1.15,
                _most(case, PG, "growth"),
                at_most=True,
            ),
            Goal(
                case,
                "jobs/s in the last minute, by the best peer's",
                5,
                _peers(case, PG, "postgresql", figure="rate_last"),
            ),
            Goal(
                case,
                "dead rows (else it does not count)",
                1e6,
                _most(case, PG, "dead"),
                unit="rows",
            ),
        )
    ),
    Goal(
        "history",
        "PostgreSQL, CPU and claims, by empty",
        1.3,
        _most("history", PG, *GROWTHS),
        at_most=True,
    ),
    Goal(
        "history",
        "SQLite, CPU and claims, by empty",
        1.3,
        _most("history", LITE, *GROWTHS[:2]),
        at_most=True,
    ),
    *(
        Goal(
            "history",
            f"memory, {name}",
            150,
            _most("history", ours, "memory_mb"),
            unit="MB",
            at_most=True,
        )
        for ours, name in ((PG, "PostgreSQL"), (LITE, "SQLite"))
    ),
    Goal(
        "idle",
        "statements a second, PostgreSQL: a look, and a heartbeat per interval",
        2,
        _most("idle", PG, "statements"),
        unit="/s",
        at_most=True,
    ),
)
