"""What operators do to queues, with its record in the audit log."""

from dataclasses import asdict
from datetime import timedelta

from infra.db.transactions import transaction
from infra.queue import queues
from infra.queue.queues import Limits
from services.audit import trail
from services.audit.trail import Action


async def pause(name: str, duration: timedelta | None) -> None:
    """Let no more tasks of a queue start, until `resume` or for a duration."""
    async with transaction():
        await queues.pause(name, duration)
        details = {"seconds": duration.total_seconds()} if duration else None
        await trail.record(Action.PAUSE_QUEUE, name, details)


async def resume(name: str) -> None:
    """Let tasks of a queue start again.

    Raises:
        QueueNotPaused: it is not paused.

    """
    async with transaction():
        await queues.resume(name)
        await trail.record(Action.RESUME_QUEUE, name)


async def limit(name: str, limits: Limits) -> None:
    """Set all limits of a queue, for the tasks that start from now on."""
    async with transaction():
        await queues.limit(name, limits)
        await trail.record(Action.LIMIT_QUEUE, name, asdict(limits))


async def unlimit(name: str) -> None:
    """Remove all limits of a queue.

    Raises:
        QueueNotLimited: it has none.

    """
    async with transaction():
        await queues.unlimit(name)
        await trail.record(Action.UNLIMIT_QUEUE, name)
