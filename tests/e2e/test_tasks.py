"""Tasks as clients see them."""

import asyncio
import os
import sys
from contextlib import suppress
from datetime import datetime
from uuid import UUID

import asyncpg
import httpx
import psutil
import pytest
from uuid_utils.compat import uuid7

from infra import metrics_server
from infra.process.system import NICENESS
from tests import photos
from tests.factories import NO_ID, TIME, bearer, eventually, free_ports, refused, token
from tests.processes import commands_of, session_niceness

PUBLIC = {
    "id", "name", "status", "progress", "attempts", "created_at", "started_at", "finished_at",
    "error",
}  # fmt: skip
STATES = ["queued", "running", "succeeded", "failed", "cancelled"]
FLOWER_USER = ("operator", "a-long-password")
WARMING = uuid7(), "cache.warm"
BROKEN = "The image is damaged and can't be decoded"


async def until_final(client, task_id: str) -> dict:
    """Return the task when it is final; its state never goes back on the way."""
    seen = []

    async def final() -> dict | None:
        response = await client.get(f"/api/v1/tasks/{task_id}")
        assert response.status_code == 200, response.text
        task = response.json()
        assert task.keys() == PUBLIC
        seen.append(STATES.index(task["status"]))
        return task if task["status"] not in {"queued", "running"} else None

    task = await eventually(final)
    assert seen == sorted(seen)
    return task


@pytest.fixture(scope="module")
async def succeeded(api):
    """The id of a task that succeeded, and its course's."""
    course = (await api.upload(photos.jpeg(640, 480))).json()
    await until_final(api.client, course["image"]["task_id"])
    return course["image"]["task_id"], course["id"]


@pytest.fixture(scope="module")
async def failed(api):
    """The id of a task that failed permanently."""
    course = (await api.upload(photos.truncated_jpeg())).json()
    await until_final(api.client, course["image"]["task_id"])
    return course["image"]["task_id"]


async def test_a_task_exists_when_its_upload_is_answered(api, client):
    course = (await api.upload(photos.jpeg())).json()
    task_id = course["image"]["task_id"]
    task = (await client.get(f"/api/v1/tasks/{task_id}")).json()
    assert (task["id"], task["name"]) == (task_id, "images.process")
    assert (await until_final(client, task_id))["status"] == "succeeded"


async def test_a_succeeded_task(client, succeeded):
    task = (await client.get(f"/api/v1/tasks/{succeeded[0]}")).json()
    assert task == task | {
        "id": succeeded[0],
        "name": "images.process",
        "status": "succeeded",
        "progress": 100,
        "attempts": 1,
        "error": None,
    }
    assert UUID(task["id"]).version == 7
    times = [task[name] for name in ("created_at", "started_at", "finished_at")]
    assert all(TIME.fullmatch(time) for time in times)
    moments = [datetime.fromisoformat(time) for time in times]
    assert moments == sorted(moments)


async def test_a_failed_task_shows_its_error(client, failed):
    task = (await client.get(f"/api/v1/tasks/{failed}")).json()
    assert (task["status"], task["attempts"], task["error"]) == ("failed", 1, BROKEN)
    assert TIME.fullmatch(task["finished_at"])


@pytest.mark.parametrize(
    "headers",
    [{}, bearer(token()), bearer("garbage")],
    ids=["no token", "a student's", "garbage"],
)
async def test_only_admins_see_the_arguments(client, succeeded, failed, headers):
    for task_id in (succeeded[0], failed):
        response = await client.get(f"/api/v1/tasks/{task_id}", headers=headers)
        assert (response.status_code, response.json().keys()) == (200, PUBLIC)
        assert "Traceback" not in response.text


async def test_an_admin_sees_the_arguments(api, succeeded):
    task = (await api.call("GET", f"/tasks/{succeeded[0]}")).json()
    assert task.keys() == PUBLIC | {"args"}
    assert task["args"].keys() == {"course_id", "upload_id"}
    assert task["args"]["course_id"] == succeeded[1]


async def test_an_admin_sees_the_traceback(api, failed):
    task = (await api.call("GET", f"/tasks/{failed}")).json()
    assert task.keys() == PUBLIC | {"args", "traceback"}
    assert "BrokenImage" in task["traceback"]


async def test_an_unknown_task_is_404(client):
    response = await client.get(f"/api/v1/tasks/{NO_ID}")
    refused(response, 404, "NOT_FOUND", "The requested task does not exist")


async def test_images_have_their_own_worker(api, service, succeeded):
    """Slow images cannot delay other queues."""
    connection = await asyncpg.connect(service.env["DATABASE_URL"])
    await connection.execute("INSERT INTO tasks (id, name, args) VALUES ($1, $2, '{}')", *WARMING)

    async def workers() -> dict[str, set[str]] | None:
        rows = await connection.fetch(
            "SELECT queue, worker FROM tasks WHERE worker IS NOT NULL AND queue IS NOT NULL"
        )
        found = {
            row["queue"]: {r["worker"] for r in rows if r["queue"] == row["queue"]} for row in rows
        }
        return found if {"images", "cache"} <= found.keys() else None

    found = await eventually(workers)
    await connection.close()
    assert not found.pop("images") & set().union(*found.values())


async def test_flower_requires_its_password(service):
    (port,) = free_ports(1)
    own = {"FLOWER_PORT": str(port), "FLOWER_BASIC_AUTH": ":".join(FLOWER_USER)}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "cli", "flower"),
        env=os.environ | service.env | own,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as browser:

            async def status(**options) -> int:
                with suppress(httpx.TransportError):
                    return (await browser.get("/workers", **options)).status_code
                return 0

            assert await eventually(status) == 401
            assert await status(auth=("operator", "guessed")) == 401
            assert await status(auth=FLOWER_USER) == 200
    finally:
        process.terminate()
        await process.wait()


async def test_flower_shows_tasks_by_name_without_task_events(api, service):
    async def shown() -> bool:
        task_id = (await api.upload(photos.jpeg(64, 48))).json()["image"]["task_id"]
        await until_final(api.client, task_id)
        login = tuple(service.env["FLOWER_BASIC_AUTH"].split(":"))
        page = await api.client.get(f"{service.flower_url}/task/{task_id}", auth=login)
        return page.is_success and "images.process" in page.text and "upload_id" in page.text

    await eventually(shown)


def test_background_processes_yield_the_processor_to_the_api(service):
    parts = commands_of(psutil.Process(service.process.pid))
    for part, command in parts.items():
        is_worker = "worker" in command
        if not {"worker", "api"}.isdisjoint(command):
            assert session_niceness(part.pid) in {None, NICENESS * is_worker}
            niceness = {child.nice() for child in commands_of(part)}
            # The process that serves Prometheus has a lower priority than the others.
            of_metrics = {max(os.nice(0), metrics_server.NICENESS)}
            assert niceness == {max(os.nice(0), NICENESS * is_worker)} | of_metrics, command
    assert len([command for command in parts.values() if "worker" in command]) == 2
