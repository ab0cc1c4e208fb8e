"""The relay carries what is due to a real broker, once, in order, and takes back what is lost."""

import asyncio
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import asyncpg
import pytest
from celery import Celery
from uuid_utils.compat import uuid7

from infra.queue import leases, operations, queries
from infra.queue.enqueue import enqueue
from infra.queue.publish import BATCH, WINDOW
from infra.queue.sweep import LOST_WORKER
from infra.queue.timing import EPOCH, Every
from models import Task, TaskSchedule, TaskState
from services.task_names import TaskName
from tasks.registry import Registration, load_tasks
from tests.factories import eventually
from worker.relay import BrokerAway, Relay


async def _nothing(_context) -> None:
    """Do nothing."""


def _kind(name: str, queue: str, every: int | None = None, version: int = 1) -> Registration:
    timing = every and Every(every)
    return Registration(name, _nothing, queue, 4, 10, (), timing, version=version)


@pytest.fixture
async def relay(connect, service):
    """A relay of that database, and a queue of its own on the service's broker."""
    queue = f"test-{uuid7().hex}"
    celery = Celery(broker=service.env["BROKER_URL"], config_source={"task_ignore_result": True})
    kinds = {"test.task": _kind("test.task", queue)}
    with closing(Relay(await connect(), celery, kinds)) as relay:
        yield relay
    with celery.connection_for_write() as broker:
        broker.default_channel.queue_delete(queue)
    celery.close()


def _messages(relay) -> list[str]:
    """Take all messages off the relay's queue; return their ids."""
    queue = next(iter(relay.registry.values())).queue
    ids = []
    with relay.celery.connection_for_read() as broker:
        while message := broker.default_channel.basic_get(queue, no_ack=True):
            ids.append(message.headers["id"])
    return ids


async def test_tasks_of_a_newer_version_wait_for_a_relay_that_knows_it(relay, connect):
    made = [await enqueue("test.task", {}) for _ in range(3)]
    for version, task_id in enumerate(made, start=1):
        await Task.filter(id=task_id).update(version=version)
    assert await relay.publish() == 1
    assert _messages(relay) == [str(made[0])]
    queue = relay.registry["test.task"].queue
    kinds = {"test.task": _kind("test.task", queue, version=2)}
    with closing(Relay(await connect(), relay.celery, kinds)) as newer:
        assert await newer.publish() == 1
        assert _messages(newer) == [str(made[1])]


async def test_a_periodic_task_has_the_version_of_the_relays_code(relay):
    queue = relay.registry["test.task"].queue
    relay.registry = {"test.periodic": _kind("test.periodic", queue, 60, version=3)}
    await relay.schedule()
    assert await Task.all().values_list("version", flat=True) == [3]


async def test_due_tasks_are_published_once_and_marked(relay):
    made = [await enqueue("test.task", {"n": n}) for n in range(3)]
    assert await relay.publish() == 3
    assert await relay.publish() == 0
    assert _messages(relay) == [str(each) for each in made]
    task = await queries.get(made[0])
    assert task.published_at
    assert task.queue.startswith("test-")
    assert (task.state, task.max_attempts) == (TaskState.QUEUED, 4)


async def test_the_higher_priority_goes_first(relay):
    low, high = await enqueue("test.task", {}), await enqueue("test.task", {}, priority=9)
    await relay.publish()
    assert _messages(relay) == [str(high), str(low)]


async def test_a_kind_of_a_higher_priority_overtakes_the_backlog(relay):
    plain = relay.registry["test.task"]
    relay.registry["test.urgent"] = replace(plain, name="test.urgent", priority=5)
    backlog = [str(await enqueue("test.task", {})) for _ in range(WINDOW + BATCH)]
    ahead = str(await enqueue("test.task", {}, priority=6))
    await _publish_all(relay)
    urgent = [str(await enqueue("test.urgent", {})) for _ in range(2)]
    assert await relay.publish() == 0
    # What was in the window already is not overtaken.
    waiting = _messages(relay)
    assert waiting == [ahead, *backlog[: WINDOW - 1]]
    await Task.filter(id__in=waiting).update(state=TaskState.RUNNING)
    await relay.publish()
    assert _messages(relay)[:3] == [*urgent, backlog[WINDOW - 1]]


