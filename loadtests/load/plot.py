"""The picture of a run: requests and percentiles over time."""

from pathlib import Path

import matplotlib as mpl
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from loadtests.load.records import Row
from loadtests.load.report import PERCENTS
from loadtests.load.shapes import Shape
from loadtests.load.swarm import Run

POINTS = 150
_COLOURS = {50: "#2a9d8f", 95: "#e9a23b", 99: "#c8553d"}

mpl.use("Agg")


def draw(path: Path, title: str, run: Run, p95_bound: float | None) -> None:
    """Write the picture as a PNG."""
    width = max(1, -(-int(run.end) // POINTS))
    points = list(run.records.over_time(0, run.end, width))
    seconds = [second + width / 2 for second, _ in points]
    figure, (above, below) = plt.subplots(2, 1, figsize=(10, 6.5), sharex=True, dpi=80)
    _draw_requests(above, seconds, [row for _, row in points], width, run.shape)
    for percent in PERCENTS:
        values = [row.response.percentile(percent) or float("nan") for _, row in points]
        below.plot(seconds, values, label=f"P{percent}", color=_COLOURS[percent])
    if p95_bound is not None:
        below.axhline(p95_bound, linestyle="--", color=_COLOURS[95], linewidth=1)
        below.annotate(
            f"P95 target\n{p95_bound:g} ms",
            (1.005, p95_bound),
            xycoords=("axes fraction", "data"),
            va="center",
            fontsize=8,
        )
    if any(len(row) for _, row in points):
        below.set_yscale("log")
    below.yaxis.set_major_formatter("{x:g}")
    below.set_ylabel("ms from when it was due")
    below.set_xlabel("seconds")
    for axes in (above, below):
        axes.grid(alpha=0.3)
        if run.shape.warm_up:
            axes.axvspan(0, run.shape.warm_up, color="0.92", label="warm-up, not judged")
        axes.set_xlim(0, run.end)
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), fontsize=8, ncols=4, frameon=False)
    figure.suptitle(title)
    figure.tight_layout()
    figure.savefig(path)
    plt.close(figure)


def _draw_requests(
    axes: Axes, seconds: list[float], rows: list[Row], width: int, shape: Shape
) -> None:
    due = [shape.students_due(s - width / 2, s + width / 2) / width for s in seconds]
    axes.plot(seconds, due, label="due", color="0.5", linestyle="--", linewidth=1)
    answered = [len(row) / width for row in rows]
    axes.plot(seconds, answered, label="answered", color="#264653")
    errors = [row.errors.total() / width for row in rows]
    axes.fill_between(seconds, errors, label="errors", color=_COLOURS[99])
    axes.set_ylabel("requests a second")
    axes.set_ylim(bottom=0)
