"""Unique tasks: which are the same, for how long, and what a second one does to the first."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from infra.db.engine import database
from infra.db.sql import rows
from infra.db.transactions import transaction
from infra.queue import leases, operations, queries
from infra.queue.enqueue import enqueue, enqueue_many
from infra.queue.kind import KINDS
from infra.queue.unique import OnConflict, Unique, release_dedupe_key
from models import Task, TaskDedupeKey, TaskState
from tasks.registry import task

NAME = "test.unique"
HOUR = 3600.0
REPLACE = Unique(on=["course"], on_conflict=OnConflict.REPLACE)


@pytest.fixture(autouse=True)
async def _tables(new_database, task_hooks):
    async with database(await new_database(), pool_size=6):
        yield


async def _running(task_id: UUID) -> leases.Claim:
    await Task.filter(id=task_id, max_attempts=None).update(max_attempts=3)
    return await leases.claim(task_id, "a worker")


async def _ended(task_id: UUID) -> None:
    await leases.finish(await _running(task_id))


async def _args(*ids: UUID) -> list[dict]:
    return [(await queries.get(each)).args for each in ids]


async def test_the_arguments_decide_which_tasks_are_the_same():
    first = await enqueue(NAME, {"course": 1, "by": "a"}, unique=Unique())
    assert await enqueue(NAME, {"by": "a", "course": 1}, unique=Unique()) == first
    assert await enqueue(NAME, {"course": 1, "by": "b"}, unique=Unique()) != first
    assert await enqueue("test.other", {"course": 1, "by": "a"}, unique=Unique()) != first
    some = Unique(on=["course"])
    second = await enqueue(NAME, {"course": 1, "by": "a"}, unique=some)
    assert await enqueue(NAME, {"course": 1, "by": "b"}, unique=some) == second
    assert await enqueue(NAME, {"course": 2, "by": "a"}, unique=some) != second
    of_kind = Unique(on=[])
    third = await enqueue(NAME, {"course": 1}, unique=of_kind)
    assert await enqueue(NAME, {"course": 2}, unique=of_kind) == third
    assert len({first, second, third}) == 3


async def test_typed_arguments_are_the_same_in_each_form():
    async def body(_context, course_id: UUID, huge: int) -> None:
        """Takes what JSON does not have, or not in each library."""

    task("test.typed")(body)
    try:
        course_id = uuid4()
        first, second, other = [
            await enqueue("test.typed", {"course_id": each, "huge": huge}, unique=Unique())
            for each, huge in (
                (course_id, 1 << 70),
                (str(course_id).upper(), 1 << 70),
                (course_id, (1 << 70) + 1),
            )
        ]
    finally:
        del KINDS["test.typed"]
    assert first == second != other


async def test_without_a_period_the_first_one_stands_until_it_has_ended():
    first = await enqueue(NAME, {"course": 1}, unique=Unique())
    claim = await _running(first)
    assert await enqueue(NAME, {"course": 1}, unique=Unique()) == first
    await leases.finish(claim)
    assert await enqueue(NAME, {"course": 1}, unique=Unique()) != first


async def test_in_a_period_the_first_one_stands_also_when_it_has_ended():
    for_an_hour = Unique(HOUR)
    first = await enqueue(NAME, {"course": 1}, unique=for_an_hour)
    await _ended(first)
    assert await enqueue(NAME, {"course": 1}, unique=for_an_hour) == first
    assert await enqueue(NAME, {"course": 2}, unique=for_an_hour) != first
    await _let_pass()
    second = await enqueue(NAME, {"course": 1}, unique=for_an_hour)
    assert second != first
    await _ended(second)
    assert await enqueue(NAME, {"course": 1}, unique=for_an_hour) == second


async def test_after_its_period_an_open_task_stands_and_its_period_is_not_renewed():
    for_an_hour = Unique(HOUR)
    first = await enqueue(NAME, {"course": 1}, unique=for_an_hour)
    await _let_pass()
    assert await enqueue(NAME, {"course": 1}, unique=for_an_hour) == first
    await _ended(first)
    assert await enqueue(NAME, {"course": 1}, unique=for_an_hour) != first
    assert await Task.all().count() == 2


async def _let_pass() -> None:
    await TaskDedupeKey.all().update(held_until=datetime.now(UTC) - timedelta(seconds=1))


async def test_after_a_rollback_no_period_has_begun():
    for_an_hour = Unique(HOUR)
    with pytest.raises(RuntimeError):
        async with transaction():
            await enqueue(NAME, {"course": 1}, unique=for_an_hour)
            raise RuntimeError
    task_id = await enqueue(NAME, {"course": 1}, unique=for_an_hour)
    assert [each.id for each in await Task.all()] == [task_id]


@pytest.mark.parametrize("seconds", [0, HOUR])
async def test_of_callers_at_the_same_time_one_enqueues(seconds):
    unique = Unique(seconds, on=["course"])

    async def call(number: int) -> UUID:
        async with transaction():
            task_id = await enqueue(NAME, {"course": 1, "by": number}, unique=unique)
            await asyncio.sleep(0.001 * (number % 3))
            return task_id

    assert len(set(await asyncio.gather(*map(call, range(30))))) == 1
    assert await Task.all().count() == 1


async def test_a_released_key_is_free_before_its_period_has_passed():
    for_an_hour = Unique(HOUR)
    first = await enqueue(NAME, {"course": 1}, unique=for_an_hour)
    await _running(first)
    await release_dedupe_key(first)
    second = await enqueue(NAME, {"course": 1}, unique=for_an_hour)
    assert second != first
    # It has its key no more, so it releases none of others.
    await release_dedupe_key(first)
    assert await enqueue(NAME, {"course": 1}, unique=for_an_hour) == second


async def test_periods_that_have_passed_are_pruned():
    await enqueue(NAME, {"course": 1}, unique=Unique(HOUR))
    await operations.prune(datetime.now(UTC))
    assert await TaskDedupeKey.all().count() == 1
    await _let_pass()
    await operations.prune(datetime.now(UTC))
    assert await TaskDedupeKey.all().count() == 0


async def test_a_queued_task_is_replaced():
    first = await enqueue(NAME, {"course": 1, "n": 1}, unique=REPLACE, delay=60, priority=1)
    # As if it had been published, had failed, and had come half of the way.
    await Task.filter(id=first).update(
        attempts=2, max_attempts=3, published_at=datetime.now(UTC), checkpoint={"done": 5}
    )
    due = datetime.now(UTC) + timedelta(hours=1)
    again = await enqueue(
        NAME,
        {"course": 1, "n": 2},
        unique=REPLACE,
        run_at=due,
        start_within=timedelta(minutes=1),
        concurrency_key="key",
    )
    assert again == first
    row = await queries.get(first)
    assert (row.args, row.priority, row.concurrency_key) == ({"course": 1, "n": 2}, 0, "key")
    assert (row.due_at, row.start_before) == (due, due + timedelta(minutes=1))
    assert (row.attempts, row.max_attempts, row.published_at, row.checkpoint) == (2, *[None] * 3)
    assert await enqueue(NAME, {"course": 1, "n": 3}, unique=REPLACE) == first
    row = await queries.get(first)
    assert abs(row.available_at - datetime.now(UTC)) < timedelta(seconds=30)
    assert (row.due_at, row.start_before, row.concurrency_key) == (None,) * 3
    assert await Task.all().count() == 1


async def test_a_running_task_keeps_its_arguments_and_gives_its_key_to_the_next():
    first = await enqueue(NAME, {"course": 1, "n": 1}, unique=REPLACE)
    claim = await _running(first)
    second = await enqueue(NAME, {"course": 1, "n": 2}, unique=REPLACE)
    assert await enqueue(NAME, {"course": 1, "n": 3}, unique=REPLACE) == second != first
    assert await _args(first, second) == [{"course": 1, "n": 1}, {"course": 1, "n": 3}]
    await leases.finish(claim)
    await _ended(second)
    assert await enqueue(NAME, {"course": 1, "n": 4}, unique=REPLACE) not in {first, second}


async def test_a_task_that_waits_for_others_is_replaced_and_waits_on():
    parent = await enqueue(NAME, {})
    child = await enqueue(NAME, {"course": 1, "n": 1}, after=[parent], unique=Unique(on=["course"]))
    assert await enqueue(NAME, {"course": 1, "n": 2}, unique=REPLACE) == child
    row = await queries.get(child)
    assert (row.args["n"], row.waits_for, row.available_at.year) == (2, 1, 9999)


async def test_the_newest_arguments_run_whatever_workers_do_meanwhile():
    """Callers and a worker at the same time; each run must be of arguments that were current."""
    ran: list[int] = []
    is_over = asyncio.Event()

    async def work() -> None:
        while True:
            was_over = is_over.is_set()
            await Task.filter(max_attempts=None).update(max_attempts=9)
            for row in await Task.filter(state=TaskState.QUEUED).values("id"):
                if claim := await leases.claim(row["id"], "a worker"):
                    ran.append((await _args(claim.id))[0]["n"])
                    assert f'"n": {ran[-1]}' in claim.args
                    await asyncio.sleep(0.002)
                    await leases.finish(claim)
            if was_over:
                return
            await asyncio.sleep(0)

    async def call(start: int) -> None:
        for number in range(start, 60, 3):
            async with transaction():
                await enqueue(NAME, {"course": 1, "n": number}, unique=REPLACE)

    working = asyncio.create_task(work())
    await asyncio.gather(*(call(start) for start in range(3)))
    last = await enqueue(NAME, {"course": 1, "n": 60}, unique=REPLACE)
    is_over.set()
    await working
    assert ran[-1] == 60
    assert (await queries.get(last)).state == TaskState.SUCCEEDED
    assert await rows("SELECT FROM tasks WHERE state <> 'succeeded'") == []


def _many(*numbers: int) -> list[dict[str, int]]:
    return [{"course": number % 10, "n": number} for number in numbers]


async def test_many_are_unique_among_each_other_and_those_that_exist():
    by_course = Unique(on=["course"])
    first = await enqueue(NAME, {"course": 1, "n": 1}, unique=by_course)
    made = await enqueue_many(NAME, _many(2, 11, 12, 3), unique=by_course)
    assert (made[0], made[1]) == (made[2], first)
    assert [each["n"] for each in await _args(*made)] == [2, 1, 2, 3]
    assert await Task.all().count() == 3


async def test_many_are_unique_for_a_period():
    by_course = Unique(HOUR, on=["course"])
    first = await enqueue_many(NAME, _many(1, 11, 2), unique=by_course)
    assert first[0] == first[1]
    for task_id in {*first}:
        await _ended(task_id)
    again = await enqueue_many(NAME, _many(3, 12, 21), unique=by_course)
    assert again[1:] == [first[2], first[0]]
    assert await Task.all().count() == 3


async def test_many_replace_and_the_last_of_the_same_stands():
    running, queued = await enqueue_many(NAME, _many(1, 2), unique=REPLACE)
    await _running(running)
    made = await enqueue_many(NAME, _many(11, 12, 22, 3), unique=REPLACE)
    assert made[1] == made[2] == queued
    assert [each["n"] for each in await _args(running, *made)] == [1, 11, 22, 22, 3]
    assert await Task.all().count() == 4


async def test_two_that_enqueue_many_of_the_same_share_them():
    numbers = range(200)

    async def one(unique: Unique, order: list[int]) -> list[UUID]:
        async with transaction():
            return await enqueue_many(NAME, [{"course": each} for each in order], unique=unique)

    for unique in (Unique(HOUR), REPLACE):
        first, second = await asyncio.gather(one(unique, [*numbers]), one(unique, [*numbers][::-1]))
        assert first == second[::-1]


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"unique": Unique(on=["cuorse"])}, "'cuorse', which is not given"),
        ({"unique": Unique(), "dedupe_key": "key"}, "unique, or a dedupe key"),
        ({"unique": Unique(), "task_id": uuid4()}, "unique, or a dedupe key or an id"),
        ({"unique": REPLACE, "after": [uuid4()]}, "replaces none"),
    ],
)
async def test_what_contradicts_itself_is_refused(options, error):
    with pytest.raises(ValueError, match=error):
        await enqueue(NAME, {"course": 1}, **options)
    assert await Task.all().count() == 0


@pytest.mark.parametrize(
    ("values", "error"),
    [
        ({"seconds": -1}, "from 0 to"),
        ({"seconds": float("nan")}, "from 0 to"),
        ({"seconds": 1, "on_conflict": OnConflict.REPLACE}, "not both"),
        ({"on": "course"}, r"write \['course'\]"),
    ],
)
def test_periods_and_names_are_checked(values, error):
    with pytest.raises((ValueError, TypeError), match=error):
        Unique(**values)
