"""A task runs once in its effects: claim, lease, fence, retry."""

from datetime import UTC, datetime, timedelta

import pytest

from infra.db.engine import database
from infra.db.sql import rows
from infra.db.transactions import transaction
from infra.queue import leases, operations, queries
from infra.queue.enqueue import enqueue
from infra.queue.errors import LeaseLost, TaskNotRetryable
from infra.queue.leases import KnownKinds
from models import Course, Difficulty, Task, TaskState
from tasks.registry import Registration


@pytest.fixture
async def _tables(new_database):
    async with database(await new_database(), pool_size=3):
        yield


pytestmark = pytest.mark.usefixtures("_tables", "task_hooks")


async def _published(max_attempts: int = 3) -> Task:
    task_id = await enqueue("test.task", {"a": 1})
    await Task.filter(id=task_id).update(max_attempts=max_attempts, queue="default")
    return await queries.get(task_id)


async def _let_lapse(task_id) -> None:
    await Task.filter(id=task_id).update(lease_until=datetime.now(UTC) - timedelta(minutes=1))


async def _make_due(task_id) -> None:
    await Task.filter(id=task_id).update(available_at=datetime.now(UTC) - timedelta(minutes=1))


def _course() -> Course:
    return Course(title="made by the task", description="d", difficulty=Difficulty.BEGINNER)


def _kinds(**versions: int) -> KnownKinds:
    names = {f"test.{name}": version for name, version in versions.items()}
    return KnownKinds.of(
        {
            name: Registration(name, print, "default", 3, 60, (), None, version=version)
            for name, version in names.items()
        }
    )


NEWEST = _kinds(task=2, other=9)


async def test_a_task_of_a_newer_version_is_left_to_another_worker():
    task = await _published()
    await Task.filter(id=task.id).update(
        version=2,
        published_at=datetime.now(UTC),
        lease_until=datetime.now(UTC) + timedelta(minutes=1),
    )
    for known in (KnownKinds(), _kinds(task=1), _kinds(other=2)):
        assert await leases.claim(task.id, "old", known) is None
    left = await queries.get(task.id)
    assert (left.state, left.attempts, left.published_at, left.lease_until) == (
        *(TaskState.QUEUED, 0),
        *(None, None),
    )
    assert timedelta() < left.available_at - datetime.now(UTC) <= timedelta(seconds=2)
    await _make_due(task.id)
    claim = await leases.claim(task.id, "new", NEWEST)
    assert (claim.version, claim.attempt) == (2, 1)


async def test_a_task_of_a_newer_version_keeps_its_backoff_and_its_run():
    waiting, running = await _published(), await _published()
    later = datetime.now(UTC) + timedelta(minutes=10)
    await Task.filter(id=waiting.id).update(version=2, available_at=later)
    await Task.filter(id=running.id).update(version=2)
    claim = await leases.claim(running.id, "new", NEWEST)
    assert await leases.claim(waiting.id, "old") is None
    assert await leases.claim(running.id, "old") is None
    assert (await queries.get(waiting.id)).available_at == later
    assert (await leases.renew([claim])).renewed == {claim.id}


async def test_a_newer_worker_claims_older_tasks():
    task = await _published()
    assert (await leases.claim(task.id, "new", NEWEST)).version == 1


async def test_a_task_of_a_transaction_that_rolls_back_is_none():
    with pytest.raises(RuntimeError):
        async with transaction():
            await enqueue("test.task", {})
            raise RuntimeError
    assert await Task.all().count() == 0


async def test_a_claim_counts_the_attempt_and_is_had_once():
    task = await _published()
    claim = await leases.claim(task.id, "one")
    assert (claim.name, claim.args, claim.attempt) == ("test.task", '{"a": 1}', 1)
    assert await leases.claim(task.id, "two") is None
    running = await queries.get(task.id)
    assert (running.state, running.attempts, running.worker) == (TaskState.RUNNING, 1, "one")
    assert running.started_at
    assert running.lease_until > datetime.now(UTC)


async def test_nothing_is_claimed_that_is_not_there_not_due_or_cancelled():
    assert await leases.claim("019aae3c-5f00-7cc0-8000-3f1bb9a3c001", "one") is None
    later = await _published()
    await Task.filter(id=later.id).update(available_at=datetime.now(UTC) + timedelta(hours=1))
    assert await leases.claim(later.id, "one") is None
    cancelled = await _published()
    await Task.filter(id=cancelled.id).update(cancel_requested=True)
    assert await leases.claim(cancelled.id, "one") is None


@pytest.mark.parametrize(
    ("attempt", "backoff", "seconds"),
    [(1, (100, 1000), 100), (2, (100, 1000), 1000), (9, (100, 1000), 1000), (1, (), 2)],
)
async def test_the_wait_after_a_failed_attempt_is_that_of_its_kind(attempt, backoff, seconds):
    task = await _published(max_attempts=20)
    await Task.filter(id=task.id).update(attempts=attempt - 1)
    claim = await leases.claim(task.id, "one")
    began = datetime.now(UTC)
    await leases.fail_attempt(claim, "error", "", permanent=False, backoff=backoff)
    wait = ((await queries.get(task.id)).available_at - began).total_seconds()
    # With jitter over the upper half.
    assert seconds / 2 - 1 <= wait <= seconds + 1


