"""Several tasks of a kind at a time in one process: each is claimed, run and ended for itself."""

import asyncio
import json
import logging
import os
import time
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from uuid import UUID

import pytest
from celery import Celery
from celery.worker import control
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from infra.cache import ResponseCache, SecondLevel
from infra.db.engine import database, direct_connection, pool_use
from infra.db.sql import rows
from infra.db.transactions import transaction
from infra.observability import logs, tracing
from infra.observability.otlp import Tracer
from infra.queue import leases, operations, queries, queues, successors
from infra.queue.companions import Companions
from infra.queue.enqueue import enqueue, enqueue_many
from infra.queue.errors import Snooze
from infra.queue.publish import PLANNER, RECENT_SECONDS
from infra.queue.queues import Limits
from infra.queue.results import result
from infra.settings import Settings
from infra.storage.memory import MemoryStorage
from models import Task, TaskState
from services.flags.evaluate import Flags
from services.flags.feed import FlagFeed
from tasks.registry import PermanentError, Registration
from worker import commands, companions, heartbeat
from worker.execution import Backends, execute
from worker.heartbeat import Heartbeat
from worker.relay import SPENT, Relay
from worker.stops import Stops

NAME, QUEUE, PLACES = "test.task", "default", 10
BEAT_SECONDS = 0.05


async def _nothing(_context, number: int = 0) -> None:
    """Do nothing."""


KIND = Registration(
    NAME, _nothing, QUEUE, 3, 60, (PermanentError,), None, concurrency_per_process=PLACES
)


@pytest.fixture(autouse=True)
async def url(new_database, task_hooks, monkeypatch):
    """A database with tables, and the pool of a process that runs ten tasks."""
    monkeypatch.setattr(heartbeat, "HEARTBEAT_SECONDS", BEAT_SECONDS)
    url = await new_database()
    async with database(url, pool_size=PLACES + 1):
        yield url


class Process:
    """What a worker process does with a message of a task."""

    def __init__(self, beating: Heartbeat) -> None:
        self.stops = Stops([QUEUE])
        self.notes: list[str] = []
        self._beating = beating

    async def run(self, task_id: UUID, body=_nothing, **properties) -> str | None:
        cache = ResponseCache(SecondLevel("memory://"), memory_bytes=0)
        kind = replace(KIND, body=body, **properties)
        parts = Settings(_env_file=None), MemoryStorage("/media"), cache, FlagFeed(Flags())
        backends = Backends(*parts, {NAME: kind}, "this", self._beating, self.stops)
        return await execute(backends, task_id, self.notes.append, is_hint=True)


@pytest.fixture
def process(url):
    beating = Heartbeat(url)
    beating.start()
    yield Process(beating)
    beating.stop()


async def _enqueue(count: int, **properties) -> list[UUID]:
    """Enqueue tasks with numbers; return their ids in their order. The first one is published."""
    ids = await enqueue_many(NAME, [{"number": n} for n in range(count)], **properties)
    await Task.filter(id=ids[0]).update(queue=QUEUE, max_attempts=3)
    return ids


async def _states() -> list[str]:
    found = await rows("SELECT state FROM tasks ORDER BY (args ->> 'number')::int")
    return [row["state"] for row in found]


class Meeting:
    """Bodies wait in it until so many are there."""

    def __init__(self, expected: int) -> None:
        self._barrier = asyncio.Barrier(expected)
        self.present = self.most = 0

    async def __aenter__(self) -> None:
        self.present += 1
        self.most = max(self.most, self.present)
        async with asyncio.timeout(5):
            await self._barrier.wait()

    async def __aexit__(self, *_: object) -> None:
        self.present -= 1


async def test_ten_run_at_a_time_and_the_others_as_places_become_free(process):
    ids = await _enqueue(25)
    running, most = set(), []

    async def body(context, number: int) -> None:
        running.add(number)
        most.append(len(running))
        await asyncio.sleep(0.05 + number % 3 / 20)
        running.remove(number)

    assert await process.run(ids[0], body) == "succeeded"
    assert await _states() == ["succeeded"] * 25
    assert max(most) == PLACES
    for row in await Task.all():
        assert (row.attempts, row.worker, row.queue, row.max_attempts) == (1, "this", QUEUE, 3)


