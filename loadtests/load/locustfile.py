"""What Locust runs: `LOADTEST_SHAPE=smoke locust -f loadtests/load/locustfile.py`.

`make loadtest` does this and more: it starts the service, fills it, and judges.
"""

import sys
import time
from pathlib import Path
from typing import Any

import gevent
from locust import events
from locust.runners import WorkerRunner

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # Locust imports by path

from loadtests.load import dataset
from loadtests.load.admins import Admin, Operator
from loadtests.load.students import BrowsingStudent, EnrollingStudent
from loadtests.load.users import Arriving

USERS = (BrowsingStudent, EnrollingStudent, Admin, Operator)


def _set_up() -> None:
    Arriving.dataset = dataset.from_environment()
    # In a function: Locust takes every class that it finds in the module for one to spawn.
    for user in USERS:
        user.fixed_count = Arriving.dataset.shape.count(user.role)


_set_up()


@events.test_start.add_listener
def _start(environment: Any, **_kwargs: Any) -> None:
    Arriving.dataset.random.seed()  # forked processes must not draw the same
    gevent.spawn(_record)
    if not isinstance(environment.runner, WorkerRunner):
        gevent.spawn(_stop_at_end, environment)


def _record() -> None:
    recorder = Arriving.dataset.recorder
    while True:
        # On the seconds of the shape's clock, which all processes share.
        gevent.sleep(1 - (time.monotonic() - recorder.start) % 1)
        recorder.flush()


def _stop_at_end(environment: Any) -> None:
    play = Arriving.dataset
    gevent.sleep(max(0.0, play.recorder.start + play.shape.seconds - time.monotonic()))
    environment.runner.quit()
