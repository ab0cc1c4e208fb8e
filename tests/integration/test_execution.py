"""One run of a task in a worker: its heartbeat, its time limit, and what is said of its errors."""

import asyncio
import threading
import time
import weakref
from contextlib import closing, suppress
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from uuid import UUID, uuid4

import pytest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from infra.cache import ResponseCache, SecondLevel
from infra.db.engine import database, direct_connection
from infra.observability import logs, tracing
from infra.observability.otlp import Tracer
from infra.queue import leases, operations, queries
from infra.queue.enqueue import enqueue
from infra.queue.errors import LeaseLost, Snooze
from infra.queue.sweep import LOST_WORKER
from infra.settings import Settings
from infra.storage.memory import MemoryStorage
from models import Course, Difficulty, Task, TaskState
from services.flags.evaluate import Flags
from services.flags.feed import FlagFeed
from services.flags.registry import AVIF_VARIANTS
from tasks import threads
from tasks.registry import PermanentError, Registration, load_tasks
from worker import app, heartbeat
from worker.execution import UNFORESEEN, Backends, ThreadLeftBehind, execute
from worker.heartbeat import Heartbeat
from worker.relay import Relay

BEAT_SECONDS = 0.05
LONG_SECONDS = 6 * BEAT_SECONDS
NAME = "test.task"


@pytest.fixture(autouse=True)
async def url(new_database, task_hooks, monkeypatch):
    monkeypatch.setattr(heartbeat, "HEARTBEAT_SECONDS", BEAT_SECONDS)
    url = await new_database()
    async with database(url, pool_size=3):
        yield url


@pytest.fixture
def run(url):
    """Run a body as a task; return what the worker says, and the row."""
    beating = Heartbeat(url)
    beating.start()

    async def run(
        body,
        limit: float = 60,
        row_version: int = 1,
        upgrade: tuple = (),
        backoff: tuple = (),
        **args: object,
    ) -> tuple[str | None, Task]:
        task_id = await enqueue(NAME, args)
        await Task.filter(id=task_id).update(max_attempts=3, version=row_version)
        kind = Registration(
            NAME, body, "default", 3, limit, (PermanentError,), None, backoff=backoff
        )
        steps = dict(enumerate(upgrade, start=1))
        kinds = {NAME: replace(kind, version=len(steps) + 1, upgrade=steps)}
        cache = ResponseCache(SecondLevel("memory://"), memory_bytes=0)
        settings = Settings(_env_file=None)
        parts = settings, MemoryStorage("/media"), cache, FlagFeed(Flags()), kinds
        backends = Backends(*parts, "this", beating)
        said = await execute(backends, task_id)
        return said, await queries.get(task_id)

    yield run
    beating.stop()


@pytest.mark.parametrize("inside", [0, LONG_SECONDS])
async def test_what_a_body_does_after_its_commit_is_not_cut_off(run, inside):
    done = []

    async def body(context) -> None:
        async with context.finishing():
            await asyncio.sleep(inside)
        await asyncio.sleep(LONG_SECONDS)
        done.append(context.id)

    said, task = await run(body)
    assert (said, task.state, len(done)) == ("succeeded", TaskState.SUCCEEDED, 1)


async def test_a_body_whose_commit_failed_can_still_be_cancelled(run):
    async def body(context) -> None:
        with suppress(RuntimeError):
            async with context.finishing():
                await Course(title="t", description="d", difficulty=Difficulty.BEGINNER).save()
                raise RuntimeError
        await operations.cancel(context.id)
        await asyncio.sleep(60)

    said, task = await run(body)
    assert (said, task.state) == ("cancelled", TaskState.CANCELLED)
    assert await Course.all().count() == 0


async def test_a_body_whose_commit_failed_succeeds_at_its_second_try(run):
    async def body(context) -> None:
        with suppress(RuntimeError):
            async with context.finishing():
                raise RuntimeError

    assert (await run(body))[1].state == TaskState.SUCCEEDED


