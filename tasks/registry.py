"""The `@task` decorator, its registry, and the context of a running task."""

import importlib
import inspect
import json
import os
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache, cached_property
from importlib.metadata import EntryPoint, entry_points
from types import MappingProxyType
from typing import Any, TypeVar, cast
from uuid import UUID

from infra import plugins
from infra.cache import ResponseCache
from infra.db.transactions import transaction
from infra.identity import qualified
from infra.observability import logs, tracing
from infra.observability.events import Event
from infra.queue import checkpoints, leases, life, results
from infra.queue.arguments import Arguments
from infra.queue.errors import MAX_SNOOZE_SECONDS
from infra.queue.kind import KINDS
from infra.queue.leases import Claim
from infra.queue.results import Predecessor
from infra.queue.timing import InvalidTiming, Timing, declared
from infra.settings import Settings, SettingsError, Use, load_settings
from infra.storage import Storage
from services.flags.evaluate import Flags
from services.flags.feed import FlagFeed

QUEUE = qualified("tasks.queue")
BUILT_IN = (
    *(qualified(f"tasks.{name}") for name in ("backups", "cache", "images", "maintenance")),
    QUEUE,
)
QUEUES = frozenset({"default", "images", "cache", "maintenance"})

MAX_CONCURRENCY = 10_000
# Each may need a connection to the database.
MAX_CONCURRENCY_PER_PROCESS = 100
# Each task of a process may have a transaction; this is for statements beside one.
SPARE_CONNECTIONS = 1
MAX_KEPT = timedelta(days=100 * 366)

log = logs.get_logger(__name__)


class PermanentError(Exception):
    """The task can't succeed however often it is tried"""


class NoBackend(RuntimeError):
    """The application of TASK_APP does not have what its task uses"""


class TaskContext:
    """The context of a running task: its id and attempt, the backends, progress, and its commit."""

    def __init__(  # noqa: PLR0913  a keyword a backend
        self,
        claim: Claim,
        *,
        settings: Settings,
        storage: Storage | None,
        cache: ResponseCache,
        flags: FlagFeed | None,
        log: logs.Logger,
    ) -> None:
        self.id: UUID = claim.id
        self.attempt = claim.attempt
        self.settings = settings
        self.cache = cache
        self.log = log
        # True while the task is marked succeeded: the heartbeat then neither renews nor cancels.
        self.is_finishing = False
        self._claim = claim
        self._storage = storage
        self._flags = flags
        self._result: str | None = None

    @property
    def storage(self) -> Storage:
        """The image store.

        Raises:
            NoBackend: the application's settings name none.

        """
        if self._storage is None:
            raise NoBackend("STORAGE_URL or S3_BUCKET_NAME is missing")
        return self._storage

    async def progress(self, percent: int) -> None:
        """Report how far the work is, 0 to 100.

        Raises:
            LeaseLost: another run has the task, or it was cancelled; do not catch it.

        """
        await leases.report(self._claim, percent)

    async def checkpoint(self) -> dict[str, Any] | None:
        """Return what `save` stored last, also by an earlier attempt."""
        return await checkpoints.read(self._claim)

    async def save(self, checkpoint: dict[str, Any], percent: int) -> None:
        """Store how far the work is, in the transaction of that work if one is running.

        Raises:
            LeaseLost: another run has the task, or it was cancelled; do not catch it.

        """
        await checkpoints.save(self._claim, checkpoint, percent)

    async def flags(self) -> Flags:
        """Return the feature flags as they are now; call it before `finishing`.

        Raises:
            NoBackend: the tasks are those of TASK_APP, which has no flags.

        """
        if self._flags is None:
            raise NoBackend("TASK_APP has no feature flags")
        await self._flags.catch_up()
        return self._flags.flags

    async def predecessors(self) -> dict[str, Predecessor]:
        """Return the tasks that this one has waited for, by the names that it has for them."""
        return await results.predecessors(self.id)

    def set_result(self, result: object) -> None:
        """Set the result that `finishing` stores; a body without `finishing` returns it.

        Raises:
            InvalidResult: it is no JSON, or too large.

        """
        self._result = results.dump(result)

    @asynccontextmanager
    async def finishing(self) -> AsyncIterator[None]:
        """Commit the block's database writes together with `succeeded`, or none of them.

        Raises:
            LeaseLost: another run has the task, or it was cancelled; do not catch it.

        """
        self.is_finishing = True
        try:
            with tracing.span("finish"):
                async with transaction():
                    await leases.finish(self._claim, self._result)
                    yield
        except BaseException:
            self.is_finishing = False
            raise

    async def finish(self, result: object = None) -> None:
        """Mark the task succeeded with what its body returned, unless the body has done so.

        Raises:
            LeaseLost: another run has the task, or it was cancelled; do not catch it.
            InvalidResult: the result is no JSON, or too large.

        """
        if self.is_finishing:
            if result is not None:
                self.log.warning(Event.RESULT_NOT_STORED)
            return
        if result is not None:
            self.set_result(result)
        self.is_finishing = True
        with tracing.span("finish"):
            await leases.complete_without_effects(self._claim, self._result)


