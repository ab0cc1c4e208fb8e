"""Signals that come together, and where no exception leaves: the process ends, without an error."""

import itertools
import signal
import subprocess
import sys

import pytest

NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT")
# Both wait for the interpreter, which runs the handler of the lower number first.
TOGETHER = """
import os, signal
from infra.process import signals

def send():
    both = {{signal.{one}, signal.{other}}}
    signal.pthread_sigmask(signal.SIG_BLOCK, both)
    for each in both:
        os.kill(os.getpid(), each)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, both)
"""
RAISING = """
signals.raise_on_signal()
try:
    send()
finally:
    signals.restore_defaults()
"""
IN_A_LOOP = """
import asyncio
signals.raise_on_signal()

async def main():
    send()
    await asyncio.sleep(30)

try:
    signals.run(main(), grace_seconds=1)
except signals.Stopped:
    signals.exit_by_signal(signals.received_signal())
"""
IN_A_HANDLER = """
signal.signal(signal.{one}, lambda *_: signals.end_on_signal())
signal.signal(signal.{other}, lambda *_: signals.end_on_signal())
send()
"""

# Python reports an exception there, and goes on.
WITHOUT_A_CALLER = {
    "a weak reference": "kept = Kept(); found = weakref.ref(kept, send); del kept",
    "a finalizer": "Kept.__del__ = send; kept = Kept(); del kept",
    "a collection": "gc.callbacks.append(lambda *_: send()); gc.collect()",
}
LOST = """
import gc, os, signal, time, weakref
from infra.process import signals

class Kept: pass

def send(*_):
    gc.callbacks.clear()
    if not signals.received_signal():
        os.kill(os.getpid(), signal.SIGTERM)

signals.raise_on_signal()
try:
    {place}
    time.sleep(10)
except signals.Stopped:
    print("stopped")
signals.restore_defaults()
signals.exit_by_signal(signals.received_signal())
"""

# At each line of asyncio between the end of the coroutine and that of the loop.
AS_IT_CLOSES = """
import asyncio, itertools, os, signal, sys
from infra.process import signals

def run(last):
    ended, lines = False, 0

    def trace(frame, event, _):
        nonlocal lines
        if ended and event == "line" and "asyncio" in frame.f_code.co_filename:
            lines += 1
            if lines == last:
                os.kill(os.getpid(), signal.SIGTERM)
        return trace

    async def main():
        nonlocal ended
        ended = True

    signals.raise_on_signal()
    sys.settrace(trace)
    try:
        signals.run(main())
    except signals.Stopped:
        signals.exit_by_signal(signals.received_signal())
    finally:
        sys.settrace(None)
    os._exit(LOST if lines >= last else OVER)

LOST, OVER = 3, 4
for last in itertools.count(1):
    if not (pid := os.fork()):
        run(last)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if code != -signal.SIGTERM:
        print("lost at" if code == LOST else "never lost in", last)
        sys.exit(code != OVER)
"""


@pytest.mark.parametrize("place", WITHOUT_A_CALLER.values(), ids=WITHOUT_A_CALLER.keys())
def test_a_signal_where_no_exception_leaves_ends_the_process(place):
    ran = subprocess.run(
        (sys.executable, "-u", "-c", LOST.format(place=place)),
        check=False,
        capture_output=True,
        text=True,
        timeout=8,
    )
    assert ran.returncode == -signal.SIGTERM
    assert (ran.stdout, ran.stderr) == ("stopped\n", "")


@pytest.mark.parametrize(
    "program", [RAISING, IN_A_LOOP, IN_A_HANDLER], ids=["raising", "in a loop", "in a handler"]
)
@pytest.mark.parametrize(("one", "other"), [*itertools.combinations(NAMES, 2)])
def test_two_signals_at_once_end_the_process_without_an_error(program, one, other):
    ran = subprocess.run(
        (sys.executable, "-c", (TOGETHER + program).format(one=one, other=other)),
        check=False,
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert -ran.returncode in {signal.Signals[one], signal.Signals[other]}
    assert ran.stderr == ""


def test_a_signal_while_an_event_loop_closes_is_not_lost():
    ran = subprocess.run(
        (sys.executable, "-c", AS_IT_CLOSES), check=False, capture_output=True, text=True
    )
    assert (ran.returncode, ran.stderr) == (0, ""), ran.stdout
    assert int(ran.stdout.removeprefix("never lost in ")) > 100
