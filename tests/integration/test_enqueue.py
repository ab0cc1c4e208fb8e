"""Enqueueing: what is refused before anything is written, and what a row holds."""

import asyncio
from datetime import UTC, datetime
from enum import StrEnum
from uuid import UUID, uuid4

import pytest

from infra.db.engine import database, direct_connection
from infra.db.transactions import transaction
from infra.observability import logs
from infra.queue import leases, queries
from infra.queue.enqueue import enqueue, enqueue_many
from infra.queue.errors import InvalidArguments
from infra.queue.insert import CHUNK
from infra.queue.kind import KINDS
from infra.queue.table import CHANNEL
from models import Task
from tasks.registry import REGISTRY, task

NAME = "test.typed"


class Format(StrEnum):
    """A format."""

    WEBP = "webp"


async def _body(_context, course_id: UUID, formats: list[Format] | None = None) -> None:
    """Takes arguments of types that JSON does not have."""


@pytest.fixture(autouse=True)
async def url(new_database):
    """A database with tables, and Tortoise on it."""
    url = await new_database()
    async with database(url, pool_size=3):
        yield url


@pytest.fixture(autouse=True)
def _kind():
    task(NAME, version=2, upgrade={1: dict})(_body)
    yield
    del KINDS[NAME]


async def test_a_row_holds_json_of_typed_arguments():
    course_id = uuid4()
    given = {"course_id": course_id, "formats": [Format.WEBP]}
    row = await queries.get(await enqueue(NAME, given))
    assert row.version == 2
    assert row.args == {"course_id": str(course_id), "formats": ["webp"]}


async def test_postgresql_changes_no_argument():
    async def body(_context, floats: list[float], whole: int, texts: dict[str, str]) -> None:
        """Takes what JSON has."""

    given = {
        "floats": [1e300, 1e22, 0.1, 5e-324, -1.0],
        "whole": 1 << 200,
        "texts": {"b": "\u2028 \\u0000 \N{EARTH GLOBE EUROPE-AFRICA}", "a": ""},
    }
    task("test.exact")(body)
    try:
        task_id = await enqueue("test.exact", given)
        await Task.filter(id=task_id).update(max_attempts=1)
        claim = await leases.claim(task_id, "a worker")
        assert REGISTRY["test.exact"].arguments_of(claim) == given
    finally:
        del KINDS["test.exact"]


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ({}, "test.typed: course_id: Field required"),
        ({"course_id": "7"}, "test.typed: course_id: Input should be a valid UUID"),
        ({"course_id": uuid4(), "formats": ["gif"]}, "test.typed: formats.0: Input should be"),
        ({"course_id": uuid4(), "upload": 1}, "test.typed: upload: Extra inputs are not"),
    ],
)
async def test_arguments_that_do_not_fit_are_refused_and_nothing_is_written(given, fault):
    async with transaction():
        with pytest.raises(InvalidArguments, match=fault):
            await enqueue(NAME, given)
        # The transaction goes on, because no statement was sent.
        await enqueue("test.other", {})
    assert await Task.all().values_list("name", flat=True) == ["test.other"]


async def test_a_kind_that_this_process_does_not_know_is_enqueued_as_it_is():
    course_id = uuid4()
    row = await queries.get(await enqueue("test.unknown", {"any": [course_id]}))
    assert (row.args, row.version) == ({"any": [str(course_id)]}, 1)


def _many(count: int) -> list[dict[str, object]]:
    return [{"course_id": uuid4()} for _ in range(count)]


