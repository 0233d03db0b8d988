"""Says what a run came to, in Markdown that reads well in a terminal too."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from bench.harness import goals
from bench.harness.results import Results
from bench.harness.samples import Spread, in_short, ratio, spread, values

OURS = {"postgresql": "jobpipe", "sqlite": "jobpipe_sqlite"}
"""Which of ours a system is compared with; those on brokers with the one without a server."""
NAMES = {"postgresql": "PostgreSQL", "sqlite": "SQLite", "redis": "Redis", "rabbitmq": "RabbitMQ"}


@dataclass(frozen=True)
class Standing:
    """One system in one case."""

    system: str
    title: str
    store: str
    figures: dict[str, Spread]
    against: float | None
    """How many times as good as it ours is; None for ours."""
    jobs: int
    steal: float
    others: float

    @property
    def is_peer(self) -> bool:
        return not self.system.startswith(("jobpipe", "floor"))


def ours_for(store: str) -> str:
    """Return the name of our system that one on this store is compared with."""
    return OURS.get(store, OURS["sqlite"])


def standings(results: Results, case: str) -> list[Standing]:
    """Return who answered the case, the best first."""
    about = results.cases[case]
    first = about["figures"][0]
    found = [_standing(results, case, system) for system in results.systems]
    answered = [standing for standing in found if standing and first["name"] in standing.figures]
    return sorted(
        answered,
        key=lambda standing: standing.figures[first["name"]].median,
        reverse=first["more_is_better"],
    )


def markdown(results: Results, pictures: str = "") -> str:
    """Return the whole report, with the pictures of a folder where one is named."""
    parts = [_head(results), _goals(results), _in_short(results), _systems(results)]
    parts += [_case(results, case, pictures) for case in results.cases if _sampled(results, case)]
    parts += [_failures(results)]
    return "\n\n".join(part for part in parts if part) + "\n"


def best_peer(found: Sequence[Standing], stores: Iterable[str]) -> Standing | None:
    """Return the best of the peers on these stores; the standings come best first."""
    wanted = set(stores)
    return next((s for s in found if s.is_peer and s.store in wanted), None)


def number(value: float) -> str:
    """Write a figure with three digits that count."""
    if value >= 100_000:
        return f"{value / 1000:,.0f}k"
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _standing(results: Results, case: str, system: str) -> Standing | None:
    samples = [s for s in results.samples if (s.case, s.system) == (case, system) and s.figures]
    if not samples:
        return None
    about = results.systems[system]
    figures = results.cases[case]["figures"]
    spreads = {
        figure["name"]: found
        for figure in figures
        if (found := spread([*values(samples, case, system, figure["name"]).values()]))
    }
    return Standing(
        system=system,
        title=about["title"],
        store=about["store"],
        figures=spreads,
        against=_against(results, case, system, figures[0]),
        jobs=max(sample.jobs for sample in samples),
        steal=median(sample.steal for sample in samples),
        others=median(sample.others for sample in samples),
    )


def _against(results: Results, case: str, system: str, figure: dict[str, Any]) -> float | None:
    ours_name = ours_for(results.systems[system]["store"])
    if system.startswith("jobpipe"):
        return None
    ours = values(results.samples, case, ours_name, figure["name"])
    theirs = values(results.samples, case, system, figure["name"])
    return ratio(ours, theirs) if figure["more_is_better"] else ratio(theirs, ours)


def _head(results: Results) -> str:
    lines = ["# Benchmark", ""]
    facts = results.about | results.machine
    lines += [f"- {name}: {value}" for name, value in facts.items()]
    for store, about in results.servers.items():
        told = ", ".join(f"{name} {value}" for name, value in about.items() if value)
        lines.append(f"- {NAMES[store]}: {told}")
    lines += [f"- not measured: {name}: {why}" for name, why in results.missing.items()]
    return "\n".join(lines).strip()


def _goals(results: Results) -> str:
    """Return a row for each goal that the run can judge."""
    rows = goals.rows(results)
    head = ["case", "goal", "wanted (stretch)", "measured", "judged"]
    return f"## Goals\n\n{_table(head, rows, right=0)}" if rows else ""


def _in_short(results: Results) -> str:
    """Return one line a case and store of ours: the figure, the best peer's, and the ratios."""
    rows = []
    for case, about in results.cases.items():
        found = standings(results, case)
        figure = about["figures"][0]
        for store, name in OURS.items():
            ours = next((s for s in found if s.system == name), None)
            if ours is None:
                continue
            peer, floor = best_peer(found, [store]), _floor(found, store)
            rows.append(
                [
                    f"{case}, {NAMES[store]}",
                    f"{number(ours.figures[figure['name']].median)} {figure['unit']}",
                    f"{peer.title} {number(peer.figures[figure['name']].median)}" if peer else "",
                    f"{peer.against:.2f} x" if peer and peer.against else "",
                    f"{100 * floor.against:.0f} %" if floor and floor.against else "",
                ]
            )
    head = ["case", "Jobpipe", "best peer on this store", "Jobpipe is", "of the raw floor"]
    return _table(head, rows, right=0) if rows else ""


