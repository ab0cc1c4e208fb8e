"""What a worker's main process does for `enroll workers`."""

from collections import Counter
from typing import Any

from celery.worker import control
from celery.worker import state as requests
from celery.worker.control import control_command, inspect_command

from tasks.registry import queues
from worker.stops import Stops

stops = Stops(queues())
# Celery's own, which those below replace.
_CANCEL_CONSUMER, _ADD_CONSUMER = control.cancel_consumer, control.add_consumer


@inspect_command()  # type: ignore[untyped-decorator]
def holdings(state: Any) -> dict[str, Any]:
    """Return the queues that it takes tasks of, and the tasks that it has taken, by queue."""
    consumer = state.consumer.task_consumer
    # Without a broker it has no consumer.
    consumed = [queue.name for queue in consumer.queues] if consumer else []
    # Running ones are among them.
    held = Counter(each.delivery_info["routing_key"] for each in requests.reserved_requests)
    return {"queues": sorted(consumed), "held": held}


@control_command(args=[("queue", str)], signature="<queue>")  # type: ignore[untyped-decorator]
def cancel_consumer(state: Any, queue: str, **options: Any) -> Any:
    """Take no more tasks of a queue, neither by messages nor as companions."""
    stops.stop(queue)
    return _CANCEL_CONSUMER(state, queue, **options)


@control_command(args=[("queue", str)], signature="<queue>")  # type: ignore[untyped-decorator]
def add_consumer(state: Any, queue: str, **options: Any) -> Any:
    """Take tasks of a queue again."""
    stops.resume(queue)
    return _ADD_CONSUMER(state, queue, **options)
