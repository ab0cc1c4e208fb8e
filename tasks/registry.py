"""The `@task` decorator, its registry, and the context of a running task."""

import importlib
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import TypeVar
from uuid import UUID

from structlog.stdlib import BoundLogger

from infra.cache import ResponseCache
from infra.db.transactions import transaction
from infra.observability import logs
from infra.queue import leases
from infra.queue.leases import Claim
from infra.settings import Settings
from infra.storage import Storage

PLUGINS = "course_enrollment.tasks"
BUILT_IN = ("tasks.cache", "tasks.images", "tasks.maintenance")
QUEUES = frozenset({"default", "images", "cache", "maintenance"})

log = logs.get_logger(__name__)


class PermanentError(Exception):
    """The task can't succeed however often it is tried"""


class TaskContext:
    """The context of a running task: its id and attempt, the backends, progress, and its commit."""

    def __init__(
        self,
        claim: Claim,
        *,
        settings: Settings,
        storage: Storage,
        cache: ResponseCache,
        log: BoundLogger,
    ) -> None:
        self.id: UUID = claim.id
        self.attempt = claim.attempt
        self.settings = settings
        self.storage = storage
        self.cache = cache
        self.log = log
        # True while the task is marked succeeded: the heartbeat then neither renews nor cancels.
        self.is_finishing = False
        self._claim = claim

    async def progress(self, percent: int) -> None:
        """Report how far the work is, 0 to 100.

        Raises:
            LeaseLost: another run has the task, or it was cancelled; do not catch it.

        """
        await leases.report(self._claim, percent)

    @asynccontextmanager
    async def finishing(self) -> AsyncIterator[None]:
        """Commit the block's database writes together with `succeeded`, or none of them.

        Raises:
            LeaseLost: another run has the task, or it was cancelled; do not catch it.

        """
        self.is_finishing = True
        try:
            async with transaction():
                await leases.finish(self._claim)
                yield
        except BaseException:
            self.is_finishing = False
            raise

    async def finish(self) -> None:
        """Mark the task succeeded, unless the body has done so.

        Raises:
            LeaseLost: another run has the task, or it was cancelled; do not catch it.

        """
        if not self.is_finishing:
            self.is_finishing = True
            await leases.complete_without_effects(self._claim)


# A coroutine function of a `TaskContext`, or a plain function of a `ThreadTaskContext`.
TaskBody = Callable[..., Awaitable[None] | None]
Body = TypeVar("Body", bound=TaskBody)


@dataclass(frozen=True)
class Registration:
    """A kind of task. `timeout` and `every` are in seconds; `permanent` errors are not retried.

    `priority` is added to the priority of each row.
    """

    name: str
    body: TaskBody
    queue: str
    max_attempts: int
    timeout: float
    permanent: tuple[type[Exception], ...]
    every: int | None
    priority: int = 0

    @property
    def runs_in_thread(self) -> bool:
        """Whether the body is a plain function."""
        return not inspect.iscoroutinefunction(self.body)


REGISTRY: dict[str, Registration] = {}


def task(  # noqa: PLR0913  each is a property of a kind of task, and all but one have defaults
    name: str,
    *,
    queue: str = "default",
    max_attempts: int = 5,
    timeout: float = 60,
    permanent: tuple[type[Exception], ...] = (),
    every: int | None = None,
    priority: int = 0,
) -> Callable[[Body], Body]:
    """Register a function as the kind of task called `name`.

    The function gets a context and the enqueued arguments, and must be safe to run twice. A
    coroutine function runs on the process's event loop with a `TaskContext`. A plain function runs
    in a thread with a `ThreadTaskContext`. With `every`, the workers enqueue the task once in each
    slot of so many seconds. Tasks with a higher `priority` leave a queue first.

    Raises:
        ValueError: another function has this name.
        TypeError: the object cannot run as a task.

    """

    def register(body: Body) -> Body:
        _check(body)
        if name in REGISTRY and _place(REGISTRY[name].body) != _place(body):
            raise ValueError(
                f"two tasks are called {name!r}: {_place(REGISTRY[name].body)} and {_place(body)}"
            )
        REGISTRY[name] = Registration(
            name=name,
            body=body,
            queue=queue,
            max_attempts=max_attempts,
            timeout=timeout,
            permanent=(PermanentError, *permanent),
            every=every,
            priority=priority,
        )
        return body

    return register


@cache
def load_tasks() -> dict[str, Registration]:
    """Import the built-in task modules and those of plug-ins; return the registry.

    A plug-in that fails to import is logged and left out: its tasks wait in the database.
    """
    for module in BUILT_IN:
        importlib.import_module(module)
    for plugin in entry_points(group=PLUGINS):
        _load_plugin(plugin)
    return REGISTRY


def queues() -> list[str]:
    """Return the default queues of a worker: the built-in ones and those of all tasks."""
    return sorted(QUEUES | {kind.queue for kind in load_tasks().values()})


def _load_plugin(plugin: EntryPoint) -> None:
    before = dict(REGISTRY)
    try:
        plugin.load()
    except Exception:
        # Removes the tasks that it registered before the error: no plug-in runs in part.
        REGISTRY.clear()
        REGISTRY.update(before)
        package = plugin.dist.name if plugin.dist else None
        log.exception("plugin_failed", plugin=plugin.name, module=plugin.value, package=package)


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


def _place(body: TaskBody) -> str:
    return f"{body.__module__}.{body.__qualname__}"
