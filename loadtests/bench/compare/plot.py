"""Two pictures of the results: requests a second by case, and the cost of growth."""

from pathlib import Path

import matplotlib as mpl

mpl.use("svg")

from matplotlib import pyplot as plt

from loadtests.bench.compare import growth
from loadtests.bench.compare.cases import SECTIONS, Case
from loadtests.bench.compare.report import median
from loadtests.bench.compare.rounds import Measured

OURS, OTHERS = "#1f6f8b", "#b8b8b8"
# The same picture of the same figures, byte for byte.
mpl.rcParams["svg.hashsalt"] = "bench"
METADATA = {"Date": None}


def sides(path: Path, measured: Measured, cases: list[Case]) -> None:
    """Draw a bar a case, a panel a section."""
    panels = [(name, [each for each in cases if each.section == name]) for name in SECTIONS]
    panels = [(name, chosen) for name, chosen in panels if chosen]
    heights = [len(chosen) + 1 for _, chosen in panels]
    figure, axes = plt.subplots(
        len(panels),
        1,
        figsize=(9, 0.32 * sum(heights) + 1),
        height_ratios=heights,
        squeeze=False,
        layout="constrained",
    )
    for (name, chosen), ax in zip(panels, axes[:, 0], strict=True):
        names = [case.name for case in reversed(chosen)]
        rates = [median(measured, each) for each in names]
        colours = [OURS if each.startswith("ours") else OTHERS for each in names]
        bars = ax.barh(names, rates, color=colours)
        ax.bar_label(bars, [f" {rate:,.0f}" for rate in rates], fontsize=8)
        ax.set_title(f"{name}: requests a second", loc="left", fontsize=10)
        ax.margins(x=0.12)
        ax.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, format="svg", metadata=METADATA)
    plt.close(figure)


def grown(path: Path, rates: dict[str, dict[str, float]]) -> None:
    """Draw a line a case: how much of the smallest size's rate is left."""
    figure, ax = plt.subplots(figsize=(9, 4), layout="constrained")
    sizes = list(rates)
    for case in growth.CASES:
        first = rates[sizes[0]][case]
        ax.plot(sizes, [rates[size][case] / first for size in sizes], marker="o", label=case)
    ax.set_ylim(0, None)
    ax.set_ylabel("of the smallest size's rate")
    ax.tick_params(axis="x", labelsize=7)
    ax.legend(fontsize=8)
    ax.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, format="svg", metadata=METADATA)
    plt.close(figure)
