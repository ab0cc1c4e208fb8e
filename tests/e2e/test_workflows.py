"""`GET /workflows/{id}`: where the tasks of a workflow stand, and for which each waits."""

import asyncpg
import pytest
from uuid_utils.compat import uuid7

from infra.db.engine import database
from infra.queue.workflows import MOST_PREDECESSORS, Step, enqueue_workflow
from tests.factories import NO_ID, refused

PATH = "/workflows"


@pytest.fixture
async def rows(service):
    """The service's database, without the tasks of these tests afterwards."""
    connection = await asyncpg.connect(service.env["DATABASE_URL"])
    yield connection
    await connection.execute("DELETE FROM tasks WHERE name LIKE 'test.flow.%'")
    await connection.close()


@pytest.fixture
async def flow(service, rows):
    """A workflow of kinds that no worker knows; a batch and what waits for it."""
    each = {f"each {number:03}": Step("test.flow.each", {"n": number}) for number in range(101)}
    async with database(service.env["DATABASE_URL"], pool_size=1):
        flow = await enqueue_workflow(
            each
            | {
                "all": Step("test.flow.all", {}, after=each),
                "last": Step("test.flow.last", {}, after=("all", "each 000")),
            }
        )
    await rows.execute(
        "UPDATE tasks SET state = 'failed', finished_at = now(), is_awaited = FALSE WHERE id = $1",
        flow.tasks["each 000"],
    )
    return flow


async def test_an_admin_sees_the_counts_and_pages_of_tasks(api, flow):
    address, seen = f"{PATH}/{flow.id}?limit=60", []
    while address:
        response = await api.call("GET", address.removeprefix("/api/v1"))
        assert response.status_code == 200, response.text
        assert response.headers["x-total-count"] == "103"
        shown = response.json()
        counts = {key: value for key, value in shown.items() if isinstance(value, int)}
        assert counts == {
            **dict.fromkeys(("running", "succeeded", "cancelled"), 0),
            "waiting": 2,
            "queued": 100,
            "failed": 1,
        }
        assert shown["id"] == str(flow.id)
        seen += shown["tasks"]
        address = response.links.get("next", {}).get("url")
    by_id = {task["id"]: task for task in seen}
    assert len(seen) == len(by_id) == 103
    step = {name: by_id[str(task_id)] for name, task_id in flow.tasks.items()}
    assert step["last"]["after"] == {name: str(flow.tasks[name]) for name in ("all", "each 000")}
    assert (step["last"]["waits_for"], step["last"]["status"]) == (2, "queued")
    assert step["each 007"]["args"] == {"n": 7}
    assert step["each 007"]["after"] == {}
    assert len(step["all"]["after"]) == MOST_PREDECESSORS
    assert step["all"]["waits_for"] == 101


async def test_an_unknown_workflow_is_404(api):
    for workflow_id in (NO_ID, uuid7()):
        response = await api.call("GET", f"{PATH}/{workflow_id}")
        refused(response, 404, "NOT_FOUND", "The requested workflow does not exist")
    response = await api.call("GET", f"{PATH}/7")
    refused(response, 400, "INVALID_FORMAT", "Workflow ID must be a valid UUID", "workflow_id")
