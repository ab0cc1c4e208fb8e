"""The log's output never blocks: what a reader does not read waits, is dropped, and is counted."""

import fcntl
import json
import os
import socket
import subprocess
import sys
from contextlib import contextmanager

from infra.observability import output

START = """
import os, sys, threading, time
from infra.observability import logs
from infra.observability.events import Event
logs.configure("INFO", "json", process="test")
log = logs.get_logger("test")
def say(number, size=100):
    log.info(Event.IMAGE_DECODED, number=number, text="x" * size)
def wait():
    assert sys.stdin.readline(), "the test goes on"
"""
SECONDS = 60


@contextmanager
def program(code, stderr):
    """Run a program whose log goes to a descriptor."""
    process = subprocess.Popen(
        [sys.executable, "-c", START + code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
    )
    try:
        with process:
            yield process
    finally:
        process.kill()


def small_pipe():
    """Return the ends of a pipe that holds one page."""
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    return reading, writing


def go_on(process):
    """Let the program go on."""
    process.stdin.write("\n")
    process.stdin.flush()


def told(process):
    """Return the next line of the program's standard output."""
    return process.stdout.readline().strip()


def rest(reading):
    """Return all lines up to the end of the program, parsed."""
    with os.fdopen(reading, encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def test_lines_that_nobody_reads_are_dropped_and_reported():
    code = """
for number in range(4000):
    say(number, 1000)
print("done", flush=True)
wait()
"""
    reading, writing = small_pipe()
    with program(code, writing) as process:
        os.close(writing)
        assert told(process) == "done"
        go_on(process)
        lines = rest(reading)
    said = [line for line in lines if line["event"] == "image_decoded"]
    [lost] = [line for line in lines if line["event"] == "log_lines_lost"]
    assert [line["number"] for line in said] == [*range(len(said))]
    assert lost["lines"] == 4000 - len(said)
    assert lost["reason"] == output.NOT_READ
    kept = sum(len(json.dumps(line)) + 1 for line in said)
    assert kept <= output.MAX_PENDING_BYTES + 3 * 4096


def test_the_last_lines_wait_for_a_slow_reader():
    code = "for number in range(100):\n    say(number)\nprint('done', flush=True)"
    reading, writing = small_pipe()
    with program(code, writing) as process:
        os.close(writing)
        assert told(process) == "done"
        assert [line["number"] for line in rest(reading)] == [*range(100)]


def test_the_last_line_of_a_crash_is_written():
    code = "say(1)\nlogs.log_uncaught()\nos.kill(os.getpid(), 9)"
    reading, writing = os.pipe()
    with program(code, writing):
        os.close(writing)
        assert [line["number"] for line in rest(reading)] == [1]


def test_an_end_does_not_wait_for_a_reader_that_has_stopped():
    reading, writing = small_pipe()
    with program("for number in range(1000):\n    say(number)", writing) as process:
        os.close(writing)
        assert process.wait(SECONDS) == 0
    os.close(reading)


def test_a_reader_that_has_gone_stops_nothing():
    reading, writing = os.pipe()
    with program("wait()\nfor n in range(100):\n    say(n)\nprint('done')", writing) as process:
        os.close(writing)
        os.close(reading)
        go_on(process)
        assert told(process) == "done"
        assert process.wait(SECONDS) == 0


def test_lines_of_several_processes_stay_whole():
    """The children fork while another thread logs; none waits for a lock or repeats a line."""
    code = """
def talk(first):
    for number in range(first, first + 200):
        say(number)
threads = [threading.Thread(target=talk, args=(1000 * each,)) for each in range(2)]
for thread in threads:
    thread.start()
children = []
for number in range(2, 6):
    child = os.fork()
    if not child:
        talk(1000 * number)
        logs._output.drain(30)
        os._exit(0)
    children.append(child)
for child in children:
    assert os.waitpid(child, 0)[1] == 0
for thread in threads:
    thread.join()
logs._output.drain(30)
"""
    reading, writing = os.pipe()
    with program(code, writing) as process:
        os.close(writing)
        lines = rest(reading)
        expected = [1000 * each + number for each in range(6) for number in range(200)]
        assert sorted(line["number"] for line in lines) == expected
        assert len({line["pid"] for line in lines}) == 5
        assert process.wait(SECONDS) == 0


def test_a_socket_is_not_waited_for():
    ours, theirs = socket.socketpair()
    code = "for number in range(4000):\n    say(number, 1000)\nprint('done', flush=True)\nwait()"
    with ours, program(code, theirs.fileno()) as process:
        theirs.close()
        assert told(process) == "done"
        go_on(process)
        lines = rest(ours.detach())
    assert lines[-1]["event"] == "log_lines_lost"


def test_a_descriptor_that_cannot_be_opened_again_is_asked_first():
    """As with a pipe of another user, or without Linux."""
    code = """
from infra.observability import output
def refuse(*_):
    raise PermissionError
output.os.open = refuse
output._opened.cache_clear()
logs.configure("INFO", "json", process="test")
for number in range(4000):
    say(number, 1000)
print("done", flush=True)
wait()
"""
    reading, writing = small_pipe()
    with program(code, writing) as process:
        os.close(writing)
        assert told(process) == "done"
        go_on(process)
        assert rest(reading)[-1]["event"] == "log_lines_lost"


def test_a_line_torn_by_a_full_disk_is_completed(tmp_path):
    code = """
import resource
_, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
for number in range(10):
    say(number)
assert logs.take_dropped() == 10 - 4
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
say(10)
"""
    path = tmp_path / "log"
    with path.open("ab") as file, program(code, file) as process:
        assert process.wait(SECONDS) == 0
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line.get("number") for line in lines] == [0, 1, 2, 3, 10, None]
    assert (lines[-1]["event"], lines[-1]["lines"]) == ("log_lines_lost", 6)