async def _after_a_pass(relay) -> None:
    """Add a kind, and publish until nothing is due."""
    plain = relay.registry["test.task"]
    relay.registry["test.other"] = replace(plain, name="test.other")
    await _publish_all(relay)


async def test_a_pass_for_a_kind_that_was_notified_is_one_statement(relay):
    await _after_a_pass(relay)
    await enqueue("test.other", {})
    made = [str(await enqueue("test.task", {})) for _ in range(3)]
    statements = []
    with relay.connection.query_logger(lambda each: statements.append(each.query)):
        assert await relay.publish({"test.task"}) == 3
        await asyncio.sleep(0)  # the logger runs later
    assert len(statements) == 1
    assert _messages(relay) == made
    assert await relay.publish() == 1


@pytest.mark.parametrize("count", [WINDOW, 2 * WINDOW])
async def test_a_pass_for_a_kind_respects_the_window(relay, count):
    await _after_a_pass(relay)
    made = [str(await enqueue("test.task", {})) for _ in range(count)]
    while await relay.publish({"test.task"}):
        pass
    assert relay.has_more
    assert _messages(relay) == made[:WINDOW]


async def test_the_rest_of_a_pass_leaves_out_no_kind(relay):
    await _after_a_pass(relay)
    for _ in range(BATCH):
        await enqueue("test.task", {}, priority=1)
    await enqueue("test.task", {})
    await enqueue("test.other", {})
    assert await relay.publish({"test.task"}) == BATCH
    assert await relay.publish({"test.other"}) == 2


async def test_what_is_not_due_unknown_or_cancelled_stays(relay):
    later = await enqueue("test.task", {})
    await Task.filter(id=later).update(available_at=datetime.now(UTC) + timedelta(hours=1))
    unknown = await enqueue("test.of_a_newer_release", {})
    cancelled = await enqueue("test.task", {})
    await Task.filter(id=cancelled).update(cancel_requested=True)
    assert await relay.publish() == 0
    assert (await queries.get(unknown)).queue is None


async def test_several_relays_share_the_work(relay, connect):
    made = [str(await enqueue("test.task", {})) for _ in range(150)]
    with closing(Relay(await connect(), relay.celery, relay.registry)) as other:
        counts = await asyncio.gather(relay.publish(), other.publish())
    assert sum(counts) == 150
    assert sorted(_messages(relay)) == sorted(made)


async def test_a_message_that_the_broker_lost_is_published_again(relay):
    task_id = await enqueue("test.task", {})
    await relay.publish()
    assert _messages(relay) == [str(task_id)]
    assert await relay.recover() == 0
    await Task.filter(id=task_id).update(published_at=datetime.now(UTC) - timedelta(seconds=6))
    assert await relay.recover() == 1
    await relay.publish()
    assert _messages(relay) == [str(task_id)]


async def test_a_message_that_only_waits_is_not_published_again(relay):
    task_id = await enqueue("test.task", {})
    await relay.publish()
    await Task.filter(id=task_id).update(published_at=datetime.now(UTC) - timedelta(minutes=1))
    assert await relay.recover() == 0


async def test_a_message_whose_lease_lapsed_is_due_and_not_looked_for(relay):
    await enqueue("test.task", {})
    await relay.publish()
    _messages(relay)
    an_hour_ago = datetime.now(UTC) - timedelta(hours=1)
    await Task.all().update(published_at=an_hour_ago, lease_until=an_hour_ago)
    assert await relay.recover() == 0
    assert await relay.publish() == 1


async def _lapse() -> None:
    await Task.all().update(lease_until=datetime.now(UTC) - timedelta(seconds=1))


async def _publish_all(relay) -> None:
    while await relay.publish():
        pass


