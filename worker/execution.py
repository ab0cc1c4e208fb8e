"""One run of one task in a worker process: claim, renew the lease, work, finish or fail."""

import asyncio
import time
import traceback
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import cast
from uuid import UUID

from infra.cache import ResponseCache
from infra.errors import DeclaredError
from infra.observability import logs, metrics, task_metrics, tracing
from infra.observability.events import Event
from infra.observability.spans import Kind
from infra.queue import leases, life
from infra.queue.companions import Companions
from infra.queue.errors import InvalidArguments, InvalidResult, LeaseLost, Snooze
from infra.queue.leases import Claim, KnownKinds
from infra.queue.life import HookedTask
from infra.settings import Settings
from infra.storage import Storage
from services.flags.feed import FlagFeed
from tasks.registry import Registration, TaskContext
from tasks.threads import BodyThread
from worker.companions import run_with_companions
from worker.heartbeat import Heartbeat, Run
from worker.stops import Stops

UNFORESEEN = "The task failed for an unforeseen reason; its traceback is kept"

log = logs.get_logger(__name__)


@dataclass(frozen=True)
class Backends:
    """The resources that the tasks of this process share."""

    settings: Settings
    storage: Storage | None
    cache: ResponseCache
    flags: FlagFeed | None
    registry: dict[str, Registration]
    worker: str
    heartbeat: Heartbeat
    stops: Stops = field(default_factory=Stops)

    @cached_property
    def known_kinds(self) -> KnownKinds:
        """The registry, as claims name it."""
        return KnownKinds.of(self.registry)


class ThreadLeftBehind(Exception):
    """The task has ended, and its thread works on; the process has to end to stop it"""


def _ignore(_reason: str) -> None:
    """Tell nobody."""


async def execute(
    backends: Backends,
    task_id: UUID,
    note: Callable[[str], None] = _ignore,
    *,
    is_hint: bool = False,
) -> str | None:
    """Run the task if it can be claimed; return its state afterwards, else None.

    If several tasks of its kind may run at a time in a process, others run beside it, and all have
    ended afterwards. `note` is called with the public reason of a failed attempt; `is_hint` is as
    of `leases.claim`.

    Raises:
        MemoryError: memory ran out; the attempt has failed, and the process must end.
        ThreadLeftBehind: an abandoned attempt's thread still runs; the process must end.

    """
    began = time.time_ns()
    claim = await leases.claim(task_id, backends.worker, backends.known_kinds, is_hint=is_hint)
    if claim is None:
        return None
    kind = backends.registry[claim.name]
    if kind.concurrency_per_process == 1:
        return await _traced(backends, claim, note, began)
    return await run_with_companions(
        _traced(backends, claim, note, began),
        Companions(claim, kind, backends.worker),
        kind.concurrency_per_process,
        lambda each, began: _traced(backends, each, _ignore, began),
        lambda: not backends.stops.has_stopped(kind.queue),
    )


async def _traced(
    backends: Backends, claim: Claim, note: Callable[[str], None], began: int
) -> str | None:
    about: dict[str, str | int] = {"app.task_id": str(claim.id), "app.attempt": claim.attempt}
    if claim.request_id:
        about["app.request_id"] = claim.request_id
    name = f"process {claim.name}"
    with tracing.span(name, Kind.CONSUMER, about, origin=claim.origin, since=began):
        with tracing.span("claim", since=began):
            pass
        return await _run(backends, claim, note)


