"""Draws what a run came to, as PNG and SVG: bars with their spread, or lines over time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.harness.report import Standing, number, standings
from bench.harness.results import Results

mpl.rcParams |= {
    "svg.hashsalt": "bench",  # the same figures make the same file
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
}
OURS, FLOOR, PEER = "#0b7285", "#ced4da", "#868e96"
LINES = ("#e8590c", "#5f3dc4", "#2b8a3e", "#c2255c", "#1864ab", "#846358", "#495057")
WIDTH = 8.0
BAR = 0.32
"""Height of a bar with its gap, in inches."""


def draw(results: Results, folder: Path) -> list[Path]:
    """Draw every case that is to be drawn; return the files."""
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for name, about in results.cases.items():
        found = standings(results, name)
        if not found or about["drawn"] == "no":
            continue
        picture = (
            _lines(results, name, about, found)
            if about["drawn"] == "lines"
            else _bars(about, found)
        )
        files += _save(picture, folder / name)
    return files


def _bars(about: dict[str, Any], found: Sequence[Standing]) -> Figure:
    figure = about["figures"][0]
    spreads = [standing.figures[figure["name"]] for standing in found]
    picture = Figure(figsize=(WIDTH, 1.1 + BAR * len(found)), layout="constrained")
    axes: Axes = picture.subplots()
    medians = [each.median for each in spreads]
    errors = [[each.median - each.least for each in spreads], []]
    errors[1] = [each.most - each.median for each in spreads]
    places = range(len(found))
    colors = [_color(standing) for standing in found]
    axes.barh(places, medians, xerr=errors, color=colors, ecolor="#343a40", capsize=2)
    axes.set_yticks(places, [standing.title for standing in found])
    axes.invert_yaxis()
    for place, each in zip(places, spreads, strict=True):
        axes.annotate(
            f" {number(each.median)}", (each.most, place), va="center", fontsize=9, color="#343a40"
        )
    axes.margins(x=0.12)
    axes.set_xlim(left=0)
    better = "more is better" if figure["more_is_better"] else "less is better"
    axes.set_xlabel(f"{figure['title'] or figure['name']} ({figure['unit']}; {better})")
    axes.set_title(about["title"], loc="left")
    return picture


def _lines(results: Results, case: str, about: dict[str, Any], found: Sequence[Standing]) -> Figure:
    """Draw one panel a kind of series, one line a system (its last sample)."""
    shown = {s.system: s for s in found}
    last = {s.system: s for s in results.samples if s.case == case and s.system in shown}
    names = list(dict.fromkeys(name for sample in last.values() for name in sample.series))
    picture = Figure(figsize=(WIDTH, 3.2 * max(1, len(names))), layout="constrained")
    panels = picture.subplots(max(1, len(names)), squeeze=False)[:, 0]
    for axes, name in zip(panels, names, strict=False):
        for place, standing in enumerate(found):
            sample = last[standing.system]
            points = sample.series.get(name, [])
            ends = [sample.step * (n + 1) for n in range(len(points))]
            color = _color(standing) if not standing.is_peer else LINES[place % len(LINES)]
            width = 2.4 if standing.system.startswith("jobpipe") else 1.4
            if points:
                axes.plot(ends, points, label=standing.title, color=color, linewidth=width)
        axes.set_ylim(bottom=0)
        axes.set_xlim(left=0)
        axes.set_ylabel(_axis(about, name))
        axes.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    panels[-1].set_xlabel("seconds")
    panels[0].set_title(about["title"], loc="left")
    return picture


def _axis(about: dict[str, Any], name: str) -> str:
    """Return what stands beside an axis: the figure of this name, in words."""
    figure = next((each for each in about["figures"] if each["name"] == name), None)
    return f"{figure['title'] or name} ({figure['unit']})" if figure else name


def _color(standing: Standing) -> str:
    if standing.system.startswith("jobpipe"):
        return OURS
    return FLOOR if standing.system.startswith("floor") else PEER


def _save(picture: Figure, stem: Path) -> list[Path]:
    png, svg = stem.with_suffix(".png"), stem.with_suffix(".svg")
    picture.savefig(png, dpi=120, metadata={"Software": None})
    picture.savefig(svg, metadata={"Date": None, "Creator": None})
    return [png, svg]