def _floor(found: Sequence[Standing], store: str) -> Standing | None:
    return next((s for s in found if s.system.startswith("floor") and s.store == store), None)


def _systems(results: Results) -> str:
    rows = [
        [
            about["title"],
            about["version"],
            about["language"],
            "kept" if about["keeps_history"] else "deleted",
            "yes" if about["durable"] else "no",
        ]
        for about in results.systems.values()
    ]
    head = ["system", "version", "runs on", "history", "durable"]
    settings = [f"- {about['title']}: {about['settings']}" for about in results.systems.values()]
    return "\n".join([_table(head, rows, right=0), "", "Settings:", "", *settings])


def _case(results: Results, case: str, pictures: str) -> str:
    about = results.cases[case]
    found = standings(results, case)
    units = [f"{figure['name']}, {figure['unit']}" for figure in about["figures"]]
    rows = [
        [
            standing.title,
            *(_cell(standing.figures.get(figure["name"])) for figure in about["figures"]),
            f"{standing.against:.2f} x" if standing.against else "",
            f"{standing.jobs:,}",
            f"{standing.figures[about['figures'][0]['name']].count}",
            f"{standing.steal:.0f} %",
            f"{standing.others:.0f} %",
        ]
        for standing in found
    ]
    head = ["system", *units, "Jobpipe is", "jobs", "rounds", "steal", "others"]
    lines = [f"## {about['title']} (`{case}`)", ""]
    if pictures and about["drawn"] != "no":
        lines += [f"![{about['title']}]({pictures}/{case}.svg)", ""]
    lines += [_table(head, rows, right=1), ""]
    lines += _notes(results, case)
    lines += [line for store in OURS if (line := _summary(results, found, store))]
    lines += [f"- goal: {goal}" for goal in about["goals"]]
    return "\n".join(lines).strip()


def _summary(results: Results, found: Sequence[Standing], store: str) -> str:
    """Say how ours on this store compares with the best peer and with the floor."""
    if OURS[store] not in {standing.system for standing in found}:
        return ""
    told = []
    peer = best_peer(found, [store])
    if peer and peer.against:
        told.append(f"{peer.against:.2f} x the best peer ({peer.title})")
    floor = _floor(found, store)
    if floor and floor.against:
        told.append(f"{100 * floor.against:.0f} % of the raw floor")
    return f"- {results.systems[OURS[store]]['title']}: {', '.join(told)}" if told else ""


def _notes(results: Results, case: str) -> list[str]:
    told = [
        f"- {results.systems[sample.system]['title']}: {sample.note}"
        for sample in results.samples
        if sample.case == case and sample.note
    ]
    return list(dict.fromkeys(told))


def _failures(results: Results) -> str:
    lines = [
        f"- {sample.case}, {sample.system}, round {sample.round + 1}: {in_short(sample.failure)}"
        for sample in results.samples
        if sample.failure
    ]
    return "\n".join(["## What failed", "", *lines]) if lines else ""


def _sampled(results: Results, case: str) -> bool:
    return any(sample.case == case and sample.figures for sample in results.samples)


def _cell(found: Spread | None) -> str:
    if found is None:
        return ""
    if found.count == 1:
        return number(found.median)
    return f"**{number(found.median)}** ({number(found.least)}-{number(found.most)})"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], *, right: int) -> str:
    """Lay out a table; from the column ``right`` on (0: none) cells are set to the right."""
    every = [head, *rows]
    widths = [max(3, *(len(row[column]) for row in every)) for column in range(len(head))]

    def line(cells: Sequence[str]) -> str:
        placed = [
            cell.rjust(width) if right and column >= right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ]
        return f"| {' | '.join(placed)} |"

    rule = [
        "-" * (width - 1) + ":" if right and column >= right else "-" * width
        for column, width in enumerate(widths)
    ]
    return "\n".join([line(head), line(rule), *map(line, rows)])
