"""Schedules against a real database: each slot once, changes that hold, what does not run."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import NAMESPACE_OID, uuid5

import pytest

from infra.queue import schedules
from infra.queue.errors import ScheduleNotFound
from infra.queue.hooks import NoHooks
from infra.queue.schedule import Scheduler
from infra.queue.timing import Cron, Every, Timing
from models import AuditEntry, Task, TaskSchedule, TaskState
from tasks.registry import Registration

NAME = "test.scheduled"
# A minute of it has always begun, and its next slot is soon.
EACH_MINUTE = Cron("* * * * *")
DAILY = Cron("0 0 * * *", "Pacific/Auckland")
DAY = timedelta(days=1)


async def _nothing(_context) -> None:
    """Do nothing."""


def kinds(timing: Timing | None, name: str = NAME) -> dict[str, Registration]:
    """Return the registry of a release that declares one schedule."""
    return {name: Registration(name, _nothing, "test", 4, 10, (), timing)}


@pytest.fixture
async def connection(connect):
    """One of these connections."""
    return await connect()


@pytest.fixture
async def run(connection):
    """Run a relay that has just started, with this timing declared, for one round."""

    async def run(timing: Timing | None) -> None:
        await Scheduler(connection).enqueue_due(kinds(timing).values())

    return run


async def _let_pass(period: timedelta) -> datetime:
    """Let the last slot be so long ago."""
    row = await TaskSchedule.get(name=NAME)
    row.last_slot -= period
    await row.save()
    return row.last_slot


async def _end_tasks() -> None:
    await Task.all().update(state=TaskState.SUCCEEDED, finished_at=datetime.now(UTC))


async def _listed(timing: Timing | None) -> schedules.Schedule:
    """Return how a release that declares this timing lists the schedule."""
    return {each.name: each for each in await schedules.list_schedules(kinds(timing))}[NAME]


async def test_a_new_cron_schedule_starts_with_its_next_slot(run):
    started = datetime.now(UTC)
    await run(DAILY)
    assert await Task.all().count() == 0
    row = await TaskSchedule.get(name=NAME)
    assert timedelta() <= row.last_slot - started < timedelta(minutes=1)
    assert row.declared == "0 0 * * * Pacific/Auckland"
    listed = await _listed(DAILY)
    assert listed.next_slot == DAILY.next_after(row.last_slot)
    assert (listed.state, listed.timing, listed.zone) == ("active", str(DAILY), DAILY.zone)


async def test_a_new_interval_starts_with_the_slot_that_has_begun(run):
    assert (await _listed(Every(3600))).last_slot is None
    await run(Every(3600))
    assert await Task.filter(name=NAME).count() == 1
    listed = await _listed(Every(3600))
    assert listed.next_slot == listed.last_slot + timedelta(hours=1)


@pytest.mark.parametrize("days", [1, 30, 3650])
async def test_the_slots_of_an_outage_are_one_run(run, days):
    await run(DAILY)
    await _let_pass(days * DAY)
    assert (await _listed(DAILY)).next_slot == DAILY.latest(datetime.now(UTC))
    await run(DAILY)
    slot = DAILY.latest(datetime.now(UTC))
    assert [task.id for task in await Task.all()] == [
        uuid5(NAMESPACE_OID, f"{NAME}@{slot.isoformat()}")
    ]
    assert (await TaskSchedule.get(name=NAME)).last_slot == slot
    await _end_tasks()
    await run(DAILY)
    assert await Task.all().count() == 1


async def test_each_slot_is_enqueued_once_by_many_relays(connect, connection):
    """Also while relays start and stop; a task that waits would serve several slots."""
    await connection.execute("""
        CREATE TABLE slots (slot timestamptz);
        CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS
            'BEGIN INSERT INTO slots VALUES (NEW.last_slot); RETURN NULL; END';
        CREATE TRIGGER note AFTER UPDATE OF last_slot ON task_schedules
            FOR EACH ROW EXECUTE FUNCTION note();
        CREATE FUNCTION keyless() RETURNS trigger LANGUAGE plpgsql AS
            'BEGIN NEW.dedupe_key := NULL; RETURN NEW; END';
        CREATE TRIGGER keyless BEFORE INSERT ON tasks FOR EACH ROW EXECUTE FUNCTION keyless()
    """)
    until = asyncio.get_running_loop().time() + 4

    async def relay() -> None:
        own, each_second = await connect(), kinds(Every(1)).values()
        while asyncio.get_running_loop().time() < until:
            scheduler = Scheduler(own)
            for _ in range(10):
                await scheduler.enqueue_due(each_second)
                await asyncio.sleep(0.01)

    await asyncio.gather(*(relay() for _ in range(6)))
    slots = [row["slot"] for row in await connection.fetch("SELECT slot FROM slots")]
    assert len(slots) == len(set(slots))
    first, last = min(slots), max(slots)
    assert len(slots) == (last - first).seconds + 1 >= 4
    assert {task.id for task in await Task.all()} == {
        uuid5(NAMESPACE_OID, f"{NAME}@{int(slot.timestamp())}") for slot in slots
    }


async def test_a_row_of_the_release_before_goes_on(run):
    hour = Every(3600).latest(datetime.now(UTC))
    await TaskSchedule.create(name=NAME, last_slot=hour)
    await run(Every(3600))
    assert await Task.all().count() == 0
    row = await TaskSchedule.get(name=NAME)
    assert (row.last_slot, row.declared) == (hour, "every 3600")
    await _let_pass(timedelta(hours=1))
    await run(Every(3600))
    assert await Task.all().count() == 1


async def test_a_changed_declaration_counts_from_its_release(run):
    """Its slots before, which were no slots then, are not made up for."""
    await run(DAILY)
    await _let_pass(DAY * 7)
    await run(EACH_MINUTE)
    assert await Task.all().count() == 0
    row = await TaskSchedule.get(name=NAME)
    assert datetime.now(UTC) - row.last_slot < timedelta(minutes=1)
    assert row.declared == str(EACH_MINUTE)


async def test_relays_of_two_releases_do_not_take_turns(connection):
    """Each serves the slots of its own declaration, and none moves the row in each round."""
    old, new = Scheduler(connection), Scheduler(connection)
    await old.enqueue_due(kinds(DAILY).values())
    await new.enqueue_due(kinds(EACH_MINUTE).values())
    before = await _let_pass(timedelta(minutes=5))
    await old.enqueue_due(kinds(DAILY).values())
    assert (await TaskSchedule.get(name=NAME)).last_slot == before
    await new.enqueue_due(kinds(EACH_MINUTE).values())
    assert await Task.all().count() == 1


@pytest.mark.usefixtures("task_hooks")
async def test_a_paused_schedule_enqueues_nothing_also_after_a_restart_and_a_release(run):
    await run(DAILY)
    await _let_pass(DAY * 3)
    await schedules.pause(NAME, kinds(DAILY))
    await run(DAILY)
    await run(EACH_MINUTE)
    await run(Every(1))
    assert await Task.all().count() == 0
    listed = await _listed(DAILY)
    assert (listed.state, listed.next_slot) == ("paused", None)
    assert listed.paused_at


@pytest.mark.usefixtures("task_hooks")
@pytest.mark.parametrize("timing", [DAILY, Every(3600)])
async def test_the_slots_of_a_pause_are_not_made_up_for(run, timing):
    await schedules.pause(NAME, kinds(timing))
    await run(timing)
    await _let_pass(DAY * 3)
    await schedules.resume(NAME, kinds(timing))
    await run(timing)
    assert await Task.all().count() == 0
    await _let_pass(DAY)
    await run(timing)
    assert await Task.all().count() == 1


@pytest.mark.usefixtures("task_hooks")
async def test_resuming_an_active_schedule_passes_over_no_slot(run):
    await run(DAILY)
    await _let_pass(DAY)
    await schedules.resume(NAME, kinds(DAILY))
    await run(DAILY)
    assert await Task.all().count() == 1


@pytest.mark.usefixtures("task_hooks")
async def test_a_timing_that_is_set_counts_from_then_and_holds(run):
    await run(DAILY)
    await _let_pass(timedelta(hours=3))
    await schedules.set_timing(NAME, EACH_MINUTE, kinds(DAILY))
    await run(DAILY)
    assert await Task.all().count() == 0
    # Neither a restart nor another declaration replaces it, or moves its slots.
    last = await _let_pass(timedelta(minutes=2))
    await run(Cron("0 12 * * *"))
    slot = (await TaskSchedule.get(name=NAME)).last_slot
    assert slot == EACH_MINUTE.latest(slot) > last
    assert await Task.all().count() == 1
    listed = await _listed(Cron("0 12 * * *"))
    assert (listed.timing, listed.declared) == (str(EACH_MINUTE), "0 12 * * * UTC")
    await schedules.set_timing(NAME, None, kinds(DAILY))
    assert (await _listed(DAILY)).timing == str(DAILY)


@pytest.mark.usefixtures("task_hooks")
@pytest.mark.parametrize(
    "change",
    [
        lambda: schedules.pause(NAME, kinds(DAILY)),
        lambda: schedules.set_timing(NAME, Every(1), kinds(DAILY)),
    ],
    ids=["pause", "set"],
)
async def test_a_change_between_reading_and_enqueueing_is_not_overtaken(
    run, connection, change, monkeypatch
):
    await run(DAILY)
    await _let_pass(DAY)
    enqueue = Scheduler._enqueue  # noqa: SLF001  the place between the two statements

    async def late(*arguments):
        await change()
        await enqueue(*arguments)

    monkeypatch.setattr(Scheduler, "_enqueue", late)
    await Scheduler(connection).enqueue_due(kinds(DAILY).values())
    assert await Task.all().count() == 0


async def test_a_schedule_whose_task_has_left_the_code_is_listed_and_does_not_run(connection, run):
    await run(DAILY)
    await _let_pass(DAY)
    for registry in ({}, kinds(None)):
        await Scheduler(connection).enqueue_due(registry.values())
        (listed,) = await schedules.list_schedules(registry)
        assert (listed.state, listed.next_slot) == ("undeclared", None)
        assert listed.declared == str(DAILY)
        for change in (schedules.pause, schedules.resume):
            with pytest.raises(ScheduleNotFound):
                await change(NAME, registry)
    assert await Task.all().count() == 0
    # Back in the code, it goes on where it was.
    await run(DAILY)
    assert await Task.all().count() == 1


async def test_an_invalid_timing_stops_no_other_schedule(connection, capsys):
    both = kinds(DAILY) | kinds(DAILY, "test.valid")
    scheduler = Scheduler(connection)
    await scheduler.enqueue_due(both.values())
    await TaskSchedule.all().update(last_slot=datetime.now(UTC) - DAY)
    await TaskSchedule.filter(name=NAME).update(timing="0 6 * * mon Mars/Base")
    await scheduler.enqueue_due(both.values())
    await scheduler.enqueue_due(both.values())
    assert [task.name for task in await Task.all()] == ["test.valid"]
    assert capsys.readouterr().out.count("schedule_invalid") == 1
    listed = await _listed(DAILY)
    assert (listed.state, listed.timing) == ("invalid", "0 6 * * mon Mars/Base")


@pytest.mark.usefixtures("connection", "task_hooks")
async def test_changes_are_audited_and_repeated_ones_change_nothing():
    for _ in range(2):
        await schedules.pause(NAME, kinds(DAILY))
    paused_at = (await TaskSchedule.get(name=NAME)).paused_at
    await schedules.pause(NAME, kinds(DAILY))
    assert (await TaskSchedule.get(name=NAME)).paused_at == paused_at
    for _ in range(2):
        await schedules.set_timing(NAME, Every(60), kinds(DAILY))
        await schedules.resume(NAME, kinds(DAILY))
    await schedules.set_timing(NAME, None, kinds(DAILY))
    entries = await AuditEntry.all().order_by("at")
    assert [(each.action, each.target, each.details) for each in entries] == [
        ("schedules.pause", NAME, None),
        ("schedules.set", NAME, {"before": str(DAILY), "after": "every 60"}),
        ("schedules.resume", NAME, None),
        ("schedules.set", NAME, {"before": "every 60", "after": str(DAILY)}),
    ]


async def test_a_change_that_is_not_audited_is_rolled_back(connection):
    with pytest.raises(NoHooks):
        await schedules.pause(NAME, kinds(DAILY))
    assert await connection.fetchval("SELECT count(*) FROM task_schedules") == 0


async def test_a_change_of_no_schedule_is_refused():
    for registry in ({}, kinds(None)):
        with pytest.raises(ScheduleNotFound):
            await schedules.set_timing(NAME, Every(60), registry)