async def test_one_that_is_long_does_not_hold_its_neighbours_places(process):
    ids = await _enqueue(30)
    ended, others = [], asyncio.Semaphore(0)

    async def body(context, number: int) -> None:
        for _ in ids[1:] if number == 0 else ():
            await others.acquire()
        ended.append(number)
        others.release()

    await process.run(ids[0], body)
    assert ended[-1] == 0
    assert len(ended) == 30


async def test_what_is_enqueued_meanwhile_runs_beside_it(process):
    ids = await _enqueue(1)
    meeting = Meeting(2)

    async def body(context, number: int) -> None:
        if number == 0:
            await enqueue(NAME, {"number": 1})
        async with meeting:
            pass

    assert await process.run(ids[0], body) == "succeeded"
    assert await _states() == ["succeeded"] * 2


async def test_each_has_its_own_transaction_and_commits_its_own_effects(process):
    """Ten transactions are open at a time."""
    await rows("CREATE TABLE effects (number int)")
    ids = await _enqueue(PLACES)
    meeting = Meeting(PLACES)

    async def body(context, number: int) -> None:
        async with context.finishing():
            await rows("INSERT INTO effects VALUES ($1)", number)
            async with meeting:
                pass
            if number % 2:
                raise PermanentError("odd")

    assert await process.run(ids[0], body) == "succeeded"
    assert await _states() == ["succeeded", "failed"] * (PLACES // 2)
    found = await rows("SELECT number FROM effects ORDER BY number")
    assert [row["number"] for row in found] == [0, 2, 4, 6, 8]
    assert pool_use().in_use == 0


async def test_a_transaction_of_one_is_not_that_of_another(process):
    await rows("CREATE TABLE effects (number int)")
    ids = await _enqueue(2)
    meeting = Meeting(2)

    async def body(context, number: int) -> None:
        if number == 0:
            async with transaction():
                async with meeting:
                    await rows("INSERT INTO effects VALUES (0)")
                raise PermanentError
        async with meeting:
            await rows("INSERT INTO effects VALUES (1)")

    await process.run(ids[0], body)
    assert [row["number"] for row in await rows("SELECT number FROM effects")] == [1]


async def test_log_lines_and_traces_are_those_of_each_task(process, monkeypatch):
    tracer = Tracer(InMemorySpanExporter(), 1, Resource({}))
    monkeypatch.setattr(tracing, "tracer", tracer)
    expected, seen, bound, ids = {}, {}, {}, []
    for number in range(3):
        logs.bind(request_id=f"request-{number}")
        with tracing.span("request"):
            ids.append(await enqueue(NAME, {"number": number}))
            expected[number] = f"request-{number}", tracing.trace_id()
    logs.bind(request_id=None)
    await Task.filter(id=ids[0]).update(queue=QUEUE, max_attempts=3)
    meeting = Meeting(3)

    async def body(context, number: int) -> None:
        async with meeting:
            await asyncio.sleep(0)
        seen[number] = logs.request_id(), tracing.trace_id()
        bound[number] = logs._add_ids(None, "", {})["task_id"]  # noqa: SLF001  what lines have

    assert await process.run(ids[0], body) == "succeeded"
    tracer.close()
    assert seen == expected
    assert bound == {number: str(each) for number, each in enumerate(ids)}
    assert (logs.request_id(), tracing.trace_id()) == (None, None)


async def test_each_ends_as_it_would_alone(process, url):
    """Success with a result, retry, permanent failure, snooze, and a limit that has passed."""
    ids = await _enqueue(6)
    waiting = await enqueue("test.after", {}, after=[ids[1]])

    async def body(context, number: int) -> object:
        match number:
            case 1:
                await context.progress(50)
                return {"of": number}
            case 2:
                raise RuntimeError
            case 3:
                raise PermanentError("for good")
            case 4:
                raise Snooze(60)
            case 5:
                await asyncio.sleep(60)
        return None

    assert await process.run(ids[0], body, timeout=1) == "succeeded"
    assert await result(ids[1]) == {"of": 1}
    assert [(await queries.get(each)).state for each in ids] == [
        *(TaskState.SUCCEEDED, TaskState.SUCCEEDED, TaskState.QUEUED),
        *(TaskState.FAILED, TaskState.QUEUED, TaskState.QUEUED),
    ]
    assert (await queries.get(ids[3])).error == "for good"
    assert (await queries.get(ids[4])).max_attempts == 4
    assert (await queries.get(ids[5])).error == "The task took longer than its 1 s"
    async with direct_connection(url) as connection:
        await successors.tell(connection, None)
    assert (await queries.get(waiting)).waits_for == 0
    # Those are reasons of others; the message is that of the first task.
    assert process.notes == []


async def test_the_reason_of_the_first_one_is_that_of_the_message(process):
    ids = await _enqueue(2)

    async def body(context, number: int) -> None:
        raise PermanentError(f"number {number}")

    assert await process.run(ids[0], body) == "failed"
    assert process.notes == ["number 0"]


async def test_the_heartbeat_keeps_all_leases(process, monkeypatch):
    monkeypatch.setattr(leases, "LEASE_SECONDS", 0.5)
    ids = await _enqueue(PLACES)

    async def body(context, number: int) -> None:
        await asyncio.sleep(1.5)

    running = asyncio.create_task(process.run(ids[0], body))
    await asyncio.sleep(1)
    held = "SELECT count(*) AS held FROM tasks WHERE state = 'running' AND lease_until > now()"
    assert (await rows(held))[0]["held"] == PLACES
    await running
    assert await _states() == ["succeeded"] * PLACES


async def test_a_lock_on_one_does_not_cost_the_others_their_leases(process, url, monkeypatch):
    monkeypatch.setattr(leases, "LEASE_SECONDS", 0.5)
    ids = await _enqueue(3)

    async def body(context, number: int) -> None:
        await asyncio.sleep(1.5)

    running = asyncio.create_task(process.run(ids[0], body))
    await asyncio.sleep(0.2)
    async with direct_connection(url) as other, other.transaction():
        await other.execute("SELECT FROM tasks WHERE id = $1 FOR UPDATE", ids[0])
        await asyncio.sleep(0.8)
        held = "SELECT count(*) FROM tasks WHERE lease_until > now()"
        assert await other.fetchval(held.replace("now()", "clock_timestamp()")) == 2
    await running
    assert await _states() == ["succeeded"] * 3


async def test_one_that_is_cancelled_or_loses_its_lease_ends_alone(process):
    ids = await _enqueue(4)
    ended = []

    async def body(context, number: int) -> None:
        if number == 1:
            await operations.cancel(context.id)
        if number == 2:
            await Task.filter(id=context.id).update(attempts=2)
        try:
            await asyncio.sleep(60 if number in {1, 2} else 0.5)
        except asyncio.CancelledError:
            ended.append(number)
            raise

    assert await process.run(ids[0], body) == "succeeded"
    assert await _states() == ["succeeded", "cancelled", "running", "succeeded"]
    assert sorted(ended) == [1, 2]


async def test_without_memory_the_process_is_told_at_once(process):
    ids = await _enqueue(3)
    others = []

    async def body(context, number: int) -> None:
        if number == 1:
            await asyncio.sleep(0.1)
            raise MemoryError
        try:
            await asyncio.sleep(2)
        finally:
            others.append(number)

    began = time.monotonic()
    with pytest.raises(MemoryError):
        await process.run(ids[0], body)
    assert time.monotonic() - began < 1
    # The process ends now; their leases lapse.
    assert others == []
    assert await _states() == ["running", "queued", "running"]
    await asyncio.sleep(2.1)


async def test_a_task_that_cancels_itself_takes_no_other_along(process):
    ids = await _enqueue(3)

    async def body(context, number: int) -> None:
        if number == 1:
            raise asyncio.CancelledError
        await asyncio.sleep(0.1)

    assert await process.run(ids[0], body) == "succeeded"
    assert await _states() == ["succeeded", "running", "succeeded"]


async def test_it_takes_no_more_after_its_time_or_when_it_is_to_stop(process, monkeypatch):
    monkeypatch.setattr(companions, "TAKING_SECONDS", 0.5)

    async def body(context, number: int) -> None:
        if number == 0:
            await asyncio.sleep(0.8)
            await enqueue(NAME, {"number": 9})
            await asyncio.sleep(0.3)

    ids = await _enqueue(2)
    await process.run(ids[0], body)
    assert await _states() == ["succeeded", "succeeded", "queued"]
    for queue in (QUEUE, None):
        await Task.all().delete()
        ids = await _enqueue(2)
        process.stops.stop(queue)
        await process.run(ids[0])
        assert await _states() == ["succeeded", "queued"]
        process.stops.resume(QUEUE)


async def test_companions_are_due_tasks_of_the_kind_whether_published_or_not():
    first = (await _enqueue(1))[0]
    claimed = await leases.claim(first, "this")
    due = [await enqueue(NAME, {"number": n}) for n in range(1, 6)]
    await Task.filter(id=due[0]).update(published_at=datetime.now(UTC), queue=QUEUE, max_attempts=2)
    more = Companions(claimed, replace(KIND, version=2), "this")
    assert {each.id for each in await more.claim(2)} == {*due[:2]}
    assert {each.id for each in await more.claim(9)} == {*due[2:]}
    assert await more.claim(9) == []
    late = await enqueue(NAME, {})
    [found] = await more.claim(9)
    assert (found.id, found.attempt, found.name, found.args) == (late, 1, NAME, "{}")
    assert 0 <= found.wait_seconds < 5
    assert (await queries.get(due[0])).max_attempts == 2
    row = await queries.get(late)
    assert (row.state, row.worker, row.max_attempts, row.queue) == ("running", "this", 3, QUEUE)
    assert 25 < (row.lease_until - datetime.now(UTC)).total_seconds() < 31


NOW = datetime.now(UTC)


@pytest.mark.parametrize(
    "row",
    [
        {"name": "test.other"},
        {"available_at": NOW + timedelta(days=1)},
        {"available_at": NOW - timedelta(days=1)},
        {"priority": 1},
        {"cancel_requested": True},
        {"version": 2},
        {"attempts": 3, "max_attempts": 3},
        {"start_before": NOW - timedelta(seconds=1)},
        {"concurrency_key": "one"},
        {"queue": "another"},
        {"state": TaskState.RUNNING},
        {"state": TaskState.SUCCEEDED, "finished_at": NOW},
    ],
)
async def test_no_companion_is(row):
    claimed = await leases.claim((await _enqueue(1))[0], "this")
    task_id = await enqueue(NAME, {})
    await Task.filter(id=task_id).update(**row)
    before = await queries.get(task_id)
    assert await Companions(claimed, KIND, "this").claim(9) == []
    assert await queries.get(task_id) == before


@pytest.mark.parametrize(
    ("hold", "release"),
    [
        (lambda: queues.pause(QUEUE), lambda: queues.resume(QUEUE)),
        (lambda: queues.limit(QUEUE, Limits(concurrency=5)), lambda: queues.unlimit(QUEUE)),
        (lambda: queues.limit(QUEUE, Limits(None, 9, 60, 9)), lambda: queues.unlimit(QUEUE)),
    ],
)
async def test_a_paused_or_limited_queue_has_no_companions(hold, release):
    claimed = await leases.claim((await _enqueue(1))[0], "this")
    await enqueue(NAME, {})
    more = Companions(claimed, KIND, "this")
    await hold()
    assert await more.claim(9) == []
    await release()
    assert len(await more.claim(9)) == 1


async def test_processes_that_claim_at_a_time_share_the_tasks():
    ids = await _enqueue(104)
    await Task.filter(id__in=ids[:4]).update(queue=QUEUE, max_attempts=3)
    firsts = [await leases.claim(each, "this") for each in ids[:4]]
    every = [Companions(each, KIND, "this") for each in firsts]
    found = [each for _ in range(9) for each in await asyncio.gather(*(e.claim(3) for e in every))]
    claimed = [each.id for part in found for each in part]
    assert len(claimed) == len(set(claimed)) == 100


async def test_a_message_of_a_claimed_task_costs_one_statement_more(process, caplog):
    ids = await _enqueue(2)
    await process.run(ids[0])
    with caplog.at_level(logging.DEBUG, logger="tortoise.db_client"):
        assert await process.run(ids[1]) is None
    assert len(_statements(caplog)) == 2


async def test_other_kinds_have_the_statements_of_one_task(process, caplog):
    ids = await _enqueue(2)
    with caplog.at_level(logging.DEBUG, logger="tortoise.db_client"):
        await process.run(ids[0], concurrency_per_process=1)
    assert await _states() == ["succeeded", "queued"]
    claim, finish = _statements(caplog)
    assert "attempts + 1" in claim
    assert "succeeded" in finish


def _statements(caplog) -> list[str]:
    return [str(r.args[0]) for r in caplog.records if r.name == "tortoise.db_client"]


async def test_with_an_old_snapshot_a_claim_reads_no_more_than_what_it_takes(url, caplog):
    """Neither the tasks that ran since, nor those that are due later."""
    ran = 2000
    async with direct_connection(url) as snapshot, direct_connection(url) as connection:
        await enqueue_many(NAME, [{} for _ in range(ran)])
        await Task.all().update(available_at=NOW + timedelta(days=1))
        await snapshot.execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM tasks LIMIT 1")
        ids = await _enqueue(ran)
        more = Companions(await leases.claim(ids[0], "this"), KIND, "this")
        while len(found := await more.claim(100)) == 100:
            pass
        assert len(found) == 99
        with caplog.at_level(logging.DEBUG, logger="tortoise.db_client"):
            assert await more.claim(10) == []
        [(statement, values)] = [
            record.args for record in caplog.records if record.name == "tortoise.db_client"
        ]
        for settings in ("SELECT 1", "SET plan_cache_mode = 'force_generic_plan'"):
            await connection.execute(settings)
            plan = json.loads(
                await connection.fetchval(
                    f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}", *values
                )
            )[0]["Plan"]
            assert plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] < 30


