"""The files of results: the latest of each kind only, and the machine that they come from."""

import json
import os
import platform
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from loadtests.bench.load import GENERATOR

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "loadtests" / "results"


def remove(kind: str, folder: Path = RESULTS) -> None:
    """Remove the results of a kind, so that only the next one is there."""
    for path in folder.glob(f"{kind}-20*"):
        path.unlink()


def write(kind: str, title: str, text: str, document: Mapping[str, Any] | None = None) -> Path:
    """Write the page of today and, with a document, its figures; return the page."""
    now = datetime.now(UTC)
    RESULTS.mkdir(exist_ok=True)
    remove(kind)
    path = RESULTS / f"{kind}-{now:%Y-%m-%d}.md"
    path.write_text(f"# {title}, {now:%Y-%m-%d}\n\n{text.strip()}\n", encoding="utf-8")
    if document is not None:
        whole = {"at": now.isoformat(), **document}
        figures = json.dumps(whole, indent=1) + "\n"
        path.with_suffix(".json").write_text(figures, encoding="utf-8")
    return path


def picture(name: str) -> Path:
    """Return where a picture of the results goes; a newer one takes its place."""
    return ROOT / "docs" / "images" / f"{name}.svg"


def verdict(holds: bool, errors: int = 0) -> str:  # noqa: FBT001  the one thing it is about
    """Say whether an aim is met; a single error misses it, whatever the rate."""
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


def print_progress(line: str) -> None:
    """Print a line to standard error, apart from the results."""
    sys.stderr.write(f"{line}\n")
