"""The table of medians, and which aims are met."""

import statistics
from dataclasses import asdict, fields
from pathlib import Path

from loadtests.bench import results
from loadtests.bench.tasks.cpu import PARTS
from loadtests.bench.tasks.rounds import Figures, Size

HEADS = (
    "enqueued/s, 1 caller",
    "enqueued/s, 8 callers",
    "done/s",
    "commit to start P50 ms",
    "P99 ms",
    "call to start P50 ms",
    "P99 ms",
)
CELERY_SHARE, DURABLE_SHARE, START_MS, CPU_MS, SLOWER = 1.0, 1.2, 3.0, 4.0, 1.2

Rounds = dict[str, list[Figures]]


def medians(rounds: Rounds) -> dict[str, Figures]:
    """Return the median of every figure of every system."""
    return {
        name: Figures(
            *(
                statistics.median(getattr(each, field.name) for each in measured)
                for field in fields(Figures)
            )
        )
        for name, measured in rounds.items()
    }


def table(rounds: Rounds) -> str:
    """Render the medians, with the range of the rounds behind the throughput."""
    lines = ["| system | " + " | ".join(HEADS) + " |", "|---" + "|---:" * len(HEADS) + "|"]
    for name, median in medians(rounds).items():
        done = [each.done for each in rounds[name]]
        cells = [
            f"{median.enqueued_serially:,.0f}",
            f"{median.enqueued_concurrently:,.0f}",
            f"{median.done:,.0f} ({min(done):,.0f}-{max(done):,.0f})",
            f"{median.start_p50:.1f}",
            f"{median.start_p99:.1f}",
            f"{median.asked_p50:.1f}",
            f"{median.asked_p99:.1f}",
        ]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def where_time_goes(rounds: Rounds) -> str:
    """Render the processor time of a task, part by part."""
    lines = [
        "Where time goes: milliseconds of processor time a task at 50 tasks a second, idle polling",
        "included. At full speed it is less, because batches are larger.",
        "",
        "| system | " + " | ".join(PARTS) + " | all |",
        "|---" + "|---:" * (len(PARTS) + 1) + "|",
    ]
    for name, median in medians(rounds).items():
        used = (median.cpu_main, median.cpu_children, median.cpu_postgres, median.cpu_broker)
        cells = " | ".join(f"{each:.2f}" for each in (*used, _processor_time(median)))
        lines.append(f"| {name} | {cells} |")
    return "\n".join(lines)


def _processor_time(figures: Figures) -> float:
    return figures.cpu_main + figures.cpu_children + figures.cpu_postgres + figures.cpu_broker


def aims(rounds: Rounds, ours: list[str], celery: str, durable: list[str]) -> str:
    """Compare with the aims.

    `ours` is the small table and then the large one, `durable` are the others in PostgreSQL.
    """
    median = medians(rounds)
    small, large = median[ours[0]], median[ours[-1]]
    found = (
        ("end to end, of plain Celery's", small.done / median[celery].done, ">=", CELERY_SHARE),
        (
            "end to end, of the best in PostgreSQL",
            small.done / max(median[each].done for each in durable),
            ">=",
            DURABLE_SHARE,
        ),
        ("commit to start, P50 in ms", small.start_p50, "<", START_MS),
        ("processor time of a task, ms", _processor_time(small), "<", CPU_MS),
        ("slower end to end with the large table", small.done / large.done, "<", SLOWER),
        ("later start with the large table", large.start_p50 / small.start_p50, "<", SLOWER),
    )
    lines = ["| aim | wanted | measured | |", "|---|---:|---:|---|"]
    for title, value, relation, bound in found:
        met = value >= bound if relation == ">=" else value < bound
        lines.append(
            f"| {title} | {relation} {bound:g} | {value:.2f} | {'met' if met else 'missed'} |"
        )
    return "\n".join(lines)


def write(rounds: Rounds, size: Size, versions: str, text: str) -> Path:
    """Write the result of today; return the page."""
    where = results.machine(versions).partition(", load by")[0]
    measured = {name: [asdict(each) for each in figures] for name, figures in rounds.items()}
    document = {"machine": where, "size": asdict(size), "rounds": measured}
    return results.write("tasks", "Tasks side by side", f"{where}\n\n{text}", document)
