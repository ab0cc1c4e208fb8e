"""`enroll schedule` against the running service and its workers."""

import asyncio
import json

import asyncpg
import pytest

from services.task_names import TaskName
from tests.factories import eventually, table_of

NAME = TaskName.REPORT_STALE_FLAGS
GONE = "test.of_an_older_release"


@pytest.fixture
async def database(service, enroll):
    """The service's database; the schedule is as declared again afterwards."""
    connection = await asyncpg.connect(service.env["DATABASE_URL"])
    yield connection
    await enroll("schedule", "resume", NAME)
    await enroll("schedule", "set", NAME, "--as-declared")
    await connection.execute("DELETE FROM task_schedules WHERE name = $1", GONE)
    await connection.close()


@pytest.fixture
def count(database):
    """Counts the schedule's tasks in a state, or all."""
    counting = "SELECT count(*) FROM tasks WHERE name = $1 AND state LIKE $2"
    return lambda state="%": database.fetchval(counting, NAME, state)


async def _listed(enroll, name=NAME):
    code, output, _ = await enroll("schedule", "list", "--json")
    assert code == 0
    return {each["name"]: each for each in json.loads(output)}[name]


async def test_a_schedule_is_changed_paused_and_resumed_while_workers_run(enroll, count):
    assert (await enroll("schedule", "set", NAME, "--every", "1s"))[:2] == (0, f"{NAME}: every 1\n")
    before = await count("succeeded")

    async def has_run():
        return await count("succeeded") >= before + 2

    await eventually(has_run)
    listed = await _listed(enroll)
    assert (listed["state"], listed["timing"]) == ("active", "every 1")
    assert listed["declared"] == "every 86400"
    assert (await enroll("schedule", "pause", NAME))[:2] == (0, f"{NAME} is paused\n")
    paused = await count()
    await asyncio.sleep(3)
    assert await count() == paused
    assert (await _listed(enroll))["state"] == "paused"
    assert (await enroll("schedule", "resume", NAME))[:2] == (0, f"{NAME} is active\n")

    async def has_run_again():
        return await count() > paused

    await eventually(has_run_again)


async def test_a_cron_expression_in_a_zone(enroll, database):
    timing = "30 2 * * sun Pacific/Auckland"
    code, output, _ = await enroll(
        "schedule", "set", NAME, "--cron", "30 2 * * sun", "--tz", "Pacific/Auckland"
    )
    assert (code, output) == (0, f"{NAME}: {timing}\n")
    listed = await _listed(enroll)
    assert (listed["timing"], listed["state"]) == (timing, "active")
    code, output, _ = await enroll("schedule", "list")
    (row,) = [each for each in table_of(output) if each["task"] == NAME]
    assert (row["state"], row["timing"], row["declared"]) == ("active", timing, "every 86400")
    # By the clocks of Auckland, which may have gone forward then.
    assert any(f"{time}:00+1" in row["next slot"] for time in ("02:30", "03:00"))
    assert row["last slot"] < row["next slot"]
    assert (await enroll("schedule", "set", NAME, "--as-declared"))[:2] == (
        0,
        f"{NAME}: as declared\n",
    )
    assert (await _listed(enroll))["timing"] == "every 86400"
    _, output, _ = await enroll("schedule", "list")
    (row,) = [each for each in table_of(output) if each["task"] == NAME]
    assert (row["timing"], row["declared"]) == ("every 86400", "")
    actions = await database.fetch(
        "SELECT action, details FROM audit_log WHERE target = $1 ORDER BY at DESC LIMIT 2", NAME
    )
    assert [(each["action"], json.loads(each["details"])) for each in actions] == [
        ("schedules.set", {"before": timing, "after": "every 86400"}),
        ("schedules.set", {"before": "every 86400", "after": timing}),
    ]


async def test_a_schedule_whose_task_has_left_the_code_is_listed_as_such(enroll, database):
    await database.execute(
        "INSERT INTO task_schedules (name, declared, last_slot) "
        "VALUES ($1, 'every 1', now() - interval '1 day')",
        GONE,
    )
    listed = await _listed(enroll, GONE)
    assert (listed["state"], listed["next_slot"]) == ("undeclared", None)
    await asyncio.sleep(2)
    assert await database.fetchval("SELECT count(*) FROM tasks WHERE name = $1", GONE) == 0
    code, _, errors = await enroll("schedule", "pause", GONE)
    assert (code, errors) == (1, "enroll: No task of this release has this schedule\n")


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        ((), "give one of --cron, --every and --as-declared"),
        (("--cron", "0 6 * * mon", "--every", "1h"), "give one of --cron, --every"),
        (("--cron", "0 25 * * *"), "cron '0 25 * * *': bad hour"),
        (("--cron", "0 6 * * *", "--tz", "Mars/Base"), "tz 'Mars/Base' is no time zone"),
        (("--every", "1h", "--tz", "Europe/Berlin"), "tz is for cron, and there is no cron"),
        (("--every", "soon"), "must be a number and s, m, h or d"),
        (("--as-declared", "--tz", "Europe/Berlin"), "tz is for cron"),
    ],
)
async def test_a_timing_that_is_not_understood_is_named(enroll, arguments, fault):
    code, output, errors = await enroll("schedule", "set", NAME, *arguments)
    assert (code, output) == (2, "")
    assert fault in errors
