"""Processes are replaced one by one, and a successor that fails leaves its predecessor in place."""

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path

# Each process writes its place when it is ready, and when it leaves.
PROGRAM = """
import os, signal, sys, time
from pathlib import Path

from infra.process.prefork import LEAVE, Prefork

folder = Path(sys.argv[1])

def note(what, place):
    os.write(1, f"{what} {place} {os.getpid()}\\n".encode())

def work(place, ready):
    if (folder / "bad").exists():
        raise SystemExit("it fails")
    signal.signal(LEAVE, lambda *_: (note("leaves", place), stubborn() or os._exit(0)))
    note("ready", place)
    ready()
    while True:
        signal.pause()

def stubborn():
    while (folder / "stubborn").exists():
        time.sleep(0.05)

def report(error):
    return 1

with Prefork(report, grace_seconds=1.0) as processes:
    jobs, ends = [work, work, work], lambda place: note("ended", place)
    sys.exit(processes.keep(jobs, lambda: None, ends, replaceable=2))
"""


class Parent:
    """The program, and the lines that it has written."""

    def __init__(self, process: "subprocess.Popen[bytes]", output: Path) -> None:
        self.process = process
        self._output = output

    def lines(self, what: str) -> list[tuple[int, int]]:
        """Return place and id of the processes that have noted this, in order."""
        found = [line.split() for line in self._output.read_text().splitlines()]
        return [(int(line[1]), int(line[2])) for line in found if line[0] == what]

    def wait(self, what: str, count: int) -> list[tuple[int, int]]:
        """Return the notes when there are so many of them."""
        deadline = time.monotonic() + 20
        while len(found := self.lines(what)) < count:
            assert time.monotonic() < deadline, self._output.read_text()
            time.sleep(0.02)
        return found

    def replace(self) -> None:
        os.kill(self.process.pid, signal.SIGUSR2)


@contextmanager
def parent(folder):
    output = folder / "output"
    with output.open("wb") as file:
        process = subprocess.Popen(
            (sys.executable, "-c", PROGRAM, str(folder)), stdout=file, start_new_session=True
        )
    try:
        yield Parent(process, output)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def test_each_process_leaves_when_its_successor_is_ready(tmp_path):
    with parent(tmp_path) as running:
        first = running.wait("ready", 3)
        running.replace()
        running.wait("ended", 2)
        ready, left = running.lines("ready"), running.lines("leaves")
        # The third job is not replaceable; a successor has a place that is free.
        assert sorted(left) == sorted(each for each in first if each[0] != 2)
        assert sorted(place for place, _ in ready[3:]) == [0, 3]
        running.replace()
        running.wait("ended", 4)
        assert sorted(running.lines("leaves")[2:]) == sorted(ready[3:])
        running.process.terminate()
        assert running.process.wait(10) == 0
        assert len(running.lines("ended")) == 7


def test_a_successor_that_fails_leaves_its_predecessor_in_place(tmp_path):
    with parent(tmp_path) as running:
        running.wait("ready", 3)
        (tmp_path / "bad").touch()
        running.replace()
        assert [place for place, _ in running.wait("ended", 1)] == [3]
        (tmp_path / "bad").unlink()
        assert running.lines("leaves") == []
        running.replace()
        running.wait("leaves", 2)
        assert running.process.poll() is None


def test_a_process_that_does_not_leave_is_killed(tmp_path):
    with parent(tmp_path) as running:
        running.wait("ready", 3)
        (tmp_path / "stubborn").touch()
        running.replace()
        running.wait("ended", 2)
        assert len(running.wait("ready", 5)) == 5


def test_the_signal_to_all_processes_ends_none_of_them(tmp_path):
    with parent(tmp_path) as running:
        first = running.wait("ready", 3)
        for pid in (*(pid for _, pid in first), running.process.pid):
            os.kill(pid, signal.SIGUSR2)
        running.wait("ended", 2)
        assert len(running.lines("leaves")) == 2


def test_a_stop_during_a_replacement_ends_all(tmp_path):
    with parent(tmp_path) as running:
        running.wait("ready", 3)
        (tmp_path / "stubborn").touch()
        running.replace()
        running.wait("leaves", 1)
        running.process.terminate()
        assert running.process.wait(10) == 0
        assert len(running.lines("ended")) == 4
