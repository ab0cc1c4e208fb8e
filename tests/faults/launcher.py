"""A worker with short intervals: the same code, so that a fault takes seconds, not minutes."""

import asyncio
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from fault_effects import REFUSED, TICK, meet
from kombu import Producer

import infra.queue.publish
import infra.queue.sweep
import worker.app
import worker.companions
import worker.heartbeat
import worker.relay
from cli.main import main
from infra.queue import leases, successors
from infra.queue.leases import Claim
from infra.queue.schedule import Scheduler
from models import Task

leases.LEASE_SECONDS = float(os.environ.get("FAULT_LEASE_SECONDS", "2"))
leases.BACKOFF = "make_interval(secs => 0.1 + random() / 5)"
worker.app.app.tasks["fault.hung"].time_limit = 2
worker.heartbeat.HEARTBEAT_SECONDS = 0.5
infra.queue.publish.PUBLISHED_LEASE_SECONDS = 4.0
infra.queue.sweep.LOST_AFTER_SECONDS = 1.0
worker.relay.PROBE_SECONDS = 1.0


def watch_claims() -> None:
    """Kill marked workers between message and claim; log refused claims."""
    claim = leases.claim

    async def claiming(task_id: UUID, *worker: object, **options: bool) -> Claim | None:
        meet("before the claim", task_id)
        claimed = await claim(task_id, *worker, **options)
        if claimed is None:
            task = await Task.get_or_none(id=task_id)
            sys.stdout.write(f"{REFUSED} {task and task.state.value} {task_id}\n")
            sys.stdout.flush()
        return claimed

    leases.claim = claiming


def die_publishing(place: str) -> None:
    """Kill this worker when the relay has marked a batch and sent some, all or none of it."""
    batch = Producer.batch

    @contextmanager
    def one_by_one(self: Producer) -> Iterator[None]:
        # Otherwise all messages of a batch would be sent at its end.
        with batch(self, max_size=1):
            yield

    relay = worker.relay.Relay
    send, send_all, sent = relay._send, relay._send_all, []  # noqa: SLF001  the places are there

    def sending(self: worker.relay.Relay, row: object) -> None:
        if len(sent) == (5 if place == "in the middle of" else 0):
            os.kill(os.getpid(), signal.SIGKILL)
        sent.append(row)
        send(self, row)

    def sending_all(self: worker.relay.Relay, rows: list[object]) -> None:
        send_all(self, rows)
        os.kill(os.getpid(), signal.SIGKILL)

    if place == "after":
        relay._send_all = sending_all  # noqa: SLF001  it has no public name
    else:
        Producer.batch = one_by_one
        relay._send = sending  # noqa: SLF001  it has no public name


def die_scheduling(place: str) -> None:
    """Kill this worker before, during or after the statement that enqueues a slot."""
    enqueue = Scheduler._enqueue  # noqa: SLF001  the place is there

    async def enqueueing(self: Scheduler, schedule: dict[str, str], *rest: object) -> None:
        is_victim = schedule["name"] == TICK
        if is_victim and place == "before":
            die()
        if is_victim and place == "during":
            asyncio.get_running_loop().call_later(0.2, die)
        await enqueue(self, schedule, *rest)
        if is_victim:
            die()

    Scheduler._enqueue = enqueueing  # noqa: SLF001  it has no public name


def die_telling(place: str) -> None:
    """Kill this worker when its relay has told successors, before its commit or after it."""
    function = "_tell_of" if place == "before the commit" else "tell"
    tell = getattr(successors, function)

    async def telling(*args: object) -> object:
        told = await tell(*args)
        if args[1]:
            die()
        return told

    setattr(successors, function, telling)


def die() -> None:
    """Kill this process."""
    os.kill(os.getpid(), signal.SIGKILL)


watch_claims()
match os.environ.get("FAULT", "").split(" ", 2):
    case ["die", "publishing", place]:
        die_publishing(place)
    case ["die", "scheduling", place]:
        die_scheduling(place)
    case ["die", "telling", place]:
        die_telling(place)
    case ["companions", "for", seconds]:
        worker.companions.TAKING_SECONDS = float(seconds)
    case ["no", "heartbeat"]:
        worker.heartbeat.HEARTBEAT_SECONDS = 3600
if __name__ == "__main__":
    main()
