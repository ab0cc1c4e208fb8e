"""`enroll queues` against the running service."""

import asyncio
import json
from datetime import datetime, timedelta

import asyncpg
import pytest
from uuid_utils.compat import uuid7

from tests.factories import eventually, table_of
from tests.metrics_of import api_address, series


@pytest.fixture
async def rows(service):
    """The service's database; no queue is steered afterwards."""
    connection = await asyncpg.connect(service.env["DATABASE_URL"])
    yield connection
    await connection.execute("DELETE FROM task_queues")
    await connection.execute("DELETE FROM tasks WHERE name = 'test.elsewhere'")
    await connection.execute("SELECT pg_notify('tasks', '')")
    await connection.close()


async def _listed(enroll):
    code, output, _ = await enroll("queues", "list", "--json")
    assert code == 0
    return {each["name"]: each for each in json.loads(output)}


async def test_a_queue_is_paused_on_the_workers_and_resumed(service, enroll, rows):
    async def paused_seconds():
        return (await series(api_address(service.base_url)))["queue_paused_seconds", of_queue]

    of_queue = frozenset({("queue", "cache")})
    assert await paused_seconds() == 0
    code, output, _ = await enroll("queues", "pause", "cache", "--for", "1h")
    assert (code, output) == (0, "cache is paused; `enroll queues resume cache` ends it\n")
    task_id = uuid7()
    await rows.execute(
        "INSERT INTO tasks (id, name, args) VALUES ($1, 'cache.warm', '{}')", task_id
    )
    await rows.execute("SELECT pg_notify('tasks', '')")
    await asyncio.sleep(2.5)
    state = "SELECT state FROM tasks WHERE id = $1"
    assert await rows.fetchval(state, task_id) == "queued"
    listed = (await _listed(enroll))["cache"]
    pause = datetime.fromisoformat(listed["resume_at"]) - datetime.fromisoformat(
        listed["paused_at"]
    )
    assert pause == timedelta(hours=1)
    assert listed["queued"] >= 1
    assert listed["due"] >= 1
    assert listed["oldest_due_seconds"] > 2
    assert await paused_seconds() > 2
    _, table, _ = await enroll("queues", "list")
    assert "paused until" in table
    assert (await enroll("queues", "resume", "cache"))[0] == 0

    async def has_ended():
        return await rows.fetchval(state, task_id) not in {"queued", "running"}

    await eventually(has_ended)
    assert (await _listed(enroll))["cache"]["paused_at"] is None
    assert await paused_seconds() == 0
    actions = await rows.fetch(
        "SELECT action FROM audit_log WHERE target = 'cache' AND action LIKE 'queues.%' ORDER BY at"
    )
    assert [row["action"] for row in actions] == ["queues.pause", "queues.resume"]


@pytest.mark.parametrize(
    ("call", "code", "said"),
    [
        (("resume", "cache"), 1, "The queue is not paused"),
        (("pause", "cahce"), 2, "must be one of cache, default"),
        (("pause", "cache", "--for", "soon"), 2, "as in 90s or 2h"),
        (("unlimit", "cache"), 1, "The queue has no limits"),
        (("limit", "cache"), 2, "give --concurrency or --rate"),
        (("limit", "cache", "--concurrency", "0"), 2, "--concurrency"),
        (("limit", "cache", "--rate", "fast"), 2, "as in 5/s or 100/m"),
        (("limit", "cache", "--rate", "0/s"), 2, "as in 5/s or 100/m"),
        (("limit", "cache", "--rate", "10001/s"), 2, "1 to 10000 per s, m, h or d"),
        (("limit", "cache", "--concurrency", "1", "--burst", "2"), 2, "--burst belongs to --rate"),
    ],
)
async def test_what_makes_no_sense_is_refused_with_a_reason(enroll, rows, call, code, said):
    refused = await enroll("queues", *call)
    assert refused[0] == code
    assert said in refused[2]
    assert await rows.fetchval("SELECT count(*) FROM task_queues") == 0


async def test_the_list_has_all_queues_and_what_waits_and_runs(enroll, rows):
    await rows.execute(
        "INSERT INTO task_queues (name, concurrency, rate, rate_seconds, burst) "
        "VALUES ('elsewhere', 4, 90, 60, 2)"
    )
    for state, minutes in (("queued", -5), ("queued", -1), ("queued", 60), ("running", -9)):
        await rows.execute(
            "INSERT INTO tasks (id, name, args, queue, state, available_at, lease_until) VALUES "
            "($1, 'test.elsewhere', '{}', 'elsewhere', $2, now() + $3, now() + interval '1 h')",
            *(uuid7(), state, timedelta(minutes=minutes)),
        )
    listed = await _listed(enroll)
    assert {"cache", "default", "elsewhere", "images", "maintenance"} <= listed.keys()
    assert list(listed) == sorted(listed)
    _, output, _ = await enroll("queues", "list")
    (row,) = [each for each in table_of(output) if each["queue"] == "elsewhere"]
    assert 300 <= float(row.pop("oldest waits").removesuffix(" s")) < 400
    assert row == {
        "queue": "elsewhere",
        "state": "starts tasks",
        "at a time": "4",
        "rate": "90 in 60 s, 2 at once",
        "queued": "3",
        "due": "2",
        "running": "1",
    }


async def test_each_limit_may_be_set_alone(enroll, rows):
    async def limits(*arguments):
        code, output, _ = await enroll("queues", "limit", "images", *arguments)
        said = "images is limited; `enroll queues unlimit images` ends it\n"
        assert (code, output) == (0, said)
        found = (await _listed(enroll))["images"]
        return [found[each] for each in ("concurrency", "rate", "rate_seconds", "burst")]

    assert await limits("--concurrency", "5") == [5, None, None, None]
    assert await limits("--rate", "7200/h", "--burst", "9") == [None, 7200, 3600, 9]
    assert (await enroll("queues", "unlimit", "images"))[1] == "images has no limits\n"


async def test_limits_are_set_shown_and_removed(enroll, rows):
    assert (await enroll("queues", "limit", "images", "--concurrency", "3", "--rate", "90/m"))[
        0
    ] == 0
    listed = (await _listed(enroll))["images"]
    shown = {key: listed[key] for key in ("concurrency", "rate", "rate_seconds", "burst")}
    assert shown == {"concurrency": 3, "rate": 90, "rate_seconds": 60, "burst": 2}
    _, table, _ = await enroll("queues", "list")
    assert "90 in 60 s, 2 at once" in table
    assert (await enroll("queues", "unlimit", "images"))[0] == 0
    assert (await _listed(enroll))["images"]["rate"] is None
    assert await rows.fetchval("SELECT count(*) FROM audit_log WHERE action = 'queues.limit'")
    assert await rows.fetchval("SELECT count(*) FROM audit_log WHERE action = 'queues.unlimit'")