async def test_a_body_that_takes_too_long_is_ended_and_tried_again(run):
    async def body(_context) -> None:
        await asyncio.sleep(60)

    said, task = await run(body, limit=0.1)
    assert (said, task.state) == ("queued", TaskState.QUEUED)
    assert task.error == "The task took longer than its 0.1 s"
    assert "TimeoutError" in task.traceback


async def test_a_timeout_of_the_bodys_own_is_not_the_tasks(run):
    async def body(_context) -> None:
        async with asyncio.timeout(0.01):
            await asyncio.sleep(60)

    said, task = await run(body)
    assert (said, task.error) == ("queued", UNFORESEEN)
    assert "TimeoutError" in task.traceback


async def test_without_memory_the_attempt_has_failed_and_the_process_is_told(run):
    held = []

    async def body(_context) -> None:
        much = type("Much", (), {})()
        held.append(weakref.ref(much))
        raise MemoryError

    with pytest.raises(MemoryError):
        await run(body)
    task = await Task.get()
    assert (task.state, task.attempts, task.error) == (TaskState.QUEUED, 1, UNFORESEEN)
    assert held[0]() is None


async def test_a_kind_has_its_own_back_off(run):
    async def body(context) -> None:
        raise RuntimeError

    began = datetime.now(UTC)
    _, task = await run(body, backoff=(600, 1000))
    assert 300 <= (task.available_at - began).total_seconds() <= 610


def _snoozes(context) -> None:
    """Snooze in a thread."""
    raise Snooze(60)


async def _snoozes_in_a_transaction(context) -> None:
    """Snooze, and write nothing."""
    async with context.finishing():
        await Course(title="t", description="d", difficulty=Difficulty.BEGINNER).save()
        raise Snooze(60)


@pytest.mark.parametrize("body", [_snoozes, _snoozes_in_a_transaction])
async def test_a_snoozed_task_is_due_later_and_its_attempt_does_not_count(run, body):
    began = datetime.now(UTC)
    said, task = await run(body)
    assert (said, task.state, task.error) == ("queued", TaskState.QUEUED, None)
    assert (task.attempts, task.max_attempts) == (1, 4)
    assert 55 < (task.available_at - began).total_seconds() < 65
    assert (task.lease_until, task.published_at) == (None, None)
    assert await Course.all().count() == 0


async def test_a_cancelled_task_does_not_snooze(run):
    async def body(context) -> None:
        await operations.cancel(context.id)
        raise Snooze(60)

    said, task = await run(body)
    assert (said, task.state) == ("cancelled", TaskState.CANCELLED)


async def test_a_run_that_was_given_up_does_not_snooze(run):
    async def body(context) -> None:
        await Task.filter(id=context.id).update(attempts=2)
        raise Snooze(60)

    said, task = await run(body)
    assert (said, task.state, task.attempts) == (None, TaskState.RUNNING, 2)


@pytest.mark.parametrize("seconds", [-1, float("nan"), float("inf"), 400 * 86400])
def test_an_unusable_snooze_is_refused(seconds):
    with pytest.raises(ValueError, match="a snooze takes 0 to"):
        Snooze(seconds)


async def _lease(context) -> datetime:
    return (await queries.get(context.id)).lease_until


async def test_a_body_that_blocks_the_event_loop_keeps_its_lease_and_is_logged(
    run, url, monkeypatch
):
    monkeypatch.setattr(leases, "LEASE_SECONDS", 0.5)
    monkeypatch.setattr(heartbeat, "BLOCKED_SECONDS", 0.3)
    logged = []
    log = SimpleNamespace(warning=lambda event, **fields: logged.append((event, fields)))
    monkeypatch.setattr(heartbeat, "log", log)
    attempts = []

    async def body(context) -> None:
        attempts.append(context.attempt)
        sweeping = asyncio.create_task(asyncio.to_thread(asyncio.run, _sweep_for(url, 2)))
        await asyncio.sleep(0.1)
        time.sleep(1.5)  # noqa: ASYNC251  that is the fault
        swept.append(await sweeping)

    swept = []
    said, task = await run(body)
    assert (said, task.attempts, attempts, swept) == ("succeeded", 1, [1], [0])
    [(event, fields)] = logged
    assert event == "event_loop_blocked"
    assert fields["task"] == NAME
    assert fields["stack"].startswith("body (")
    assert "\n" not in fields["stack"]


