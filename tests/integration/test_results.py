"""Waiting for the result of a task: what it returns and raises, what it costs, what it outlasts."""

import asyncio
import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import uuid4

import asyncpg
import pytest
from pydantic import BaseModel

from infra.db.engine import database
from infra.db.transactions import transaction
from infra.queue import leases, operations, results, watch
from infra.queue.enqueue import enqueue
from infra.queue.errors import (
    InvalidResult,
    ResultNotKept,
    TaskCancelled,
    TaskExpired,
    TaskFailed,
)
from infra.queue.results import WaitsInTransaction, result
from infra.queue.successors import PREDECESSOR_FAILED
from infra.queue.sweep import EXPIRED
from models import Task
from tests.cancelling import each_cancellation
from tests.factories import eventually

NAME = "test.task"
SECONDS = 20


@pytest.fixture(autouse=True)
async def url(new_database, task_hooks):
    url = await new_database()
    async with database(url, pool_size=3):
        yield url


async def _running() -> leases.Claim:
    task_id = await enqueue(NAME, {})
    await Task.filter(id=task_id).update(max_attempts=3)
    return await leases.claim(task_id, "a worker")


async def _succeeded(value: object):
    claim = await _running()
    await leases.finish(claim, results.dump(value))
    return claim.id


class Receipt(BaseModel):
    """A result with a type."""

    total: float
    at: datetime


@dataclass
class Point:
    """Another one."""

    x: int


@pytest.mark.parametrize("value", [{"a": [1, None]}, 0, "", False, None, [1.5, "ü"]])
async def test_a_result_is_what_the_task_returned(value):
    assert await result(await _succeeded(value)) == value


async def test_a_result_has_its_type():
    receipt = Receipt(total=1.5, at=datetime.now(UTC))
    assert await result(await _succeeded(receipt), Receipt) == receipt
    assert await result(await _succeeded([Point(1), Point(2)]), list[Point]) == [Point(1), Point(2)]
    with pytest.raises(InvalidResult, match="not as expected"):
        await result(await _succeeded("x"), Receipt)


async def test_what_is_no_json_is_no_result():
    with pytest.raises(InvalidResult, match="no JSON"):
        results.dump(object())


async def test_it_waits_for_the_end():
    claim = await _running()
    waiting = asyncio.create_task(result(claim.id))
    await leases.report(claim, 50)
    await asyncio.sleep(0.1)
    assert not waiting.done()
    await leases.finish(claim, results.dump("done"))
    assert await asyncio.wait_for(waiting, SECONDS) == "done"


async def test_each_other_end_has_its_error():
    claim = await _running()
    await leases.fail_attempt(claim, "The card was refused", "traceback", permanent=True)
    with pytest.raises(TaskFailed, match="The card was refused"):
        await result(claim.id)
    cancelled = await enqueue(NAME, {})
    await operations.cancel(cancelled)
    with pytest.raises(TaskCancelled, match="The task was cancelled") as raised:
        await result(cancelled)
    assert raised.type is TaskCancelled
    await Task.filter(id=cancelled).update(error=PREDECESSOR_FAILED)
    with pytest.raises(TaskCancelled, match=PREDECESSOR_FAILED):
        await result(cancelled)
    await Task.filter(id=cancelled).update(error=EXPIRED)
    with pytest.raises(TaskExpired):
        await result(cancelled)
    with pytest.raises(ResultNotKept):
        await result(uuid4())


async def test_a_task_that_is_deleted_meanwhile_is_not_kept():
    claim = await _running()
    waiting = asyncio.create_task(result(claim.id))
    await asyncio.sleep(0.1)
    await Task.filter(id=claim.id).delete()
    with pytest.raises(ResultNotKept):
        await asyncio.wait_for(waiting, SECONDS)


async def test_a_wait_is_limited_by_its_caller():
    claim = await _running()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await result(claim.id)


async def test_nobody_waits_within_a_transaction():
    async with transaction():
        with pytest.raises(WaitsInTransaction):
            await result(await enqueue(NAME, {}))


async def test_all_callers_share_the_statements(caplog):
    claims = [await _running() for _ in range(20)]
    with caplog.at_level(logging.DEBUG, logger="tortoise.db_client"):
        waiting = [asyncio.create_task(result(claim.id)) for claim in claims for _ in range(10)]
        await asyncio.sleep(0.3)
        for claim in claims:
            await leases.finish(claim, results.dump(str(claim.id)))
        found = await asyncio.wait_for(asyncio.gather(*waiting), SECONDS)
    assert found == [str(claim.id) for claim in claims for _ in range(10)]
    reads = [each for each in caplog.records if "ANY($1::uuid[])" in str(each.args[0])]
    # A statement a tick, whatever the number of callers.
    assert 1 < len(reads) < 100
    assert max(len(each.args[1][0]) for each in reads) == len(claims)


async def test_a_task_is_read_the_more_seldom_the_longer_it_takes(caplog):
    claim = await _running()
    waiting = asyncio.create_task(result(claim.id))
    await asyncio.sleep(2)
    with caplog.at_level(logging.DEBUG, logger="tortoise.db_client"):
        await asyncio.sleep(1)
    assert len(caplog.records) <= 1 / (watch.MAX_TICKS * watch.TICK_SECONDS) + 1
    waiting.cancel()


async def test_a_cancelled_wait_leaves_nothing_and_takes_nothing_from_others():
    before = asyncio.all_tasks()
    claim = await _running()
    other = asyncio.create_task(result(claim.id))
    numbers = []
    async for number in each_cancellation(lambda: result(claim.id)):
        numbers.append(number)
        if number == 2:  # before the first status, and before the second one
            assert not other.done()
            await leases.finish(claim, results.dump("done"))
    assert numbers == [1, 2, 3]
    assert await asyncio.wait_for(other, SECONDS) == "done"

    async def nothing_runs() -> bool:
        return asyncio.all_tasks() == before

    await eventually(nothing_runs)


async def test_a_wait_outlasts_a_lost_database(url, service, capsys):
    claim = await _running()
    waiting = asyncio.create_task(result(claim.id))
    await asyncio.sleep(0.1)
    server = await asyncpg.connect(service.env["DATABASE_URL"])
    name = url.rpartition("/")[2].partition("?")[0]
    await server.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
    await server.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", name
    )

    async def is_lost() -> bool:
        return "feed_lost_database" in capsys.readouterr().out

    await eventually(is_lost)
    assert not waiting.done()
    await server.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')
    await server.close()
    await leases.finish(claim, results.dump("done"))
    assert await asyncio.wait_for(waiting, SECONDS) == "done"
