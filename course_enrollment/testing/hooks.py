"""The contracts of hooks and notifiers."""

import inspect

from uuid_utils.compat import uuid7

from infra.queue.life import HookedTask, Hooks, Notifier

TASK = HookedTask(uuid7(), "test.task", 1)


class HooksContract:
    """All hooks pass these; the fixture `hooks` returns them, as their entry point names them.

    They are called as by a worker that runs a task to its failure, then another one to its end.
    """

    def test_what_it_overrides_are_coroutine_functions_of_the_same_arguments(
        self, hooks: Hooks
    ) -> None:
        assert isinstance(hooks, Hooks)
        for name, declared in inspect.getmembers(Hooks, inspect.isfunction):
            mine = getattr(type(hooks), name)
            assert inspect.iscoroutinefunction(mine), name
            assert list(inspect.signature(mine).parameters) == list(
                inspect.signature(declared).parameters
            ), name

    async def test_it_bears_each_call_twice(self, hooks: Hooks) -> None:
        for _ in range(2):
            await hooks.before(TASK)
            await hooks.state_changed(TASK, "running")
            await hooks.failed(TASK, "The reason", "queued")
            await hooks.state_changed(TASK, "queued")
            await hooks.after(TASK)
            await hooks.state_changed(TASK, "succeeded")


class NotifierContract:
    """Every notifier passes this; the fixture `notifier` returns it."""

    async def test_it_is_told_of_a_failure(self, notifier: Notifier) -> None:
        await notifier(TASK, "The reason")