async def _sweep_for(url: str, seconds: float) -> int:
    async with direct_connection(url) as connection:
        with closing(Relay(connection, app.app, {})) as relay:
            deadline = time.monotonic() + seconds
            taken = 0
            while time.monotonic() < deadline:
                taken += await relay.sweep()
                await asyncio.sleep(0.05)
    return taken


async def test_a_body_that_blocks_past_its_limit_is_not_renewed_for_ever(run, url, monkeypatch):
    monkeypatch.setattr(leases, "LEASE_SECONDS", 0.3)
    monkeypatch.setattr(heartbeat, "HARD_LIMIT_GRACE_SECONDS", 0.2)
    sweeping = []

    async def body(_context) -> None:
        sweeping.append(asyncio.create_task(asyncio.to_thread(asyncio.run, _sweep_for(url, 1))))
        await asyncio.sleep(0.1)
        time.sleep(1.5)  # noqa: ASYNC251  that is the fault

    said, task = await run(body, limit=0.2)
    assert await sweeping[0] == 1
    assert (said, task.error) == (None, LOST_WORKER)


async def test_the_heartbeat_survives_a_restart_of_its_connection(run, url, monkeypatch):
    monkeypatch.setattr(leases, "LEASE_SECONDS", 1.0)
    name = url.rpartition("/")[2].partition("?")[0]
    ended = []

    async def body(context) -> None:
        for _ in range(4):
            before = await _lease(context)
            async with direct_connection(url) as connection:
                ended.append(
                    await connection.fetchval(
                        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
                        "WHERE datname = $1 AND query LIKE '%tasks SET lease_until%' "
                        "AND pid <> pg_backend_pid()",
                        name,
                    )
                )
            await asyncio.sleep(10 * BEAT_SECONDS)
            assert await _lease(context) > before

    said, task = await run(body)
    assert (said, task.attempts) == ("succeeded", 1)
    assert sum(ended) >= 2


async def test_a_plain_function_runs_once_in_a_thread_and_can_use_all_that_a_coroutine_can(run):
    done = []

    def body(context) -> None:
        done.append(threading.current_thread() is threading.main_thread())
        context.progress(50)
        assert context.run(queries.get, context.id).attempts == context.attempt == 1
        context.run(context.storage.put, "images/a", b"x", "image/webp")
        course = Course(title="t", description="d", difficulty=Difficulty.BEGINNER)
        context.finish_with(course.save)

    said, task = await run(body)
    assert (said, task.state, task.attempts, done) == ("succeeded", TaskState.SUCCEEDED, 1, [False])
    assert await Course.all().count() == 1


async def test_a_plain_function_that_only_returns_has_succeeded(run):
    assert (await run(lambda _context: None))[1].state == TaskState.SUCCEEDED


async def _returns(_context) -> dict[str, int]:
    return {"seats": 3}


async def _finishes(context) -> None:
    context.set_result({"seats": 3})
    async with context.finishing():
        pass


def _returns_from_its_thread(_context) -> dict[str, int]:
    return {"seats": 3}


def _finishes_in_its_thread(context) -> None:
    assert context.predecessors() == {}
    context.set_result({"seats": 3})
    context.finish_with(asyncio.sleep, 0)


