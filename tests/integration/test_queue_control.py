"""What operators set for queues holds for every relay and every claim."""

import asyncio
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from uuid import UUID

import pytest
from celery import Celery

from infra.db.engine import database, direct_connection, primary
from infra.db.sql import rows
from infra.queue import leases, operations, publish, queries, queues, stats
from infra.queue.enqueue import enqueue
from infra.queue.errors import QueueNotLimited, QueueNotPaused
from infra.queue.queues import Limits
from infra.queue.sweep import EXPIRED, expire
from infra.queue.table import CHANNEL
from models import Task, TaskState
from services.task_names import TaskName
from tasks.registry import Registration, load_tasks
from tests.factories import eventually
from worker.relay import Relay

QUEUE = "of-tests"


async def _nothing(_context) -> None:
    """Do nothing."""


@pytest.fixture
async def url(new_database):
    """A database of the test's own, and Tortoise on it."""
    url = await new_database()
    async with database(url, pool_size=8):
        yield url


@pytest.fixture
async def relay(url):
    """A relay of that database; what it publishes is in its list `sent`."""
    kind = Registration("test.task", _nothing, QUEUE, 4, 10, (), None)
    other = Registration("test.other", _nothing, "other", 4, 10, (), None)
    async with direct_connection(url, settings=publish.PLANNER) as connection:
        kinds = {each.name: each for each in (kind, other)}
        with closing(Relay(connection, Celery(broker="memory://"), kinds)) as relay:
            relay.sent = []
            relay._send_all = lambda batch: relay.sent.extend(row["id"] for row in batch)  # noqa: SLF001  it has no public name
            yield relay


async def test_a_paused_queue_is_not_published_and_others_are(relay):
    await queues.pause(QUEUE)
    task_id, other = await enqueue("test.task", {}), await enqueue("test.other", {})
    await relay.publish()
    assert relay.sent == [other]
    # The relay is not kept busy by what it must not publish.
    assert not relay.has_more
    await queues.resume(QUEUE)
    await relay.publish()
    assert relay.sent == [other, task_id]


async def test_a_published_task_of_a_paused_queue_is_not_claimed_and_is_due_after_it(relay):
    first, second = [await enqueue("test.task", {}) for _ in range(2)]
    await relay.publish()
    await leases.claim(second, "a worker")
    await queues.pause(QUEUE)
    assert await leases.claim(first, "a worker") is None
    task = await queries.get(first)
    assert (task.state, task.attempts, task.published_at) == (TaskState.QUEUED, 0, None)
    # What runs goes on.
    assert (await queries.get(second)).state == TaskState.RUNNING
    await relay.publish()
    await queues.resume(QUEUE)
    await relay.publish()
    assert relay.sent == [first, second, first]
    assert await leases.claim(first, "a worker")


async def test_a_refused_claim_of_a_queue_that_is_not_paused_changes_nothing(relay):
    task_id = await enqueue("test.task", {})
    await relay.publish()
    await Task.filter(id=task_id).update(cancel_requested=True)
    assert await leases.claim(task_id, "a worker") is None
    assert (await queries.get(task_id)).published_at


async def test_a_pause_ends_by_itself(relay):
    await queues.pause(QUEUE, timedelta(hours=1))
    task_id = await enqueue("test.task", {})
    await relay.publish()
    (control,) = await queues.list_controls()
    assert control.resume_at - control.paused_at == timedelta(hours=1)
    await rows("UPDATE task_queues SET resume_at = now()")
    (control,) = await queues.list_controls()
    assert (control.paused_at, control.resume_at) == (None, None)
    await relay.publish()
    assert relay.sent == [task_id]
    assert await leases.claim(task_id, "a worker")
    with pytest.raises(QueueNotPaused):
        await queues.resume(QUEUE)


async def test_a_second_pause_changes_the_end_of_the_first(url):
    await queues.pause(QUEUE, timedelta(hours=1))
    (first,) = await queues.list_controls()
    await queues.pause(QUEUE)
    (second,) = await queues.list_controls()
    assert (second.paused_at, second.resume_at) == (first.paused_at, None)


async def _published(count: int) -> list[UUID]:
    """Enqueue tasks and mark all of them as published, in spite of limits."""
    made = [await enqueue("test.task", {}) for _ in range(count)]
    await rows(
        "UPDATE tasks SET queue = $2, max_attempts = 4, published_at = now(), lease_until = now() "
        "WHERE id = ANY($1)",
        made,
        QUEUE,
    )
    return made