@pytest.fixture
async def relay(url, service):
    """A relay, and a queue of its own on the service's broker."""
    name = f"test-{time.time_ns()}"
    celery = Celery(broker=service.env["BROKER_URL"], config_source={"task_ignore_result": True})
    kinds = {
        NAME: replace(KIND, queue=name),
        "test.other": replace(KIND, name="test.other", queue=name, concurrency_per_process=1),
    }
    async with direct_connection(url, settings=PLANNER) as connection:
        with closing(Relay(connection, celery, kinds)) as relay:
            yield relay
    with celery.connection_for_write() as broker:
        broker.default_channel.queue_delete(name)
    celery.close()


def _depth(relay) -> int:
    with relay.celery.connection_for_write() as broker:
        queue = relay.registry[NAME].queue
        found = broker.default_channel.queue_declare(queue, durable=True, auto_delete=False)
        return found.message_count


def _take(relay, count: int) -> None:
    with relay.celery.connection_for_read() as broker:
        for _ in range(count):
            assert broker.default_channel.basic_get(relay.registry[NAME].queue, no_ack=True)


async def test_few_messages_of_tasks_that_are_claimed_already_wait_in_the_broker(relay):
    many = SPENT + 10
    await enqueue_many(NAME, [{} for _ in range(many)])
    assert await relay.publish() == many
    first = await Task.all().order_by("available_at").first()
    kind = relay.registry[NAME]
    more = Companions(await leases.claim(first.id, "this"), kind, "this")
    assert len(await more.claim(many)) == many - 1
    # Longer than a pass goes on with the counts of the last one.
    await asyncio.sleep(RECENT_SECONDS)
    # All of its messages are spent, so no other one helps; but another kind is not delayed.
    await enqueue(NAME, {})
    other = await enqueue("test.other", {})
    assert await relay.publish({NAME, "test.other"}) == 1
    assert (await queries.get(other)).published_at
    assert (relay.has_more, _depth(relay)) == (True, many + 1)
    # A notification of the other kind does not let it forget those that it holds back.
    assert await relay.publish({"test.other"}) == 0
    assert relay.has_more
    _take(relay, 20)
    assert await relay.publish() == 1
    assert not relay.has_more


