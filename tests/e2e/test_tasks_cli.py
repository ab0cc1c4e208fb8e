"""`enroll tasks` against the running service."""

import asyncio
import json
import os
import pty
import sys

import asyncpg
import pytest
from uuid_utils.compat import uuid7

from tests.factories import NO_ID, table_of

NAME = "test.unknown_to_workers"


@pytest.fixture
async def rows(service):
    """The service's database, without tasks of this module's name."""
    connection = await asyncpg.connect(service.env["DATABASE_URL"])
    yield connection
    await connection.execute("DELETE FROM tasks WHERE name = $1", NAME)
    await connection.close()


async def _task(rows, state="failed"):
    task_id = uuid7()
    final = state in {"failed", "succeeded", "cancelled"}
    await rows.execute(
        "INSERT INTO tasks (id, name, args, state, finished_at, error, traceback, max_attempts) "
        "VALUES ($1, $2, '{}', $3, CASE WHEN $4 THEN now() END, 'It broke', 'Traceback', 3)",
        task_id,
        NAME,
        state,
        final,
    )
    return str(task_id)


async def _state(rows, task_id):
    return await rows.fetchval("SELECT state FROM tasks WHERE id = $1", task_id)


async def test_a_list_is_paged(rows, enroll):
    made = [await _task(rows) for _ in range(3)]
    seen = []
    for page in ("1", "2", "3"):
        _, output, _ = await enroll(
            "tasks", "list", "--name", NAME, "--limit", "2", "--page", page, "--json"
        )
        seen.append([task["id"] for task in json.loads(output)])
    assert sorted(map(len, seen)) == [0, 1, 2]
    assert sorted(seen[0] + seen[1]) == sorted(made)


async def test_list_and_show(rows, enroll):
    task_id = await _task(rows)
    code, output, _ = await enroll("tasks", "list", "--state", "failed", "--name", NAME)
    assert code == 0
    assert task_id in output
    code, output, _ = await enroll("tasks", "list", "--name", NAME, "--json")
    assert [each["id"] for each in json.loads(output)] == [task_id]
    code, output, _ = await enroll("tasks", "show", task_id)
    assert code == 0
    assert "It broke" in output
    assert "Traceback" in output
    _, output, _ = await enroll("tasks", "show", task_id, "--json")
    assert json.loads(output)["error"] == "It broke"


async def test_retry_cancel_and_drop_of_one_task(rows, enroll):
    task_id = await _task(rows)
    assert (await enroll("tasks", "retry", task_id))[:2] == (0, "1 retried\n")
    assert await _state(rows, task_id) == "queued"
    assert (await enroll("tasks", "cancel", task_id))[:2] == (0, "1 cancelled\n")
    assert await _state(rows, task_id) == "cancelled"
    assert (await enroll("tasks", "drop", task_id))[:2] == (0, "1 dropped\n")
    assert await _state(rows, task_id) is None
    code, output, errors = await enroll("tasks", "retry", task_id)
    assert (code, output) == (1, "0 retried\n")
    assert errors == f"enroll: {task_id}: The requested task does not exist\n"


async def test_a_bulk_retry_requires_confirmation(rows, enroll):
    made = [await _task(rows) for _ in range(3)]
    code, output, errors = await enroll("tasks", "retry", "--name", NAME, typed="n\n")
    assert code == 1
    assert "3 tasks will be retried" in output + errors
    assert {await _state(rows, each) for each in made} == {"failed"}
    assert (await enroll("tasks", "retry", "--name", NAME, "--yes"))[:2] == (0, "3 retried\n")
    assert {await _state(rows, each) for each in made} == {"queued"}
    assert (await enroll("tasks", "retry", "--name", NAME, "--older-than", "1h"))[:2] == (
        0,
        "no task matches\n",
    )


async def test_stats_and_drain(rows, enroll):
    await _task(rows, "queued")
    code, output, _ = await enroll("tasks", "stats", "--json")
    assert code == 0
    assert next(each for each in json.loads(output) if each["queue"] == "-")["queued"] == 1
    code, _, errors = await enroll("tasks", "drain", "--timeout", "0.2")
    assert code == 3
    assert "not done after 0.2 s" in errors
    await rows.execute(
        "UPDATE tasks SET available_at = now() + interval '1 h' WHERE name = $1", NAME
    )
    await _task(rows, "failed")
    _, output, _ = await enroll("tasks", "stats")
    (row,) = [each for each in table_of(output) if each["queue"] == "-"]
    assert (row["queued"], row["due"], row["running"], row["failed"]) == ("1", "0", "0", "1")
    # What other tests have left ends meanwhile.
    code, output, _ = await enroll("tasks", "drain", "--timeout", "30")
    assert (code, output) == (0, "nothing is due or running\n")
    code, _, errors = await enroll("tasks", "drain", "--later", "--timeout", "0.2")
    assert (code, "not done after 0.2 s" in errors) == (3, True)
    await rows.execute("DELETE FROM tasks WHERE name = $1", NAME)
    code, output, _ = await enroll("tasks", "drain", "--later", "--timeout", "30")
    assert (code, output) == (0, "nothing is queued or running\n")


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (("show", "odd"), "'odd' is not a valid UUID"),
        (("list", "--state", "odd"), "'odd' is not one of"),
        (("list", "--older-than", "3x"), "it is '3x'"),
        (("odd",), "No such command 'odd'"),
        (("drop", NO_ID, "--older-than", "7d"), "give ids or filters, not both"),
        (("retry", NO_ID, "--state", "failed", "--yes"), "give ids or filters, not both"),
        (("cancel", NO_ID, "--name", "images.process"), "give ids or filters, not both"),
    ],
)
async def test_bad_input_is_reported_in_one_sentence(enroll, arguments, fault):
    code, output, errors = await enroll("tasks", *arguments)
    assert (code, output) == (2, "")
    assert errors.startswith("enroll: ")
    assert fault in errors
    assert errors.count("\n") == 1


async def test_watch_shows_the_queues_live(service, rows):
    task_id = await _task(rows)
    terminal, other_end = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "cli", "tasks", "watch"),
        env=os.environ | service.env | {"COLUMNS": "160", "LINES": "50", "TERM": "xterm"},
        stdin=other_end,
        stdout=other_end,
        stderr=other_end,
    )
    os.close(other_end)
    seen = b""
    async with asyncio.timeout(20):
        while task_id.encode() not in seen:
            seen += await asyncio.to_thread(os.read, terminal, 65536)
    process.terminate()
    await process.wait()
    os.close(terminal)
    assert b"oldest waits" in seen