async def _claims(made: list[UUID]) -> list[leases.Claim]:
    claims = await asyncio.gather(*(leases.claim(each, "a worker") for each in made))
    return [claim for claim in claims if claim]


async def test_no_more_tasks_of_a_queue_run_than_its_limit_with_concurrent_claims(relay):
    await queues.limit(QUEUE, Limits(concurrency=3))
    made = await _published(24)
    running = await _claims(made)
    assert len(running) == 3
    # The messages of the others are spent, so they are due again.
    assert await Task.filter(published_at=None).count() == 21
    left = {*made} - {claim.id for claim in running}
    await leases.complete_without_effects(running.pop())
    await leases.fail_attempt(running.pop(), "error", "traceback", permanent=True)
    running += await _claims([*left])
    assert len(running) == 3
    assert await Task.filter(state=TaskState.RUNNING).count() == 3


async def test_a_limit_is_never_exceeded_while_workers_come_and_go(relay):
    await queues.limit(QUEUE, Limits(concurrency=2))
    left, most = await _published(40), 0

    async def work() -> None:
        nonlocal most
        while left:
            task_id = left.pop(0)
            claim = await leases.claim(task_id, "a worker")
            if claim is None:
                left.append(task_id)
                continue
            running = await Task.filter(state=TaskState.RUNNING).count()
            most = max(most, running)
            await leases.complete_without_effects(claim)

    await asyncio.gather(*(work() for _ in range(6)))
    assert await Task.filter(state=TaskState.SUCCEEDED).count() == 40
    assert most == 2


async def test_a_slot_is_free_when_the_lease_of_its_task_has_lapsed(relay):
    await queues.limit(QUEUE, Limits(concurrency=1))
    first, second = await _published(2)
    assert await leases.claim(first, "a worker")
    assert await leases.claim(second, "a worker") is None
    await rows("UPDATE tasks SET lease_until = now() - interval '1 s' WHERE state = 'running'")
    # The lapsed task keeps its slot if it is claimed itself.
    assert (await leases.claim(first, "another")).attempt == 2
    await rows("UPDATE tasks SET lease_until = now() - interval '1 s' WHERE state = 'running'")
    await relay.sweep()
    assert await leases.claim(second, "another")


async def test_what_runs_when_a_queue_is_limited_counts(relay):
    made = await _published(5)
    running = await _claims(made[:3])
    await queues.limit(QUEUE, Limits(concurrency=2))
    for claim in running[:2]:
        assert not await _claims(made[3:])
        await leases.complete_without_effects(claim)
    assert len(await _claims(made[3:])) == 1
    await queues.unlimit(QUEUE)
    assert len(await _claims(made[3:])) == 1
    with pytest.raises(QueueNotLimited):
        await queues.unlimit(QUEUE)


async def test_no_more_tasks_start_than_a_rate_has_tokens(relay):
    await queues.limit(QUEUE, Limits(rate=1, rate_seconds=3600, burst=5))
    made = await _published(20)
    started = await _claims(made)
    assert len(started) == 5
    # A token is spent by the start, not given back by the end.
    for claim in started:
        await leases.complete_without_effects(claim)
    left = [*{*made} - {claim.id for claim in started}]
    assert not await _claims(left)
    await rows("UPDATE task_queues SET refilled_at = refilled_at - interval '2.5 h'")
    assert len(await _claims(left)) == 2
    # The bucket holds no more than the burst.
    await rows("UPDATE task_queues SET refilled_at = refilled_at - interval '99 h'")
    assert len(await _claims(left)) == 5


async def test_a_refused_claim_costs_no_token(relay):
    await queues.limit(QUEUE, Limits(rate=1, rate_seconds=3600, burst=1))
    first, second = await _published(2)
    await Task.filter(id=first).update(attempts=4)
    assert await leases.claim(first, "a worker") is None
    assert await leases.claim(second, "a worker")


@pytest.mark.parametrize(
    "limits", [Limits(concurrency=2), Limits(rate=1, rate_seconds=3600, burst=2)]
)
async def test_relays_publish_what_may_start_and_nothing_else_waits_for_it(relay, limits):
    await queues.limit(QUEUE, limits)
    made = [await enqueue("test.task", {}) for _ in range(5)]
    others = [await enqueue("test.other", {}) for _ in range(3)]
    await relay.publish()
    assert {*relay.sent} == {*made[:2], *others}
    await relay.publish()
    assert len(relay.sent) == 5
    # Tokens come with time alone; a slot comes with a notification.
    assert relay.is_held_back == (limits.rate is not None)
    assert not relay.has_more
    running = await _claims(made[:2])
    await relay.publish()
    assert len(relay.sent) == 5
    await leases.complete_without_effects(running[0])
    await rows("UPDATE task_queues SET refilled_at = refilled_at - interval '1 h'")
    await relay.publish()
    assert relay.sent[5:] == [made[2]]
    assert await leases.claim(made[2], "a worker")


