"""How a check went, and what runs the tools."""

import subprocess
import sys
import textwrap
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

NOTE_WIDTH = 100


class Verdict(StrEnum):
    """How a check went; a tool that could not do its work has checked nothing."""

    PASSED = "passed"
    FOUND = "FOUND"
    NOT_CHECKED = "NOT CHECKED"


@dataclass(frozen=True)
class Outcome:
    """One line of the summary; `findings` are shown before it."""

    verdict: Verdict
    note: str
    findings: tuple[str, ...] = ()

    @classmethod
    def of(cls, findings: list[str], note: str) -> "Outcome":
        """Return that of a check that did its work."""
        if not findings:
            return cls(Verdict.PASSED, note)
        return cls(Verdict.FOUND, f"{len(findings)} findings", tuple(findings))


def run_tool(root: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run a tool of this environment in a folder."""
    command = [str(Path(sys.executable).with_name(arguments[0])), *arguments[1:]]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)


def last_line(text: str) -> str:
    """Return what a tool said last, cut short: most say there what went wrong."""
    said = next((line for line in reversed(text.splitlines()) if line.strip()), "it said nothing")
    return textwrap.shorten(said, NOTE_WIDTH)
