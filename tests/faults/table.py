"""The table of outcomes; as a plug-in it also prints the results of several processes."""

import os
import platform
from dataclasses import astuple
from datetime import UTC, datetime
from pathlib import Path

from tests.faults.verdict import OUTCOMES, Outcome

NOTED = "outcome of a fault"


def _processor() -> str:
    """Return the kernel's name of the processor."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    named = [line.partition(": ")[2] for line in lines if line.startswith("model name")]
    return named[0] if named else platform.machine()


HEAD = "| fault | accepted | done | failed | lost | duplicated | seconds to recover |"

REPORT = f"""\
# What became of the tasks when a plug was pulled

`make test-faults` runs real servers and real workers (`enroll worker`, two processes each), accepts
500 tasks, pulls a plug, and waits until nothing is queued or running. Then the message of every
task is delivered once more, each delivery must be refused, the broker must be empty, and the
effects are counted: each task inserts a row in a table of its own and puts an object into the
bucket, of known content. `make test` does the same with 50 tasks, and with servers that stay away
for 5 s instead of 30 s.

- **accepted**: whose transaction had committed. All are in **done** or **failed**; an operator can
  read the failed ones and replay them. They are the ones that can't end well.
- **lost**: accepted and neither; or done, and the row or the whole object is not there.
- **duplicated**: rows beyond one a task, rows and objects of tasks that are not done.
- **seconds to recover**: from the moment when the plug is in again (a server answers, another
  worker is started) or, without that, from when the worker started, until the last
  task ended: it holds the work itself.

So that a fault takes seconds, `tests/faults/launcher.py` shortens the worker's times and nothing
else: leases of 2 s instead of 30 s, a publication is given up after 4 s instead of 60 s, errors are
tried again after 0.1 s to 0.3 s instead of 2 s to 10 min. In service, recovery from a dead worker
takes up to the lease's 30 s.

{{date:%Y-%m-%d}}, {os.cpu_count()} cores ({_processor()}), Linux {platform.release()}.

{{table}}
"""


def pytest_runtest_makereport(item, call):
    """Attach a test's outcome to its report, which may come from another process."""
    while call.when == "call" and OUTCOMES:
        item.user_properties.append((NOTED, astuple(OUTCOMES.pop(0))))


def pytest_terminal_summary(terminalreporter):
    """Print the table; write it where FAULT_REPORT says."""
    reports = [each for reports in terminalreporter.stats.values() for each in reports]
    outcomes = [
        Outcome(*value)
        for report in reports
        if getattr(report, "when", "") == "call"
        for name, value in report.user_properties
        if name == NOTED
    ]
    if not outcomes:
        return
    rows = [
        f"| {o.fault} | {o.accepted} | {o.done} | {o.failed} | {o.lost} | {o.duplicated} "
        f"| {o.seconds:.1f} |"
        for o in outcomes
    ]
    table = "\n".join([HEAD, "|---|" + "--:|" * 6, *rows])
    terminalreporter.write_line(table)
    if report := os.environ.get("FAULT_REPORT"):
        Path(report).write_text(REPORT.format(date=datetime.now(UTC), table=table))
