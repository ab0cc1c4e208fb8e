"""Signals that come together: the process ends by one of them, and reports no error."""

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