async def test_the_effect_and_succeeded_commit_together():
    claim = await leases.claim((await _published()).id, "one")
    with pytest.raises(RuntimeError):
        async with transaction():
            await leases.finish(claim)
            await _course().save()
            raise RuntimeError
    assert (await queries.get(claim.id)).state == TaskState.RUNNING
    async with transaction():
        await leases.finish(claim)
        await _course().save()
    finished = await queries.get(claim.id)
    assert (finished.state, finished.progress) == (TaskState.SUCCEEDED, 100)
    assert finished.finished_at
    assert await Course.all().count() == 1


async def test_only_a_finish_with_effects_waits_for_the_disk():
    claim = await leases.claim((await _published()).id, "one")
    async with transaction():
        await leases.finish(claim)
        assert await _waits_for_the_disk()
    claim = await leases.claim((await _published()).id, "one")
    async with transaction():
        await leases.complete_without_effects(claim)
        assert not await _waits_for_the_disk()
    assert (await queries.get(claim.id)).state == TaskState.SUCCEEDED
    # That was this statement's business alone.
    assert await _waits_for_the_disk()


async def _waits_for_the_disk():
    (setting,) = await rows("SHOW synchronous_commit")
    return setting["synchronous_commit"] == "on"


async def test_a_run_given_up_for_dead_commits_nothing():
    task = await _published()
    zombie = await leases.claim(task.id, "frozen")
    await _let_lapse(task.id)
    second = await leases.claim(task.id, "another")
    assert second.attempt == 2
    with pytest.raises(LeaseLost):
        async with transaction():
            await _course().save()
            await leases.finish(zombie)
    assert await Course.all().count() == 0
    with pytest.raises(LeaseLost):
        await leases.report(zombie, 50)
    with pytest.raises(LeaseLost):
        await leases.complete_without_effects(zombie)
    assert await leases.fail_attempt(zombie, "e", "t", permanent=True) is None
    await leases.finish(second)


async def test_a_frozen_run_can_not_finish_a_task_that_an_operator_retried():
    task = await _published(max_attempts=1)
    zombie = await leases.claim(task.id, "frozen")
    await Task.filter(id=task.id).update(state=TaskState.FAILED, finished_at=datetime.now(UTC))
    retried = await operations.retry(task.id)
    await Task.filter(id=retried.id).update(max_attempts=retried.attempts + 1)
    fresh = await leases.claim(task.id, "another")
    with pytest.raises(LeaseLost):
        await leases.finish(zombie)
    await leases.finish(fresh)


async def test_an_error_waits_longer_each_time_and_ends_failed():
    task = await _published(max_attempts=3)
    waits = []
    for attempt in (1, 2, 3):
        await _make_due(task.id)
        claim = await leases.claim(task.id, "one")
        assert claim.attempt == attempt
        before = datetime.now(UTC)
        state = await leases.fail_attempt(claim, "broken", "Traceback", permanent=False)
        left = await queries.get(task.id)
        waits.append((left.available_at - before).total_seconds())
        assert state == ("failed" if attempt == 3 else "queued")
    assert (left.state, left.error, left.traceback) == (TaskState.FAILED, "broken", "Traceback")
    kept = [(each["attempt"], each["error"], each["traceback"]) for each in left.errors]
    assert kept == [(n, "broken", "Traceback") for n in (1, 2, 3)]
    assert {each["worker"] for each in left.errors} == {"one"}
    assert left.finished_at
    # Each times a jitter of 0.5 to 1.
    for wait, longest in zip(waits, (2, 4, 8), strict=True):
        assert longest / 2 - 0.1 <= wait <= longest
    assert await leases.claim(task.id, "one") is None


async def test_the_errors_of_the_last_attempts_are_kept_and_the_ends_of_tracebacks():
    task = await _published(max_attempts=100)
    for attempt in range(1, leases.KEPT_ERRORS + 3):
        await _make_due(task.id)
        claim = await leases.claim(task.id, "one")
        traceback = "x" * leases.KEPT_TRACEBACK + str(attempt)
        await leases.fail_attempt(claim, "broken", traceback, permanent=False)
    errors = (await queries.get(task.id)).errors
    assert [each["attempt"] for each in errors] == list(range(3, leases.KEPT_ERRORS + 3))
    assert len(errors[-1]["traceback"]) == leases.KEPT_TRACEBACK
    assert errors[-1]["traceback"].endswith(f"x{leases.KEPT_ERRORS + 2}")


async def test_a_permanent_error_is_not_tried_again():
    claim = await leases.claim((await _published()).id, "one")
    assert await leases.fail_attempt(claim, "broken", "Traceback", permanent=True) == "failed"


async def test_reports_keep_the_lease_and_the_progress():
    claim = await leases.claim((await _published()).id, "one")
    await _let_lapse(claim.id)
    await leases.report(claim, 40)
    task = await queries.get(claim.id)
    assert task.progress == 40
    assert task.lease_until > datetime.now(UTC)


async def test_a_running_task_that_is_cancelled_stops_at_its_next_report():
    claim = await leases.claim((await _published()).id, "one")
    assert (await operations.cancel(claim.id)).state == TaskState.RUNNING
    with pytest.raises(LeaseLost):
        await leases.report(claim, 50)
    assert await leases.mark_cancelled(claim)
    assert (await queries.get(claim.id)).state == TaskState.CANCELLED


async def test_a_dedupe_key_stands_for_one_task_until_it_ends():
    first = await enqueue("test.task", {}, dedupe_key="same")
    assert await enqueue("test.task", {}, dedupe_key="same") == first
    await Task.filter(id=first).update(max_attempts=1)
    await leases.finish(await leases.claim(first, "one"))
    second = await enqueue("test.task", {}, dedupe_key="same")
    assert second != first
    with pytest.raises(TaskNotRetryable):
        await operations.retry(first)
