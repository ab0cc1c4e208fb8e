"""The table of broken releases; `make test-releases` writes it into docs/deployment.md."""

import os
from pathlib import Path

from loadtests import page

HEAD = "| fault | outcome | seconds | of them to roll back | requests | errors | above 100 ms |"
ROWS = []


def note(fault, outcome, seconds, rollback, load):
    """Add a row, and write the table if it is asked for."""
    cells = (
        fault, outcome, "—" if seconds is None else f"{seconds + (rollback or 0):.1f}",
        "—" if rollback is None else f"{rollback:.1f}", load.sent, load.errors, load.slow,
    )  # fmt: skip
    ROWS.append("| " + " | ".join(map(str, cells)) + " |")
    if report := os.environ.get("RELEASES_REPORT"):
        table = "\n".join([HEAD, "|---|---|" + "--:|" * 5, *ROWS])
        page.write(Path(report), "make test-releases", f"{table}\n")
