"""Remote control of running workers, by Celery's broadcast messages."""

from dataclasses import dataclass
from typing import Any

from kombu.exceptions import OperationalError

from infra.errors import DeclaredError
from worker.app import app

# A worker that does not answer within this time is not shown.
REPLY_SECONDS = 2.0


class BrokerUnavailable(DeclaredError):
    """The broker is away, so no worker can be reached"""


class WorkerNotFound(DeclaredError):
    """No such worker answers; `enroll workers list` shows those that do"""


@dataclass(frozen=True)
class RunningWorker:
    """A worker, the queues that it takes tasks of, and the tasks that it holds of each queue."""

    name: str
    queues: list[str]
    held: dict[str, int]


def running_workers() -> list[RunningWorker]:
    """Return the workers that answer, by name.

    Raises:
        BrokerUnavailable: the broker is away.

    """
    answers = _ask("holdings", None).items()
    return [RunningWorker(name, **found) for name, found in sorted(answers) if "queues" in found]


def queues_of(worker: str) -> list[str]:
    """Return the queues that a worker takes tasks of.

    Raises:
        WorkerNotFound: it does not answer.
        BrokerUnavailable: the broker is away.

    """
    return list(_ask("holdings", worker)[worker]["queues"])


def stop_consuming(worker: str, queue: str) -> None:
    """Let a worker take no more tasks of a queue, until it is told to or restarted.

    Raises:
        WorkerNotFound: it does not answer.
        BrokerUnavailable: the broker is away.

    """
    _ask("cancel_consumer", worker, queue=queue)


def consume(worker: str, queue: str) -> None:
    """Let a worker take tasks of a queue again.

    Raises:
        WorkerNotFound: it does not answer.
        BrokerUnavailable: the broker is away.

    """
    _ask("add_consumer", worker, queue=queue)


def held_tasks(worker: str, queue: str) -> int:
    """Return how many tasks of a queue a worker runs or has taken from the broker.

    Raises:
        WorkerNotFound: it does not answer.
        BrokerUnavailable: the broker is away.

    """
    held: dict[str, int] = _ask("holdings", worker)[worker]["held"]
    return held.get(queue, 0)


def _ask(command: str, worker: str | None, **arguments: str) -> dict[str, dict[str, Any]]:
    """Send a command to a worker or to all, and return the answers by worker."""
    # Without a limit the answers are awaited for the whole time.
    one = {"destination": [worker], "limit": 1} if worker else {}
    options = {"reply": True, "timeout": REPLY_SECONDS, **one}
    try:
        replies = app.control.broadcast(command, arguments, **options)
    except (OperationalError, OSError) as error:
        raise BrokerUnavailable from error
    answers = {name: answer for reply in replies or () for name, answer in reply.items()}
    if worker and worker not in answers:
        raise WorkerNotFound
    return answers