async def test_messages_of_tasks_that_wait_are_not_spent(relay):
    await enqueue_many(NAME, [{} for _ in range(SPENT + 10)])
    assert await relay.publish() == SPENT + 10
    await asyncio.sleep(RECENT_SECONDS)
    await enqueue(NAME, {})
    assert await relay.publish() == 1


def test_a_worker_that_is_told_to_leave_a_queue_tells_its_processes(monkeypatch):
    asked = []
    consumer = SimpleNamespace(
        call_soon=lambda function, *args, **_: asked.append((function, args[0])),
        cancel_task_queue="cancel",
        add_task_queue="add",
    )
    state = SimpleNamespace(consumer=consumer)
    control.Panel.data["cancel_consumer"](state, "images")
    assert commands.stops.has_stopped("images")
    assert not commands.stops.has_stopped("default")
    control.Panel.data["add_consumer"](state, "images")
    assert not commands.stops.has_stopped("images")
    # One of which it knows no tasks.
    control.Panel.data["cancel_consumer"](state, "unknown")
    assert asked == [("cancel", "images"), ("add", "images"), ("cancel", "unknown")]


def test_what_a_process_is_told_is_seen_in_those_that_are_forked_before():
    stops = Stops(["one", "two"])
    read, write = os.pipe()
    if not (child := os.fork()):
        os.read(read, 1)
        os._exit(10 * stops.has_stopped("one") + stops.has_stopped("two"))
    stops.stop("one")
    os.write(write, b"x")
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 10
    stops.stop()
    assert stops.has_stopped("two")