async def test_a_refused_task_is_published_again_in_its_turn(relay):
    made = [await enqueue("test.task", {}) for _ in range(3)]
    await relay.publish()
    await queues.limit(QUEUE, Limits(concurrency=1))
    running = await _claims(made[2:])
    assert not await _claims(made[:2])
    await relay.publish()
    assert len(relay.sent) == 3
    await leases.complete_without_effects(running[0])
    await relay.publish()
    assert relay.sent[3:] == made[:1]


async def test_the_end_of_a_limited_task_wakes_the_relays_and_others_do_not(relay, url):
    woken = []
    async with direct_connection(url) as listener:
        await listener.add_listener(CHANNEL, lambda *_: woken.append(1))
        (task_id,) = await _published(1)
        await leases.complete_without_effects(await leases.claim(task_id, "a worker"))
        await queues.limit(QUEUE, Limits(concurrency=1))
        (task_id,) = await _published(1)
        claim = await leases.claim(task_id, "a worker")
        await listener.fetch("SELECT 1")
        woken.clear()
        await leases.complete_without_effects(claim)
        await eventually(lambda: asyncio.sleep(0, woken))


async def _keyed(count: int, key: str = "a") -> list[UUID]:
    return [await enqueue("test.task", {}, concurrency_key=key) for _ in range(count)]


@pytest.mark.parametrize(("backoff", "seconds"), [((100, 1000), 100), ((), 2)])
async def test_the_wait_after_a_lost_worker_is_that_of_its_kind(relay, backoff, seconds):
    kind = replace(relay.registry["test.task"], backoff=backoff)
    relay.registry["test.task"] = kind
    relay.registry[TaskName.WARM_CACHE] = replace(kind, name=TaskName.WARM_CACHE)
    (task_id,) = await _published(1)
    await leases.claim(task_id, "a worker")
    await rows("UPDATE tasks SET lease_until = now() - interval '1 s'")
    began = datetime.now(UTC)
    assert await relay.sweep() == 1
    wait = ((await queries.get(task_id)).available_at - began).total_seconds()
    assert seconds / 2 - 1 <= wait <= seconds + 1


async def test_a_task_that_it_is_too_late_to_start_is_cancelled_with_the_reason(relay):
    late = await enqueue("test.task", {}, start_within=timedelta(minutes=5))
    keyed = await enqueue("test.task", {}, concurrency_key="a", start_within=timedelta(0))
    early = await enqueue("test.task", {}, start_within=timedelta(minutes=5))
    others = [await enqueue("test.task", {}) for _ in range(2)]
    await relay.publish()
    assert {*relay.sent} >= {late, early, *others}
    claim = await leases.claim(early, "a worker")
    await rows("UPDATE tasks SET start_before = now() WHERE start_before IS NOT NULL")
    assert await leases.claim(late, "a worker") is None
    # What has started is not disturbed.
    assert await expire(relay.connection) == 2
    await leases.complete_without_effects(claim)
    for task_id in (late, keyed):
        task = await queries.get(task_id)
        assert (task.state, task.error) == (TaskState.CANCELLED, EXPIRED)
        assert task.finished_at
    assert (await queries.get(early)).state == TaskState.SUCCEEDED
    assert [(await queries.get(each)).state for each in others] == [TaskState.QUEUED] * 2


@pytest.mark.usefixtures("task_hooks")
async def test_an_expired_task_can_be_retried_and_has_no_deadline_then(relay):
    task_id = await enqueue("test.task", {}, start_within=timedelta(0))
    assert await expire(relay.connection) == 1
    await operations.retry(task_id)
    assert await expire(relay.connection) == 0
    await relay.publish()
    assert await leases.claim(task_id, "a worker")


async def test_no_attempt_starts_after_the_deadline(relay):
    task_id = await enqueue("test.task", {}, start_within=timedelta(hours=1))
    await relay.publish()
    claim = await leases.claim(task_id, "a worker")
    await leases.fail_attempt(claim, "error", "traceback", permanent=False)
    await rows("UPDATE tasks SET start_before = now(), available_at = now()")
    assert await leases.claim(task_id, "a worker") is None
    await relay.run_once()
    task = await queries.get(task_id)
    assert (task.state, task.traceback) == (TaskState.CANCELLED, "traceback")