# A coroutine function of a `TaskContext`, or a plain function of a `ThreadTaskContext`.
TaskBody = Callable[..., object]
Body = TypeVar("Body", bound=TaskBody)
# Makes the arguments of a version, as in the row's JSON, those of the next version.
Upgrade = Callable[[dict[str, Any]], Mapping[str, object]]


@dataclass(frozen=True)
class Registration:
    """A kind of task. `timeout` is in seconds; `permanent` errors are not retried.

    `priority` is added to the priority of each row. Of the tasks with one concurrency key,
    `concurrency_per_key` run at a time; of all, `concurrency_per_process` in each process.
    `keep_for` is the retention of those that succeeded or were cancelled.
    """

    name: str
    body: TaskBody
    queue: str
    max_attempts: int
    timeout: float
    permanent: tuple[type[Exception], ...]
    timing: Timing | None
    priority: int = 0
    version: int = 1
    # By version, what makes its arguments those of the next one.
    upgrade: Mapping[int, Upgrade] = field(default_factory=dict)
    concurrency_per_key: int = 1
    concurrency_per_process: int = 1
    backoff: tuple[float, ...] = ()
    keep_for: timedelta | None = None

    @property
    def runs_in_thread(self) -> bool:
        """Whether the body is a plain function."""
        return not inspect.iscoroutinefunction(self.body)

    @cached_property
    def arguments(self) -> Arguments:
        """The arguments that the body takes.

        Raises:
            TypeError: a parameter can't be an argument, or its annotation can't be validated.

        """
        return Arguments(self.name, self.body)

    def arguments_of(self, claim: Claim) -> dict[str, Any]:
        """Return the arguments of a row, upgraded if its version is older.

        Raises:
            InvalidArguments: the body does not take them.

        """
        if claim.version == self.version:
            return self.arguments.load(claim.args)
        args = json.loads(claim.args)
        for version in range(claim.version, self.version):
            args = self.upgrade[version](args)
        return self.arguments.load(self.arguments.dump(args))


# The queue's, so that enqueueing validates arguments in each process that has loaded the tasks.
REGISTRY = cast("dict[str, Registration]", KINDS)