@pytest.mark.parametrize(
    "body", [_returns, _finishes, _returns_from_its_thread, _finishes_in_its_thread]
)
async def test_the_result_of_a_task_is_kept_with_its_row(run, body):
    said, task = await run(body)
    assert (said, task.result) == ("succeeded", {"seats": 3})


@pytest.mark.parametrize(
    ("result", "error"),
    [
        (object(), "The result is no JSON: Type is not JSON serializable: object"),
        ("x" * 65535, "The result has 65537 bytes of JSON, and at most 65536 are kept"),
        (["a\0"], "The result has a NUL, which PostgreSQL does not store"),
    ],
)
async def test_a_result_that_cannot_be_kept_fails_the_attempt_and_says_so(run, result, error):
    async def body(_context) -> object:
        return result

    said, task = await run(body)
    assert (said, task.error, task.result) == ("failed", error, None)


async def test_a_result_after_the_commit_is_logged_and_lost(run, capsys):
    async def body(context) -> int:
        async with context.finishing():
            pass
        return 3

    said, task = await run(body)
    assert (said, task.result) == ("succeeded", None)
    assert "result_not_stored" in capsys.readouterr().out


async def test_a_plain_function_that_fails_is_tried_again_and_commits_nothing(run):
    async def writes() -> None:
        await Course(title="t", description="d", difficulty=Difficulty.BEGINNER).save()
        raise RuntimeError("broken")

    said, task = await run(lambda context: context.finish_with(writes))
    assert (said, task.error) == ("queued", UNFORESEEN)
    assert "broken" in task.traceback
    assert await Course.all().count() == 0


async def test_a_plain_function_that_blocks_keeps_its_lease(run, monkeypatch):
    monkeypatch.setattr(leases, "LEASE_SECONDS", 0.3)

    def body(context) -> None:
        time.sleep(1)
        assert context.run(_lease, context) > datetime.now(UTC)

    said, task = await run(body)
    assert (said, task.attempts) == ("succeeded", 1)


async def test_a_thread_that_outlives_its_attempt_has_no_effect_and_its_process_ends(
    run, monkeypatch
):
    monkeypatch.setattr(threads, "THREAD_SECONDS", 0.1)
    woken, ended, refused = threading.Event(), threading.Event(), []

    def body(context) -> None:
        woken.wait(10)
        for act in (
            lambda: context.finish_with(Course(title="t", description="d").save),
            lambda: context.progress(50),
        ):
            try:
                act()
            except LeaseLost as error:
                refused.append(error)
        ended.set()

    with pytest.raises(ThreadLeftBehind):
        await run(body, limit=0.2)
    task = await Task.get()
    assert (task.state, task.error) == (TaskState.QUEUED, "The task took longer than its 0.2 s")
    woken.set()
    assert await asyncio.to_thread(ended.wait, 5)
    assert len(refused) == 2
    assert await Course.all().count() == 0


async def test_a_thread_that_calls_nothing_is_given_up_when_its_task_is_cancelled(run, monkeypatch):
    monkeypatch.setattr(threads, "THREAD_SECONDS", 0.1)
    woken = threading.Event()

    def body(context) -> None:
        context.run(operations.cancel, context.id)
        woken.wait(10)

    with pytest.raises(ThreadLeftBehind):
        await run(body)
    assert (await Task.get()).state == TaskState.CANCELLED
    woken.set()


async def test_a_thread_that_heeds_what_it_is_told_costs_no_process(run):
    def body(context) -> None:
        context.run(operations.cancel, context.id)
        while True:
            context.progress(1)

    said, task = await run(body)
    assert (said, task.state) == ("cancelled", TaskState.CANCELLED)