async def test_tasks_of_a_key_run_one_at_a_time_in_their_order(relay):
    made, (other,) = await _keyed(3), await _keyed(1, "b")
    free = await enqueue("test.task", {})
    await relay.publish()
    assert {*relay.sent} == {made[0], other, free}
    await relay.publish()
    assert len(relay.sent) == 3
    for task_id, successor in pairwise(made):
        claim = await leases.claim(task_id, "a worker")
        await relay.publish()
        assert successor not in relay.sent
        await leases.complete_without_effects(claim)
        await relay.publish()
        assert relay.sent[-1] == successor


async def test_a_kind_says_how_many_of_a_key_run(relay):
    kind = replace(relay.registry["test.task"], concurrency_per_key=2)
    relay.registry["test.task"] = kind
    made = await _keyed(4)
    await relay.publish()
    assert relay.sent == made[:2]
    await Task.filter(id__in=made).update(queue=QUEUE, max_attempts=4)
    await rows("UPDATE tasks SET available_at = now(), due_at = NULL")
    # Names of built-in kinds are members of an enumeration.
    known = leases.KnownKinds.of(load_tasks() | relay.registry)
    claims = await asyncio.gather(*(leases.claim(each, "w", known) for each in made))
    assert len([claim for claim in claims if claim]) == 2


async def test_no_more_tasks_of_a_key_run_than_its_limit_with_concurrent_claims(relay):
    made = await _keyed(8) + await _keyed(8, "b")
    await rows("UPDATE tasks SET available_at = due_at, due_at = NULL")
    await rows("UPDATE tasks SET queue = $1, max_attempts = 4, published_at = now()", QUEUE)
    running = await _claims(made)
    assert len(running) == 2
    assert await Task.filter(state=TaskState.QUEUED, published_at=None).count() == 14
    # What was refused waits at its place.
    due = await rows("SELECT id FROM tasks WHERE due_at <= now() ORDER BY due_at")
    ran = {claim.id for claim in running}
    assert [row["id"] for row in due] == [each for each in made if each not in ran]


async def test_a_key_is_free_while_its_task_waits_for_its_next_attempt(relay):
    first, second = await _keyed(2)
    await relay.publish()
    claim = await leases.claim(first, "a worker")
    await leases.fail_attempt(claim, "error", "traceback", permanent=False)
    await relay.publish()
    assert relay.sent == [first, second]
    assert await leases.claim(second, "a worker")
    await rows("UPDATE tasks SET available_at = now() WHERE id = $1", first)
    await relay.publish()
    assert await leases.claim(first, "a worker") is None
    assert (await queries.get(first)).due_at


async def test_a_key_and_the_limit_of_its_queue_both_hold(relay):
    await queues.limit(QUEUE, Limits(concurrency=2))
    made = [(await _keyed(1, key))[0] for key in "aabbcc"]
    await relay.publish()
    assert relay.sent == [made[0], made[2]]
    running = await _claims(relay.sent)
    assert len(running) == 2
    await leases.complete_without_effects(running[0])
    await relay.publish()
    assert relay.sent[2:] == [made[1]]


async def test_all_keys_get_their_turn(relay, monkeypatch):
    monkeypatch.setattr(publish, "_ADMIT", publish._ADMIT.replace("500", "2"))  # noqa: SLF001  it has no public name
    made = [(await _keyed(1, key))[0] for key in "abcde"]
    for _ in range(3):
        await relay.publish()
        still = relay.is_held_back
    assert relay.sent == made
    assert not still


@pytest.mark.parametrize("key", ["", "k" * 256])
async def test_an_unusable_key_is_refused(url, key):
    with pytest.raises(ValueError, match="1 to 255 characters"):
        await enqueue("test.task", {}, concurrency_key=key)


async def test_the_oldest_task_of_a_key_counts_as_waiting_and_not_as_unpublished(relay):
    await _keyed(2)
    await relay.publish()
    await rows("UPDATE tasks SET due_at = due_at - interval '1 h'")
    waiting = [each for each in await stats.kind_stats(primary()) if each.queue == stats.UNASSIGNED]
    assert waiting[0].oldest_due_seconds >= 3600
    assert waiting[0].relay_lag_seconds == 0
