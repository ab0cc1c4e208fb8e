"""`enroll queues` against the running service."""

import asyncio
import json

import asyncpg
import pytest
from uuid_utils.compat import uuid7

from tests.factories import eventually
from tests.metrics_of import api_address, series


@pytest.fixture
async def rows(service):
    """The service's database; no queue is steered afterwards."""
    connection = await asyncpg.connect(service.env["DATABASE_URL"])
    yield connection
    await connection.execute("DELETE FROM task_queues")
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
    assert (await enroll("queues", "pause", "cache", "--for", "1h"))[0] == 0
    task_id = uuid7()
    await rows.execute(
        "INSERT INTO tasks (id, name, args) VALUES ($1, 'cache.warm', '{}')", task_id
    )
    await rows.execute("SELECT pg_notify('tasks', '')")
    await asyncio.sleep(2.5)
    state = "SELECT state FROM tasks WHERE id = $1"
    assert await rows.fetchval(state, task_id) == "queued"
    listed = (await _listed(enroll))["cache"]
    assert listed["paused_at"]
    assert listed["resume_at"]
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
        (("limit", "cache", "--concurrency", "1", "--burst", "2"), 2, "--burst belongs to --rate"),
    ],
)
async def test_what_makes_no_sense_is_refused_with_a_reason(enroll, rows, call, code, said):
    refused = await enroll("queues", *call)
    assert refused[0] == code
    assert said in refused[2]
    assert await rows.fetchval("SELECT count(*) FROM task_queues") == 0


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
