"""What a worker's main process answers to `enroll workers`."""

from collections import Counter
from typing import Any

from celery.worker import state as requests
from celery.worker.control import inspect_command


@inspect_command()  # type: ignore[untyped-decorator]
def holdings(state: Any) -> dict[str, Any]:
    """Return the queues that it takes tasks of, and the tasks that it has taken, by queue."""
    consumer = state.consumer.task_consumer
    # Without a broker it has no consumer.
    queues = [queue.name for queue in consumer.queues] if consumer else []
    # Running ones are among them.
    held = Counter(each.delivery_info["routing_key"] for each in requests.reserved_requests)
    return {"queues": sorted(queues), "held": held}