async def test_a_queue_without_workers_holds_a_window_however_often_leases_lapse(relay):
    for n in range(WINDOW + 50):
        await enqueue("test.task", {"n": n})
    for _ in range(10):
        await relay.recover()
        await _publish_all(relay)
        await _lapse()
    assert WINDOW <= len(_messages(relay)) <= 300


async def test_a_queue_that_was_full_is_published_to_as_soon_as_it_has_room(relay):
    for n in range(2 * WINDOW + 50):
        await enqueue("test.task", {"n": n})
    await _publish_all(relay)
    await relay.recover()
    taken = _messages(relay)
    assert len(taken) == WINDOW
    await Task.filter(id__in=taken).update(state=TaskState.RUNNING)
    assert await relay.publish() == BATCH


async def test_a_queue_without_workers_delays_no_other(relay):
    for _ in range(WINDOW):
        await enqueue("test.task", {})
    await _publish_all(relay)
    await relay.recover()
    await _lapse()
    relay.registry["test.other"] = _kind("test.other", f"other-{uuid7().hex}")
    await enqueue("test.other", {})
    assert await relay.publish() == 1
    assert not relay.has_more


async def test_a_broker_that_is_away_costs_nothing(relay):
    task_id = await enqueue("test.task", {})
    away = Celery(broker="redis://127.0.0.1:1/0", config_source={"task_ignore_result": True})
    relay_away = Relay(relay.connection, away, relay.registry)
    with pytest.raises(BrokerAway):
        await relay_away.publish()
    assert (await queries.get(task_id)).published_at is None
    assert await relay.publish() == 1
    away.close()


async def test_a_lapsed_lease_is_taken_back_and_the_last_attempt_fails(relay):
    again, last = await enqueue("test.task", {}), await enqueue("test.task", {})
    await relay.publish()
    _messages(relay)
    await Task.filter(id=last).update(max_attempts=1)
    for task_id in (again, last):
        assert await leases.claim(task_id, "dies")
    assert await relay.sweep() == 0
    await Task.all().update(lease_until=datetime.now(UTC) - timedelta(seconds=1))
    assert await relay.sweep() == 2
    assert (await queries.get(again)).state == TaskState.QUEUED
    failed = await queries.get(last)
    assert failed.state == TaskState.FAILED
    assert failed.error == LOST_WORKER


async def test_any_number_of_schedulers_give_one_run_a_slot(relay):
    relay.registry["test.hourly"] = _kind("test.hourly", "test", every=3600)
    second = Relay(relay.connection, relay.celery, relay.registry)
    for scheduler in (relay, second, relay):
        await scheduler.schedule()
    assert await Task.filter(name="test.hourly").count() == 1
    await Task.all().update(state=TaskState.SUCCEEDED, finished_at=datetime.now(UTC))
    await Relay(relay.connection, relay.celery, relay.registry).schedule()
    assert await Task.filter(name="test.hourly").count() == 1


async def test_a_scheduled_task_that_waits_stands_for_the_slots_that_pass(relay):
    relay.registry["test.often"] = _kind("test.often", "test", every=1)
    for _ in range(3):
        await relay.schedule()
        await asyncio.sleep(1.05)
    assert await Task.filter(name="test.often").count() == 1
    await Task.all().update(state=TaskState.SUCCEEDED, finished_at=datetime.now(UTC))
    await relay.schedule()
    assert await Task.filter(name="test.often").count() == 2


async def test_a_slot_is_served_once_though_its_task_is_gone(relay):
    relay.registry["test.yearly"] = _kind("test.yearly", "test", every=365 * 86400)
    await relay.schedule()
    assert await Task.filter(name="test.yearly").delete() == 1
    await Relay(relay.connection, relay.celery, relay.registry).schedule()
    assert await Task.filter(name="test.yearly").count() == 0


async def test_a_schedule_that_was_changed_goes_on_with_its_next_slot(relay):
    relay.registry["test.changed"] = _kind("test.changed", "test", every=1)
    await relay.schedule()
    await Task.all().update(state=TaskState.SUCCEEDED, finished_at=datetime.now(UTC))
    relay.registry["test.changed"] = _kind("test.changed", "test", every=2)
    await asyncio.sleep(2.1)
    await relay.schedule()
    assert await Task.filter(name="test.changed").count() == 2


