"""Hooks and notifiers of installed packages in the life of a task (docs/plugging-in.md).

An error of `enqueued` rolls back the enqueuing, one of `before` fails the attempt. The others run
when all is committed: their errors are logged, and a process that dies may leave one out.
"""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, cast
from uuid import UUID

from infra import plugins
from infra.observability import logs
from infra.observability.events import Event

# A hook after a commit that takes longer is given up: it keeps the place of its task.
HOOK_SECONDS = 10

log = logs.get_logger(__name__)


@dataclass(frozen=True)
class HookedTask:
    """The task that a hook is about; `attempt` is 0 before the first one."""

    id: UUID
    name: str
    attempt: int = 0


# Is told of a task that has failed for good, and of the reason.
Notifier = Callable[[HookedTask, str], Awaitable[object]]


class Hooks:
    """What a package does in the life of each task; it overrides some of these."""

    async def enqueued(self, task: HookedTask, args: str) -> None:
        """Add to the transaction in which a caller enqueues a new task; `args` are JSON.

        It is not called for the tasks of schedules.
        """

    async def before(self, task: HookedTask) -> None:
        """Run before the body, within the time limit of the attempt."""

    async def after(self, task: HookedTask) -> None:
        """Run after an attempt that has succeeded."""

    async def failed(self, task: HookedTask, error: str, state: str) -> None:
        """Run after an attempt that has failed; the state is `queued` if another one follows."""

    async def state_changed(self, task: HookedTask, state: str) -> None:
        """Run after a worker, the sweep or an operator has changed the state to this one."""


@cache
def registered() -> tuple[Hooks, ...]:
    """Return the hooks of the installed packages; those that can't be used are logged."""
    return tuple(_made(each) for each in _loaded(plugins.HOOKS))


@cache
def notifiers() -> tuple[Notifier, ...]:
    """Return the notifiers of the installed packages; those that can't be used are logged."""
    return tuple(_loaded(plugins.NOTIFIERS))


async def enqueued(task: HookedTask, args: str) -> None:
    """Run the hooks of a new task, in the running transaction."""
    for hooks in registered():
        await hooks.enqueued(task, args)


async def before(task: HookedTask) -> None:
    """Run the hooks of an attempt that begins."""
    for hooks in registered():
        await hooks.before(task)


async def after(task: HookedTask) -> None:
    """Run the hooks of an attempt that has succeeded."""
    for hooks in registered():
        await _logged(hooks.after(task), hooks)


async def failed(task: HookedTask, error: str, state: str) -> None:
    """Run the hooks of an attempt that has failed, and the notifiers if none follows."""
    for hooks in registered():
        await _logged(hooks.failed(task, error, state), hooks)
    if state == "failed":
        for notifier in notifiers():
            await _logged(notifier(task, error), notifier)


async def state_changed(task: HookedTask, state: str) -> None:
    """Run the hooks of a new state."""
    for hooks in registered():
        await _logged(hooks.state_changed(task, state), hooks)


async def _logged(running: Awaitable[object], hook: object) -> None:
    try:
        async with asyncio.timeout(HOOK_SECONDS):
            await running
    except Exception:
        log.exception(Event.HOOK_FAILED, plugin=repr(hook))


def _made(given: Any) -> Hooks:
    # A class, or an object of one.
    return cast("Hooks", given() if inspect.isclass(given) else given)


def _loaded(group: str) -> list[Any]:
    found = []
    for point in plugins.installed(group).values():
        try:
            found.append(plugins.load(point))
        except plugins.PluginError:
            about = {"plugin": point.name, "package": plugins.package_of(point)}
            log.exception(Event.PLUGIN_FAILED, module=point.value, **about)
    return found
