"""The outcome of a check, and how tools are run."""

import subprocess
import sys
import textwrap
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

NOTE_WIDTH = 100


class Verdict(StrEnum):
    """The result of a check; NOT_CHECKED: its tool could not do its work."""

    PASSED = "passed"
    FOUND = "FOUND"
    NOT_CHECKED = "NOT CHECKED"


@dataclass(frozen=True)
class Outcome:
    """A line of the summary; its `findings` are printed before it."""

    verdict: Verdict
    note: str
    findings: tuple[str, ...] = ()

    @classmethod
    def of(cls, findings: list[str], note: str) -> "Outcome":
        """Return the outcome of a completed check."""
        if not findings:
            return cls(Verdict.PASSED, note)
        return cls(Verdict.FOUND, f"{len(findings)} findings", tuple(findings))


def run_tool(root: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run a tool of this environment in a folder."""
    command = [str(Path(sys.executable).with_name(arguments[0])), *arguments[1:]]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)


def last_line(text: str) -> str:
    """Return the last line of a tool's output, shortened: most tools print the error there."""
    lines = (line for line in reversed(text.splitlines()) if line.strip())
    return textwrap.shorten(next(lines, "no output"), NOTE_WIDTH)