@pytest.mark.parametrize("is_plain", [True, False])
async def test_a_body_gets_arguments_of_its_types(run, is_plain):
    seen = []

    def plain(_context, course_id: UUID, difficulty: Difficulty = Difficulty.ADVANCED) -> None:
        seen.append((course_id, difficulty))

    async def coroutine(_context, course_id: UUID, *, difficulty: Difficulty) -> None:
        seen.append((course_id, difficulty))

    course_id = uuid4()
    args = {"course_id": course_id, "difficulty": "Beginner"}
    assert (await run(plain if is_plain else coroutine, **args))[0] == "succeeded"
    assert seen == [(course_id, Difficulty.BEGINNER)]
    assert isinstance(seen[0][1], Difficulty)


def _rename(args) -> dict:
    return {"course_id": args["course"]}


def _add(args) -> dict:
    return args | {"difficulty": Difficulty.ADVANCED, "copy_of": UUID(args["course_id"])}


@pytest.mark.parametrize(
    ("version", "stored"),
    [
        (1, ("course",)),
        (2, ("course_id",)),
        (3, ("course_id", "copy_of", "difficulty")),
    ],
)
async def test_an_older_row_is_upgraded_step_by_step_and_keeps_its_version(run, version, stored):
    seen = []
    course_id = uuid4()

    async def body(_context, course_id: UUID, copy_of: UUID, difficulty: Difficulty) -> None:
        seen.append((course_id, copy_of, difficulty))

    args = dict.fromkeys(stored, course_id) | (
        {"difficulty": Difficulty.ADVANCED} if version == 3 else {}
    )
    said, task = await run(body, row_version=version, upgrade=(_rename, _add), **args)
    assert (said, seen) == ("succeeded", [(course_id, course_id, Difficulty.ADVANCED)])
    assert task.version == version


async def test_a_row_of_a_newer_version_is_not_run(run):
    async def body(_context) -> None:
        raise AssertionError

    said, task = await run(body, row_version=2)
    assert (said, task.state, task.attempts) == (None, TaskState.QUEUED, 0)


async def test_an_upgrade_that_fails_fails_the_attempt(run):
    async def body(_context, course_id: UUID) -> None:
        raise AssertionError(course_id)

    said, task = await run(body, upgrade=(_rename,), other=1)
    assert (said, task.error) == ("queued", UNFORESEEN)
    assert "KeyError: 'course'" in task.traceback
    said, task = await run(body, upgrade=(_rename,), course="no id")
    assert task.error.startswith("test.task: course_id: Input should be a valid UUID")


async def test_a_row_of_code_with_other_arguments_is_tried_again_and_says_why(run):
    async def body(_context, course_id: UUID) -> None:
        """Takes an argument that the row does not have."""

    said, task = await run(body, upload_id="7")
    assert (said, task.attempts) == ("queued", 1)
    assert task.error == (
        "test.task: course_id: Field required; upload_id: Extra inputs are not permitted"
    )


async def test_what_a_thread_does_in_its_transaction_is_rolled_back_at_its_limit(run):
    async def writes() -> None:
        await Course(title="t", description="d", difficulty=Difficulty.BEGINNER).save()
        await asyncio.sleep(60)

    said, task = await run(lambda context: context.finish_with(writes), limit=0.5)
    assert (said, task.error) == ("queued", "The task took longer than its 0.5 s")
    assert await Course.all().count() == 0


def _new_course() -> Course:
    return Course(title="t", description="d", difficulty=Difficulty.BEGINNER)


async def _committed_courses(url: str) -> int:
    async with direct_connection(url) as connection:
        return await connection.fetchval("SELECT count(*) FROM courses")


async def test_what_a_thread_writes_while_it_finishes_commits_with_its_success(run, url):
    seen = []

    def body(context) -> None:
        with context.finishing():
            context.run(_new_course().save)
            state = context.run(queries.get, context.id).state
            seen.append((state, asyncio.run(_committed_courses(url))))
            context.run(_new_course().save)
        seen.append(asyncio.run(_committed_courses(url)))

    said, task = await run(body)
    assert (said, task.state) == ("succeeded", TaskState.SUCCEEDED)
    assert seen == [("succeeded", 0), 2]


