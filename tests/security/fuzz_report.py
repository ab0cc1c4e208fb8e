"""The result of a complete run of Schemathesis as a page of loadtests/results."""

import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from loadtests.bench import results


@dataclass(frozen=True)
class Run:
    """One role's run: requests by operation and class of status, seed, seconds, and output."""

    requests: dict[str, dict[str, int]]
    seed: int
    seconds: float
    passed: bool
    said: str


def write(path: Path, examples: str, runs: dict[str, Run]) -> None:
    """Write the page of the runs by role, with all findings verbatim."""
    sections = "\n\n".join(_section(role, run) for role, run in runs.items())
    results.remove("fuzz", path.parent)
    path.write_text(
        f"""\
# Fuzzing

`make fuzz EXAMPLES={examples}` on {os.cpu_count()} cores, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC.
At most {examples} examples an operation and phase; counted are all requests that were answered,
also those that only lead to what is tested.

{sections}
""",
        encoding="utf-8",
    )


def _section(role: str, run: Run) -> str:
    classes = ("2xx", "3xx", "4xx", "5xx")
    rows = "\n".join(
        f"| `{operation}` | {sum(found.values())} | "
        + " | ".join(str(found.get(each, 0)) for each in classes)
        + " |"
        for operation, found in sorted(run.requests.items())
    )
    total = sum(sum(found.values()) for found in run.requests.values())
    verdict = (
        "Nothing was found." if run.passed else f"Something was FOUND:\n\n```\n{run.said}\n```"
    )
    return f"""\
## As {role}

{verdict} {total} requests in {run.seconds:.0f} s; `--seed {run.seed}`.

| operation | requests | {" | ".join(classes)} |
|---|---|---|---|---|---|
{rows}"""
