"""Tables of medians, and which aims are met."""

import statistics
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from loadtests.bench.compare.cases import AIMS, SECTIONS, Case
from loadtests.bench.compare.rounds import Measured
from loadtests.bench.load import GENERATOR_NAME
from loadtests.bench.results import verdict

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
    """Compare with the aims: medians, or the worst round where every round counts."""
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


def plain(measured: Measured) -> dict[str, list[dict[str, Any]]]:
    """Return the figures of every round, for the file."""
    return {name: [asdict(each) for each in figures] for name, figures in measured.items()}