async def _run(backends: Backends, claim: Claim, note: Callable[[str], None]) -> str | None:
    logs.bind(
        task_id=str(claim.id),
        task=claim.name,
        request_id=claim.request_id,
        trace_id=tracing.trace_id(),
    )
    registration = backends.registry[claim.name]
    context = TaskContext(
        claim,
        settings=backends.settings,
        storage=backends.storage,
        cache=backends.cache,
        flags=backends.flags,
        log=log,
    )
    thread = BodyThread(registration.body) if registration.runs_in_thread else None
    task_metrics.waits.observe(claim.wait_seconds, (claim.name,))
    task = HookedTask(claim.id, claim.name, claim.attempt)
    await life.state_changed(task, "running")
    state = await _attempt(backends, claim, context, thread, note)
    if state == "succeeded":
        await life.after(task)
    if state is not None:
        await life.state_changed(task, state)
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
    started = time.monotonic()
    limit = asyncio.timeout(registration.timeout)
    run = Run(claim, registration.timeout, lambda: context.is_finishing)
    try:
        async with limit:
            with backends.heartbeat.keeping(run):
                args = registration.arguments_of(claim)
                await life.before(HookedTask(claim.id, claim.name, claim.attempt))
                if thread:
                    result = await thread.run(context, args)
                else:
                    result = await cast("Awaitable[object]", registration.body(context, **args))
                await context.finish(result)
    except Snooze as snooze:
        try:
            await leases.snooze(claim, snooze.seconds)
        except LeaseLost:
            return await _take_away(claim, started)
        note(str(snooze))
        log.debug(Event.TASK_SNOOZED, attempt=claim.attempt, seconds=snooze.seconds)
        return "queued"
    except LeaseLost:
        return await _take_away(claim, started)
    except MemoryError as error:
        # The frames hold the memory that was too much.
        traceback.clear_frames(error.__traceback__)
        # If this fails too, the lease lapses.
        with suppress(Exception):
            state = await _fail_attempt(claim, registration, error, note, is_late=False)
            _counted(claim, state, started)
            metrics.flush()
        raise
    except Exception as error:  # noqa: BLE001  a task's error ends the task, not the process
        state = await _fail_attempt(claim, registration, error, note, is_late=limit.expired())
        return _counted(claim, state, started)
    log.info(Event.TASK_SUCCEEDED, attempt=claim.attempt)
    return _counted(claim, "succeeded", started)


async def _take_away(claim: Claim, started: float) -> str | None:
    """End an attempt whose lease is lost, or whose cancellation was requested."""
    cancelled = await leases.mark_cancelled(claim)
    tracing.annotate({"app.state": "cancelled" if cancelled else "lost"}, str(LeaseLost.__doc__))
    log.warning(Event.TASK_TAKEN_AWAY, attempt=claim.attempt, cancelled=cancelled)
    return _counted(claim, "cancelled" if cancelled else None, started)


def _counted(claim: Claim, state: str | None, started: float) -> str | None:
    """Count the end of an attempt; return its state. The sweep counts one without its lease."""
    if state is not None:
        outcome = "retried" if state == "queued" else state
        task_metrics.attempts.inc(labels=(claim.name, outcome))
        task_metrics.durations.observe(time.monotonic() - started, (claim.name,))
        if state != "queued":
            task_metrics.attempts_taken.observe(claim.attempt, (claim.name,))
    return state


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
    permanent = isinstance(error, (InvalidResult, *registration.permanent))
    state = await leases.fail_attempt(
        claim,
        sentence,
        traceback.format_exc(),
        permanent=permanent,
        backoff=registration.backoff,
    )
    note(sentence)
    if state is not None:
        await life.failed(HookedTask(claim.id, claim.name, claim.attempt), sentence, state)
    tracing.annotate({"app.state": state or "lost"}, sentence)
    # The traceback of a declared error is of no use.
    trace = None if _is_declared(error, registration) else error
    about = {"attempt": claim.attempt, "state": state, "error": sentence}
    log.warning(Event.TASK_ATTEMPT_FAILED, **about, exc_info=trace)
    return state


def _is_declared(error: Exception, registration: Registration) -> bool:
    return isinstance(error, (DeclaredError, InvalidArguments, *registration.permanent))


def _sentence(error: Exception, registration: Registration) -> str:
    """Return the public reason of an error, without internals."""
    if _is_declared(error, registration):
        return str(error)
    return UNFORESEEN
