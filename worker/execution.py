"""One run of one task in a worker process: claim, renew the lease, work, finish or fail."""

import asyncio
import traceback
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import cast
from uuid import UUID

from infra.cache import ResponseCache
from infra.errors import DeclaredError
from infra.observability import logs
from infra.queue import leases
from infra.queue.errors import LeaseLost
from infra.queue.leases import Claim
from infra.settings import Settings
from infra.storage import Storage
from tasks.registry import Registration, TaskContext
from tasks.threads import BodyThread
from worker.heartbeat import Heartbeat, Run

UNFORESEEN = "The task failed for an unforeseen reason; its traceback is kept"

log = logs.get_logger(__name__)


@dataclass(frozen=True)
class Backends:
    """The resources that the tasks of this process share."""

    settings: Settings
    storage: Storage
    cache: ResponseCache
    registry: dict[str, Registration]
    worker: str
    heartbeat: Heartbeat


class ThreadLeftBehind(Exception):
    """The task has ended, and its thread works on; the process has to end to stop it"""


async def execute(
    backends: Backends, task_id: UUID, note: Callable[[str], None] = lambda _: None
) -> str | None:
    """Run the task if it can be claimed; return its state afterwards, else None.

    `note` is called with the public reason of a failed attempt.

    Raises:
        MemoryError: memory ran out; the attempt has failed, and the process must end.
        ThreadLeftBehind: an abandoned attempt's thread still runs; the process must end.

    """
    claim = await leases.claim(task_id, backends.worker)
    if claim is None:
        return None
    logs.bind(task_id=str(claim.id), task=claim.name, request_id=claim.request_id)
    registration = backends.registry[claim.name]
    context = TaskContext(
        claim,
        settings=backends.settings,
        storage=backends.storage,
        cache=backends.cache,
        log=log,
    )
    thread = BodyThread(registration.body) if registration.runs_in_thread else None
    state = await _attempt(backends, claim, context, thread, note)
    if thread and not await thread.has_ended():
        raise ThreadLeftBehind
    return state


async def _attempt(
    backends: Backends,
    claim: Claim,
    context: TaskContext,
    thread: BodyThread | None,
    note: Callable[[str], None],
) -> str | None:
    registration = backends.registry[claim.name]
    limit = asyncio.timeout(registration.timeout)
    run = Run(claim, registration.timeout, lambda: context.is_finishing)
    try:
        async with limit:
            with backends.heartbeat.keeping(run):
                if thread:
                    await thread.run(context, claim.args)
                else:
                    await cast("Awaitable[None]", registration.body(context, **claim.args))
                await context.finish()
    except LeaseLost:
        cancelled = await leases.mark_cancelled(claim)
        log.warning("task_taken_away", attempt=claim.attempt, cancelled=cancelled)
        return "cancelled" if cancelled else None
    except MemoryError as error:
        # The frames hold the memory that was too much.
        traceback.clear_frames(error.__traceback__)
        # If this fails too, the lease lapses.
        with suppress(Exception):
            await _fail_attempt(claim, registration, error, note, is_late=False)
        raise
    except Exception as error:  # noqa: BLE001  a task's error ends the task, not the process
        return await _fail_attempt(claim, registration, error, note, is_late=limit.expired())
    log.info("task_succeeded", attempt=claim.attempt)
    return "succeeded"


async def _fail_attempt(
    claim: Claim,
    registration: Registration,
    error: Exception,
    note: Callable[[str], None],
    *,
    is_late: bool,
) -> str | None:
    sentence = _sentence(error, registration)
    if is_late and isinstance(error, TimeoutError):
        # Not for a TimeoutError that the body raises itself before its limit.
        sentence = f"The task took longer than its {registration.timeout:g} s"
    permanent = isinstance(error, registration.permanent)
    state = await leases.fail_attempt(claim, sentence, traceback.format_exc(), permanent=permanent)
    note(sentence)
    # The traceback of a declared error is of no use.
    trace = None if _is_declared(error, registration) else error
    about = {"attempt": claim.attempt, "state": state, "error": sentence}
    log.warning("task_attempt_failed", **about, exc_info=trace)
    return state


def _is_declared(error: Exception, registration: Registration) -> bool:
    return isinstance(error, (DeclaredError, *registration.permanent))


def _sentence(error: Exception, registration: Registration) -> str:
    """Return the public reason of an error, without internals."""
    if _is_declared(error, registration):
        return str(error)
    return UNFORESEEN