def task(  # noqa: PLR0913  each is a property of a kind of task, and all but one have defaults
    name: str,
    *,
    queue: str = "default",
    max_attempts: int = 5,
    timeout: float = 60,
    permanent: tuple[type[Exception], ...] = (),
    every: int | None = None,
    cron: str | None = None,
    tz: str | None = None,
    priority: int = 0,
    version: int = 1,
    upgrade: Mapping[int, Upgrade] = MappingProxyType({}),
    concurrency_per_key: int = 1,
    concurrency_per_process: int = 1,
    backoff: Sequence[float] = (),
    keep_for: timedelta | None = None,
) -> Callable[[Body], Body]:
    """Register a function as the kind of task called `name`.

    The function gets a context and the enqueued arguments, and must be safe to run twice. A
    coroutine function runs on the process's event loop with a `TaskContext`. A plain function runs
    in a thread with a `ThreadTaskContext`. What it returns is the result: JSON of at most
    `MAX_RESULT_BYTES`. With `every`, the workers enqueue the task once in each slot of so many
    seconds; with `cron`, at the times that match the expression in the time zone `tz`, which is UTC
    if it is not given.

    Tasks with a higher `priority` leave a queue first. Of the tasks that have the same concurrency
    key, `concurrency_per_key` run at a time, on all workers. Of a coroutine function,
    `concurrency_per_process` tasks run at a time on the event loop of each process.

    `backoff` has the seconds to wait after the first failed attempt, the second and so on, with
    jitter; the last one counts for all later ones. Without it they double from 2 s to 10 min.

    Tasks that succeeded or were cancelled are kept with their results for `keep_for` after their
    end, or for as long as the setting says. Failed ones stay.

    Pydantic validates the arguments by the annotations of the parameters: `enqueue` refuses what
    does not fit, and the function gets values of these types, such as UUIDs, enums and models.

    A row has the `version` of the code that enqueued it. `upgrade` has a plain function for each
    version before this one; it makes the arguments of its version those of the next. A worker whose
    code is older leaves the row to others.

    Raises:
        InvalidTiming: `every`, `cron` or `tz` are not understood, or are no pair; a ValueError.
        ValueError: another function has this name, a number is out of its range, or a step of
            `upgrade` is missing or has no version.
        TypeError: the object cannot run as a task, a parameter cannot be an argument, or a task
            with a schedule needs arguments.

    """
    if not 1 <= concurrency_per_key <= MAX_CONCURRENCY:
        raise ValueError(
            f"concurrency_per_key of {name} must be from 1 to {MAX_CONCURRENCY} "
            f"(it is {concurrency_per_key})"
        )
    if not 1 <= concurrency_per_process <= MAX_CONCURRENCY_PER_PROCESS:
        raise ValueError(
            f"concurrency_per_process of {name} must be from 1 to {MAX_CONCURRENCY_PER_PROCESS} "
            f"(it is {concurrency_per_process})"
        )
    if not all(0 <= seconds <= MAX_SNOOZE_SECONDS for seconds in backoff):
        raise ValueError(
            f"backoff of {name} must be seconds from 0 to {MAX_SNOOZE_SECONDS:g} (it is {backoff})"
        )
    if keep_for is not None and not timedelta() <= keep_for <= MAX_KEPT:
        raise ValueError(f"keep_for of {name} must be from 0 to {MAX_KEPT} (it is {keep_for})")
    try:
        timing = declared(every, cron, tz)
    except InvalidTiming as error:
        raise InvalidTiming(f"@task({name!r}): {error}") from None

    def register(body: Body) -> Body:
        _check(body)
        if concurrency_per_process > 1 and not inspect.iscoroutinefunction(body):
            raise TypeError(
                f"concurrency_per_process of {name!r} is for coroutine functions, and "
                f"{_place(body)} is a plain function"
            )
        _check_upgrade(name, version, upgrade)
        if name in REGISTRY and _place(REGISTRY[name].body) != _place(body):
            raise ValueError(
                f"two tasks are called {name!r}: {_place(REGISTRY[name].body)} and {_place(body)}"
            )
        registration = Registration(
            name=name,
            body=body,
            queue=queue,
            max_attempts=max_attempts,
            timeout=timeout,
            permanent=(PermanentError, *permanent),
            timing=timing,
            priority=priority,
            version=version,
            upgrade=dict(upgrade),
            concurrency_per_key=concurrency_per_key,
            concurrency_per_process=concurrency_per_process,
            backoff=tuple(backoff),
            keep_for=keep_for,
        )
        needed = registration.arguments.required
        if timing and needed:
            raise TypeError(f"the periodic task {name!r} can't need arguments: {', '.join(needed)}")
        REGISTRY[name] = registration
        return body

    return register


