"""Periodic work goes on whatever one run raises, and never in step with another process."""

import asyncio

import pytest
from structlog.testing import capture_logs

from infra.aio import periodic as module
from infra.aio.periodic import periodic


async def test_it_goes_on_after_a_failure_and_logs_it():
    runs = 0

    async def work() -> None:
        nonlocal runs
        runs += 1
        if runs == 2:
            raise LookupError

    with capture_logs() as logged:
        task = asyncio.create_task(periodic(0.001, work))
        await asyncio.sleep(0.1)
    assert runs > 3
    assert [each["event"] for each in logged] == ["periodic_work_failed"]
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert task.cancelled()


async def test_pauses_are_shorter_by_up_to_a_tenth(monkeypatch):
    pauses = []

    async def sleep(seconds):
        pauses.append(seconds)
        if len(pauses) == 1000:
            raise asyncio.CancelledError

    async def work() -> None:
        """Do nothing."""

    monkeypatch.setattr(module.asyncio, "sleep", sleep)
    await asyncio.gather(periodic(10.0, work), return_exceptions=True)
    assert 9 <= min(pauses) < 9.1
    assert 9.9 < max(pauses) <= 10


async def test_a_plain_function_is_repeated_too():
    runs = []
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(periodic(0.01, lambda: runs.append(1)), 0.5)
    assert len(runs) > 1