async def test_a_slot_of_a_transaction_that_rolls_back_is_not_served(relay):
    relay.registry["test.hourly"] = _kind("test.hourly", "test", every=3600)
    async with relay.connection.transaction():
        await relay.connection.execute("ALTER TABLE tasks ADD CHECK (name <> 'test.hourly')")
    with pytest.raises(asyncpg.CheckViolationError):
        await relay.schedule()
    assert (await TaskSchedule.get(name="test.hourly")).last_slot == EPOCH
    await relay.connection.execute("ALTER TABLE tasks DROP CONSTRAINT tasks_name_check")
    await relay.schedule()
    assert await Task.filter(name="test.hourly").count() == 1


async def test_a_task_that_was_due_before_what_is_published_already_is_found(relay):
    await enqueue("test.task", {})
    await relay.publish()
    late = await enqueue("test.task", {})
    await Task.filter(id=late).update(available_at=datetime.now(UTC) - timedelta(hours=1))
    # By a full scan, once a second or less often if they are slow.
    assert await eventually(relay.publish, within=5) == 1
    assert str(late) in _messages(relay)


@pytest.mark.usefixtures("task_hooks")
async def test_a_task_with_a_time_is_published_when_that_has_come(relay):
    in_a_second = datetime.now(UTC) + timedelta(seconds=1)
    later = await enqueue("test.task", {}, run_at=in_a_second.astimezone(ZoneInfo("Asia/Tokyo")))
    delayed = await enqueue("test.task", {}, delay=1)
    in_a_day = await enqueue("test.task", {}, delay=86400)
    now = await enqueue("test.task", {}, delay=0)
    past = await enqueue("test.task", {}, run_at=datetime.now(UTC) - timedelta(days=1))
    assert (await queries.get(later)).available_at == in_a_second
    created = (await queries.get(past)).created_at
    assert abs((await queries.get(past)).available_at - created) < timedelta(seconds=1)
    assert await relay.publish() == 2
    assert _messages(relay) == [str(now), str(past)]
    await asyncio.sleep(1.1)
    assert await relay.publish() == 2
    assert set(_messages(relay)) == {str(later), str(delayed)}
    # An operator can let one run at once.
    await operations.retry(in_a_day)
    assert await relay.publish() == 1


async def test_a_waiting_task_with_the_key_keeps_its_time(relay):
    first = await enqueue("test.task", {}, dedupe_key="k", delay=3600)
    due = (await queries.get(first)).available_at
    assert await enqueue("test.task", {}, dedupe_key="k") == first
    assert (await queries.get(first)).available_at == due
    assert await relay.publish() == 0


@pytest.mark.parametrize(
    ("when", "fault"),
    [
        ({"run_at": datetime(2026, 9, 27, 2, 30)}, "run_at must have a time zone"),  # noqa: DTZ001  that is the fault
        ({"delay": -1}, "delay must be 0 to"),
        ({"delay": float("nan")}, "delay must be 0 to"),
        ({"delay": float("inf")}, "delay must be 0 to"),
        ({"delay": 1e12}, "delay must be 0 to"),
        ({"delay": 1, "run_at": datetime(2026, 9, 27, tzinfo=UTC)}, "run_at or delay, not both"),
    ],
)
async def test_an_invalid_time_is_refused_when_it_is_enqueued(relay, when, fault):
    with pytest.raises(ValueError, match=fault):
        await enqueue("test.task", {}, **when)
    assert await Task.all().count() == 0


async def test_a_priority_that_is_new_is_published_at_once_and_in_its_order(relay):
    low = await enqueue("test.task", {})
    await relay.publish()
    made = {
        priority: str(await enqueue("test.task", {}, priority=priority))
        for priority in (-32768, 5, 32767, 0, 7)
    }
    assert await relay.publish() == 5
    assert _messages(relay) == [str(low), *(made[each] for each in sorted(made, reverse=True))]


async def test_every_name_that_services_use_is_registered():
    assert set(TaskName) <= set(load_tasks())