@cache
def load_tasks() -> dict[str, Registration]:
    """Import the built-in task modules and those of plug-ins; return the registry.

    With TASK_APP the built-in ones are the queue's, and that of the application. A plug-in that
    fails to import is logged and left out: its tasks wait in the database.

    Raises:
        SettingsError: the application can't be imported.

    """
    app = load_settings(uses=Use(0), use_running_servers=False).task_app
    for module in BUILT_IN if app is None else (QUEUE,):
        importlib.import_module(module)
    if app is not None:
        _load_app(app)
    for plugin in entry_points(group=plugins.TASKS):
        _load_plugin(plugin)
    # Here, so that the first task that is enqueued does not wait for it.
    life.registered()
    return REGISTRY


def queues() -> list[str]:
    """Return the default queues of a worker: the built-in ones and those of all tasks."""
    return sorted(QUEUES | {kind.queue for kind in load_tasks().values()})


def most_at_once() -> int:
    """Return the most tasks that a process of a worker runs at a time."""
    return max(kind.concurrency_per_process for kind in load_tasks().values())


def _load_app(module: str) -> None:
    # As of `python -m`: the folder in which an installed command runs is not on the path.
    if (here := os.getcwd()) not in sys.path:  # noqa: PTH109  the path has text
        sys.path.insert(0, here)
    try:
        importlib.import_module(module)
    except ImportError as error:
        raise SettingsError(f"TASK_APP: {module} can't be imported: {error}") from error


def _load_plugin(plugin: EntryPoint) -> None:
    before = dict(REGISTRY)
    try:
        plugin.load()
    except Exception:
        # Removes the tasks that it registered before the error: no plug-in runs in part.
        REGISTRY.clear()
        REGISTRY.update(before)
        package = plugin.dist.name if plugin.dist else None
        log.exception(Event.PLUGIN_FAILED, plugin=plugin.name, module=plugin.value, package=package)


def _check(body: TaskBody) -> None:
    """Refuse functions whose call does not run them: generators, plainly wrapped coroutines."""
    if not inspect.isfunction(body):
        raise TypeError(f"@task is for functions, and {body!r} is none")
    if inspect.isgeneratorfunction(body) or inspect.isasyncgenfunction(body):
        raise TypeError(f"@task can't run {_place(body)}: it yields, so it is a generator")
    is_wrapped = inspect.iscoroutinefunction(inspect.unwrap(body))
    if is_wrapped and not inspect.iscoroutinefunction(body):
        raise TypeError(
            f"@task can't run {_place(body)}: it is a plain function around a coroutine function; "
            "declare the wrapper with `async def`"
        )


def _check_upgrade(name: str, version: int, upgrade: Mapping[int, Upgrade]) -> None:
    """Refuse a version to which not every older row can be upgraded."""
    if version < 1:
        raise ValueError(f"the version of {name!r} must be at least 1 (it is {version})")
    older = set(range(1, version))
    if missing := sorted(older - upgrade.keys()):
        raise ValueError(
            f"version {version} of {name!r} has no upgrade from {', '.join(map(str, missing))}"
        )
    if unknown := sorted(upgrade.keys() - older):
        raise ValueError(
            f"version {version} of {name!r} can't have an upgrade from "
            f"{', '.join(map(str, unknown))}"
        )
    for step in upgrade.values():
        if not callable(step) or inspect.iscoroutinefunction(step):
            raise TypeError(f"an upgrade of {name!r} must be a plain function, and {step!r} is not")


def _place(body: TaskBody) -> str:
    return f"{body.__module__}.{body.__qualname__}"
