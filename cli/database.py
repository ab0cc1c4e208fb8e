"""Runs the work of a command with a connection to the database."""

from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from infra.cache import NoCache
from infra.db.engine import database
from infra.observability import logs
from infra.process import signals
from infra.queue import hooks
from infra.settings import Use, load_settings, require_database
from services.audit import trail
from services.task_hooks import TaskHooks

T = TypeVar("T")


def run_with_database(process: str, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine with one connection and the hooks of operations on tasks.

    Log lines have the name of the process.
    """
    settings = load_settings(uses=Use.DATABASE)
    logs.configure_command(settings.log_level, settings.log_format, process=process)
    if settings.task_app:
        trail.keep_in_log_only()

    async def connected() -> T:
        async with database(require_database(settings), pool_size=1):
            with hooks.registered(TaskHooks(NoCache())):
                return await work()

    return signals.run(connected())