async def test_many_are_enqueued_in_their_order_as_each_would_be():
    given = _many(2 * CHUNK + 1)
    logs.bind(request_id="of-the-request")
    made = await enqueue_many(NAME, given, priority=3)
    one = await enqueue(NAME, given[0], priority=3)
    logs.bind(request_id=None)
    stored = {row["id"]: row["args"] for row in await Task.all().values("id", "args")}
    assert [stored[task_id] for task_id in made] == [
        {"course_id": str(each["course_id"])} for each in given
    ]
    own = ("id", "args", "available_at", "created_at")
    shown = [vars(await queries.get(task_id)) for task_id in (one, made[0], made[-1])]
    rows = [{key: value for key, value in row.items() if key not in own} for row in shown]
    assert rows[0] == rows[1] == rows[2]
    assert (rows[0]["request_id"], rows[0]["priority"], rows[0]["version"]) == (
        *("of-the-request", 3),
        2,
    )
    due = [(await queries.get(task_id)).available_at for task_id in made[:: CHUNK // 4]]
    assert due == sorted(due)


async def test_one_that_does_not_fit_refuses_all():
    given = [*_many(CHUNK), {"course_id": "7"}, *_many(1)]
    with pytest.raises(InvalidArguments, match=rf"course_id: .* \(task {CHUNK + 1}\)$"):
        await enqueue_many(NAME, given)
    assert await Task.all().count() == 0


async def test_many_are_of_the_running_transaction_and_wake_the_relays_at_its_commit(url):
    heard = asyncio.Event()
    async with direct_connection(url) as listening:
        await listening.add_listener(CHANNEL, lambda *_: heard.set())
        with pytest.raises(RuntimeError):
            async with transaction():
                await enqueue_many(NAME, _many(3))
                raise RuntimeError
        assert await Task.all().count() == 0
        async with transaction():
            await enqueue_many(NAME, _many(3))
            await asyncio.sleep(0.1)
            assert not heard.is_set()
        await asyncio.wait_for(heard.wait(), 5)
    assert await Task.all().count() == 3


async def test_a_notification_names_the_kind_unless_others_may_be_due_too(url):
    heard = []
    async with direct_connection(url) as listening:
        await listening.add_listener(CHANNEL, lambda *notification: heard.append(notification[-1]))
        first = await enqueue("test.one", {})
        await enqueue_many("test.many", [{}, {}])
        await enqueue("test.keyed", {}, concurrency_key="key")
        await enqueue("test.after", {}, after=[first])
        async with asyncio.timeout(5):
            while len(heard) < 4:  # noqa: ASYNC110  the listener's
                await asyncio.sleep(0.01)
    assert heard == ["test.one", "test.many", "", ""]


async def test_of_many_with_the_same_key_one_is_enqueued():
    open_one = await enqueue(NAME, _many(1)[0], dedupe_key="b")
    ended = await enqueue(NAME, _many(1)[0], dedupe_key="c")
    await Task.filter(id=ended).update(state="succeeded", finished_at=datetime.now(UTC))
    made = await enqueue_many(NAME, _many(5), dedupe_keys=["a", "b", "c", "a", "b"])
    assert made[0] == made[3]
    assert made[1] == made[4] == open_one
    assert len({*made, ended}) == 4
    assert await Task.all().count() == 4


async def test_an_id_that_exists_is_enqueued_once_also_with_a_key():
    task_id = await enqueue(NAME, _many(1)[0], dedupe_key="a")
    await Task.filter(id=task_id).update(state="succeeded", finished_at=datetime.now(UTC))
    assert await enqueue(NAME, _many(1)[0], task_id=task_id, dedupe_key="a") == task_id
    assert await enqueue(NAME, _many(1)[0], task_id=task_id) == task_id
    other = await enqueue(NAME, _many(1)[0], dedupe_key="a")
    assert await enqueue(NAME, _many(1)[0], task_id=uuid4(), dedupe_key="a") == other
    assert await Task.all().count() == 2


async def test_each_of_many_has_its_own_key():
    with pytest.raises(ValueError, match="shorter"):
        await enqueue_many(NAME, _many(2), dedupe_keys=["a"])
    assert await Task.all().count() == 0


async def test_two_that_enqueue_the_same_keys_share_the_tasks():
    keys = [str(number) for number in range(500)]

    async def one(keys: list[str]) -> list[UUID]:
        async with transaction():
            return await enqueue_many(NAME, _many(len(keys)), dedupe_keys=keys)

    first, second = await asyncio.gather(one(keys), one(keys[::-1]))
    assert first == second[::-1]
    assert await Task.all().count() == len(keys)


async def test_none_of_many_is_nothing():
    assert await enqueue_many(NAME, []) == []
    assert await enqueue_many("test.unknown", [{"any": 1}]) != []
    assert await Task.all().count() == 1