async def test_a_thread_that_fails_while_it_finishes_commits_nothing_and_can_try_again(run):
    def body(context) -> None:
        with suppress(RuntimeError), context.finishing():
            context.run(_new_course().save)
            raise RuntimeError
        with context.finishing():
            pass

    assert (await run(body))[1].state == TaskState.SUCCEEDED
    assert await Course.all().count() == 0


async def test_a_thread_that_has_lost_its_task_does_not_begin_to_finish(run):
    async def taken_away(context) -> None:
        await Task.filter(id=context.id).update(attempts=2)

    def body(context) -> None:
        context.run(taken_away, context)
        with context.finishing():
            context.run(_new_course().save)

    said, task = await run(body)
    assert (said, task.state, task.attempts) == (None, TaskState.RUNNING, 2)
    assert await Course.all().count() == 0


@pytest.mark.parametrize("is_calling", [True, False])
async def test_the_transaction_of_a_thread_is_rolled_back_at_its_limit(run, is_calling):
    refused = []

    def body(context) -> None:
        with suppress(LeaseLost), context.finishing():
            context.run(_new_course().save)
            try:
                if is_calling:
                    context.run(asyncio.sleep, 60)
                time.sleep(0.8)
                context.progress(50)
            except LeaseLost as error:
                refused.append(error)

    said, task = await run(body, limit=0.5)
    assert (said, task.error) == ("queued", "The task took longer than its 0.5 s")
    assert len(refused) == 1
    assert await Course.all().count() == 0


async def test_a_thread_stores_how_far_it_is_and_snoozes(run):
    seen = []

    def body(context) -> None:
        seen.append(context.checkpoint())
        context.save({"after": 7}, 30)
        seen.append(context.checkpoint())
        raise Snooze(60)

    said, task = await run(body)
    assert (said, task.state, task.progress, task.max_attempts) == ("queued", "queued", 30, 4)
    assert seen == [None, {"after": 7}]


async def test_a_thread_reads_the_flags(run):
    assert (await run(lambda context: context.flags().is_on(AVIF_VARIANTS, context.id)))[
        0
    ] == "succeeded"


@pytest.fixture
def traced(monkeypatch):
    """Spans are recorded in this process."""
    tracer = Tracer(InMemorySpanExporter(), 1, Resource({}))
    monkeypatch.setattr(tracing, "tracer", tracer)
    yield
    tracer.close()


@pytest.mark.usefixtures("traced")
async def test_a_thread_logs_and_enqueues_as_a_part_of_the_trace_of_its_task(run):
    seen = []

    async def request_and_trace() -> tuple[str | None, str | None]:
        return logs.request_id(), tracing.trace_id()

    def body(context) -> None:
        seen.append((logs.request_id(), tracing.trace_id()))
        seen.append(context.run(request_and_trace))
        with context.finishing():
            seen.append(context.run(request_and_trace))

    logs.bind(request_id="of-the-request")
    with tracing.span("request"):
        expected = await request_and_trace()
        assert (await run(body))[0] == "succeeded"
    logs.bind(request_id=None)
    assert expected[1]
    assert seen == [expected] * 3


async def test_a_plain_function_that_returns_a_coroutine_fails_for_good(run):
    said, task = await run(lambda _context: asyncio.sleep(0))
    assert said == "failed"
    assert "async def" in task.error


async def test_a_thread_that_would_wait_for_itself_is_told_so(run):
    async def nested(context) -> None:
        context.run(asyncio.sleep, 0)

    said, task = await run(lambda context: context.run(nested, context))
    assert said == "queued"
    assert "on the event loop, await" in task.traceback


def test_code_that_blocks_is_killed_some_time_after_its_limit():
    for kind in load_tasks().values():
        limit = app.app.tasks[kind.name].time_limit
        assert limit == kind.timeout + heartbeat.HARD_LIMIT_GRACE_SECONDS
