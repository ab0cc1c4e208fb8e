"""The event stream of a task, and an admin's operations on tasks over HTTP."""

import asyncio
import json

import asyncpg
import httpx
import pytest
from uuid_utils.compat import uuid7

from tests.factories import NO_ID

PROMPT_SECONDS = 0.5


@pytest.fixture
async def task(service):
    """A task that no worker runs, and a function that changes its row."""
    connection = await asyncpg.connect(service.env["DATABASE_URL"])
    task_id = uuid7()
    insert = "INSERT INTO tasks (id, name, args) VALUES ($1, 'test.unknown', '{\"a\": 1}')"
    await connection.execute(insert, task_id)

    async def move(assignments: str) -> None:
        await connection.execute(f"UPDATE tasks SET {assignments} WHERE id = $1", task_id)

    move.id = str(task_id)
    yield move
    await connection.execute("DELETE FROM tasks WHERE id = $1", task_id)
    await connection.close()


async def _events(lines):
    """Yield the events of a stream as (id, data)."""
    event = {}
    async for line in lines:
        if not line and event:
            yield event["id"], json.loads(event["data"])
            event = {}
        elif line and not line.startswith(":"):
            key, _, value = line.partition(": ")
            event[key] = value


async def test_the_head_of_a_stream_leaves_the_connection_usable(service, task):
    async with httpx.AsyncClient(base_url=service.base_url) as client:
        for _ in range(20):
            head = await client.head(f"/api/v1/tasks/{task.id}/events")
            assert (head.status_code, head.content) == (200, b"")
            assert head.headers["content-type"] == "text/event-stream"
            assert head.headers["cache-control"] == "no-store"
            assert (await client.get("/health/live")).status_code == 200


async def test_progress_is_sent_at_once_and_the_stream_ends_with_the_task(client, task):
    async with client.stream("GET", f"/api/v1/tasks/{task.id}/events") as stream:
        assert stream.headers["content-type"] == "text/event-stream"
        events = _events(stream.aiter_lines())
        _, first = await anext(events)
        assert (first["status"], first["progress"]) == ("queued", 0)
        assert "args" not in first
        for percent in (10, 60):
            await task(f"state = 'running', attempts = 1, progress = {percent}")
            _, seen = await asyncio.wait_for(anext(events), PROMPT_SECONDS)
            assert (seen["status"], seen["progress"]) == ("running", percent)
        assert "has_result" not in seen
        await task("state = 'succeeded', progress = 100, finished_at = now(), result = '0'")
        _, last = await asyncio.wait_for(anext(events), PROMPT_SECONDS)
        assert (last["status"], last["has_result"]) == ("succeeded", True)
        assert "result" not in last
        assert [event async for event in events] == []


async def test_a_resumed_stream_continues_after_the_last_event(client, task):
    path = f"/api/v1/tasks/{task.id}/events"
    async with client.stream("GET", path) as stream:
        seen_id, _ = await anext(_events(stream.aiter_lines()))
    async with client.stream("GET", path, headers={"Last-Event-ID": seen_id}) as stream:
        events = _events(stream.aiter_lines())
        await task("state = 'cancelled', finished_at = now()")
        _, data = await asyncio.wait_for(anext(events), 2 * PROMPT_SECONDS)
        assert data["status"] == "cancelled"


async def test_after_the_last_event_a_resumed_stream_is_empty(client, task):
    await task("state = 'failed', attempts = 3, finished_at = now()")
    path = f"/api/v1/tasks/{task.id}/events"
    response = await client.get(path)
    last = response.text.partition("id: ")[2].partition("\n")[0]
    again = await client.get(path, headers={"Last-Event-ID": last})
    assert (again.status_code, again.content) == (204, b"")
    open_pool = await client.get(path, headers={"Last-Event-ID": "3-running-50"})
    assert open_pool.text.count("data: ") == 1


async def test_an_admin_sees_the_arguments(api, client, task):
    await task("state = 'cancelled', finished_at = now()")
    response = await api.call("GET", f"/tasks/{task.id}/events")
    assert json.loads(response.text.partition("data: ")[2])["args"] == {"a": 1}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", f"/tasks/{NO_ID}/events"),
        ("POST", f"/admin/tasks/{NO_ID}/retry"),
        ("POST", f"/admin/tasks/{NO_ID}/cancel"),
    ],
)
async def test_operations_on_an_unknown_task_are_404(api, method, path):
    response = await api.call(method, path)
    assert response.status_code == 404
    assert response.json()["message"] == "The requested task does not exist"


async def test_cancel_and_retry_depend_on_the_state(api, task):
    cancelled = await api.call("POST", f"/admin/tasks/{task.id}/cancel")
    assert (cancelled.status_code, cancelled.json()["status"]) == (202, "cancelled")
    again = await api.call("POST", f"/admin/tasks/{task.id}/cancel")
    assert (again.status_code, again.json()["details"]["code"]) == (409, "TASK_STATE")
    retried = await api.call("POST", f"/admin/tasks/{task.id}/retry")
    assert (retried.status_code, retried.json()["status"]) == (202, "queued")
    await task("state = 'running', attempts = 1")
    running = await api.call("POST", f"/admin/tasks/{task.id}/cancel")
    assert (running.status_code, running.json()["status"]) == (202, "running")
    refused = await api.call("POST", f"/admin/tasks/{task.id}/retry")
    assert refused.status_code == 409


async def test_the_list_is_filtered_and_paged(api, task):
    await task("created_at = now() + interval '1 day'")
    listed = await api.call("GET", "/admin/tasks", params={"name": "test.unknown", "limit": 1})
    assert [each["id"] for each in listed.json()["tasks"]] == [task.id]
    assert listed.json()["tasks"][0]["args"] == {"a": 1}
    cursor = listed.json()["next_cursor"]
    rest = await api.call("GET", "/admin/tasks", params={"name": "test.unknown", "cursor": cursor})
    assert task.id not in {each["id"] for each in rest.json()["tasks"]}
    none = await api.call(
        "GET", "/admin/tasks", params={"status": "failed", "name": "test.unknown"}
    )
    assert none.json() == {"tasks": []}


@pytest.mark.parametrize(
    ("query", "code"),
    [({"status": "odd"}, "NOT_ALLOWED"), ({"cursor": "odd"}, "INVALID_FORMAT")],
)
async def test_the_list_refuses_bad_filters(api, query, code):
    response = await api.call("GET", "/admin/tasks", params=query)
    assert (response.status_code, response.json()["details"]["code"]) == (400, code)
