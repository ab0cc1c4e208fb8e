"""Tables of medians, what became of the aims, and the files of results."""

import json
import os
import platform
import statistics
from collections.abc import Iterable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from loadtests.bench.cases import AIMS, SECTIONS, Case
from loadtests.bench.load import GENERATOR, GENERATOR_NAME
from loadtests.bench.rounds import Measured

RESULTS = Path(__file__).parents[1] / "results"
HEAD = (
    "| case | requests/s | range | P50 ms | P99 ms | longest ms "
    "| server cores | database | Redis | load |\n"
    "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|"
)


def median(measured: Measured, case: str, figure: str = "rps") -> float:
    """Return the median of a figure of a case."""
    return float(statistics.median(getattr(each, figure) for each in measured[case]))


def table(measured: Measured, names: Iterable[str]) -> str:
    """Render the medians of these cases."""
    lines = [HEAD]
    for name in names:
        rates = [each.rps for each in measured[name]]
        groups = ("server", "PostgreSQL", "Redis", GENERATOR_NAME)
        cores = [
            f"{statistics.median(each.cores.get(group, 0.0) for each in measured[name]):.2f}"
            for group in groups
        ]
        errors = sum(each.errors for each in measured[name])
        cells = [
            f"{name}{f' ({errors:,} errors)' if errors else ''}",
            f"{statistics.median(rates):,.0f}",
            f"{min(rates):,.0f}-{max(rates):,.0f}",
            f"{median(measured, name, 'p50'):.1f}",
            f"{median(measured, name, 'p99'):.1f}",
            f"{median(measured, name, 'longest'):.0f}",
            *cores,
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def sections(measured: Measured, cases: list[Case]) -> str:
    """Render a table a section."""
    parts = []
    for section in SECTIONS:
        names = [case.name for case in cases if case.section == section]
        if names:
            parts.append(f"## {section}\n\n{table(measured, names)}")
    return "\n\n".join(parts)


def aims(measured: Measured) -> str:
    """Compare with what we set out for: medians, or the worst round where every round counts."""
    lines = ["| aim | wanted | measured | worst round | |", "|---|---:|---:|---:|---|"]
    for aim in AIMS:
        if aim.case not in measured or aim.base not in measured:
            lines.append(f"| {aim.text} | {aim.at_least:g} | not measured | | |")
            continue
        ratio = median(measured, aim.case) / median(measured, aim.base)
        pairs = zip(measured[aim.case], measured[aim.base], strict=True)
        worst = min(case.rps / base.rps for case, base in pairs)
        holds = (worst if aim.every_round else ratio) >= aim.at_least
        errors = sum(each.errors for name in (aim.case, aim.base) for each in measured[name])
        wanted = f"{aim.at_least:g}{' in every round' if aim.every_round else ''}"
        lines.append(
            f"| {aim.text} | {wanted} | {ratio:.2f} | {worst:.2f} | {verdict(holds, errors)} |"
        )
    return "\n".join(lines)


def verdict(holds: bool, errors: int = 0) -> str:  # noqa: FBT001  the one thing it is about
    """Say what became of an aim; with a single error it is missed, whatever the rate."""
    if errors:
        return f"missed ({errors:,} error{'s' if errors > 1 else ''})"
    return "met" if holds else "missed"


def machine(versions: str) -> str:
    """Describe where it was measured."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    python = f"Python {platform.python_version()}"
    return f"{os.cpu_count()} cores ({model}), {python}, {versions}, load by {GENERATOR}"


def picture(name: str) -> Path:
    """Return where a picture of the results goes; a newer one takes its place."""
    return Path(__file__).parents[2] / "docs" / "images" / f"{name}.svg"


def write(text: str, document: dict[str, Any]) -> Path:
    """Write both files of today; return the one to read."""
    now = datetime.now(UTC)
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"bench-{now:%Y-%m-%d}.md"
    path.write_text(f"# Side by side, {now:%Y-%m-%d}\n\n{text}\n", encoding="utf-8")
    whole = {"at": now.isoformat(), **document}
    path.with_suffix(".json").write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")
    return path


def plain(measured: Measured) -> dict[str, list[dict[str, Any]]]:
    """Return the figures of every round, for the file."""
    return {name: [asdict(each) for each in figures] for name, figures in measured.items()}
