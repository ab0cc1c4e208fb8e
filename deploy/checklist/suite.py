"""One run of the tests, and the outcome of each file in it."""

from collections import Counter
from dataclasses import dataclass, field

import pytest

from deploy.checklist.outcome import Outcome
from deploy.verdict import Verdict

# As `make test`: a file a process.
BESIDE = ("--numprocesses", "3", "--dist", "loadfile", "--no-loadscope-reorder")
_NAMED = 3
_RAN = (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.NO_TESTS_COLLECTED)


@dataclass
class Counts:
    """The tests of some files: how many passed, the failed ones, and why others were skipped."""

    passed: int = 0
    failed: list[str] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)

    def outcome(self) -> Outcome:
        """Return FAILED if one failed, NOT CHECKED if one was skipped or none ran."""
        if self.failed:
            more = " …" if len(self.failed) > _NAMED else ""
            names = ", ".join(self.failed[:_NAMED]) + more
            return Outcome(Verdict.FAILED, f"{len(self.failed)} tests failed: {names}")
        if self.skipped:
            count, reasons = self.skipped.total(), ", ".join(sorted(self.skipped))
            note = f"{count} of {self.passed + count} tests skipped: {reasons}"
            return Outcome(Verdict.NOT_CHECKED, note)
        if not self.passed:
            return Outcome(Verdict.NOT_CHECKED, "no test ran")
        return Outcome(Verdict.PASSED, f"{self.passed} tests")


class Suite:
    """The outcome of the tests by file; pytest calls its hooks."""

    def __init__(self) -> None:
        """Start with no test."""
        self._files: dict[str, Counts] = {}

    @classmethod
    def run(cls, *options: str) -> "Suite":
        """Run the tests of the current folder."""
        suite = cls()
        ended = pytest.main([*options], plugins=[suite])
        if ended not in _RAN:
            suite.of("pytest").failed.append(f"pytest ended with {ended}")
        return suite

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count a phase of a test: its call, and a set-up or tear-down that did not pass."""
        counts = self.of(report.nodeid.partition("::")[0])
        if report.failed:
            counts.failed.append(report.nodeid)
        elif report.skipped:
            *_, reason = report.longrepr if isinstance(report.longrepr, tuple) else ("skipped",)
            counts.skipped[str(reason).removeprefix("Skipped: ")] += 1
        elif report.when == "call":
            counts.passed += 1

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Count a file that can't be imported as a failure."""
        if report.failed:
            self.of(report.nodeid).failed.append(report.nodeid)

    def of(self, file: str) -> Counts:
        """Return the counts of a file, named from the root of the repository."""
        return self._files.setdefault(file, Counts())

    def outcome(self, *files: str) -> Outcome:
        """Return the outcome of some files; without a name of all."""
        total = Counts()
        for file in files or tuple(self._files):
            own = self.of(file)
            if own == Counts():
                total.skipped[f"{file} did not run"] += 1
            total.passed += own.passed
            total.failed += own.failed
            total.skipped += own.skipped
        return total.outcome()
