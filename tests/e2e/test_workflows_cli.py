"""`enroll workflows` and `enroll tasks` against the running service."""

import json
import re
from uuid import UUID

import asyncpg
import pytest

from infra.db.engine import database
from infra.db.transactions import transaction
from infra.queue.workflows import Step, enqueue_workflow
from models import Task
from tests.factories import eventually, table_of


@pytest.fixture
async def flow(service):
    """A workflow of three tasks, of which the first fails at its one attempt."""
    async with database(service.env["DATABASE_URL"], pool_size=1), transaction():
        flow = await enqueue_workflow(
            {
                "first": Step("images.remove", {"prefix": "nowhere/"}),
                "second": Step("images.remove", {"prefix": "nowhere/"}, after=("first",)),
                "third": Step("images.remove", {"prefix": "nowhere/"}, after=("second",)),
            }
        )
        await Task.filter(id=flow.tasks["first"]).update(max_attempts=1, args={"unknown": 1})
    return flow


async def _shown(enroll, flow):
    code, output, _ = await enroll("workflows", "show", str(flow.id), "--json")
    assert code == 0
    by_id = {UUID(each["id"]): each for each in json.loads(output)}
    return {name: by_id[task_id] for name, task_id in flow.tasks.items()}


async def _reach(enroll, flow, *states):
    async def is_there():
        shown = await _shown(enroll, flow)
        return [each["state"] for each in shown.values()] == list(states)

    await eventually(is_there, 30)


async def test_a_failed_task_is_retried_and_its_successors_run_once(service, enroll, flow):
    await _reach(enroll, flow, "failed", "cancelled", "cancelled")
    first = flow.tasks["first"]
    rows = await asyncpg.connect(service.env["DATABASE_URL"])
    args = 'UPDATE tasks SET args = \'{"prefix": "nowhere/"}\' WHERE id = $1'
    await rows.execute(args, first)
    await rows.close()
    assert (await enroll("tasks", "retry", str(first)))[0] == 0
    await _reach(enroll, flow, "succeeded", "succeeded", "succeeded")
    shown = await _shown(enroll, flow)
    assert [each["attempts"] for each in list(shown.values())[1:]] == [1, 1]
    assert shown["third"]["after"] == {"second": str(flow.tasks["second"])}
    assert shown["first"]["errors"][0]["attempt"] == 1
    code, output, _ = await enroll("workflows", "list", "--json", "--limit", "1")
    (summary,) = json.loads(output)
    assert (summary["id"], summary["succeeded"]) == (str(flow.id), 3)
    assert str(flow.id) in (await enroll("workflows", "list"))[1]
    code, output, _ = await enroll("workflows", "show", str(flow.id))
    assert (code, "second" in output) == (0, True)


async def test_a_workflow_is_cancelled_and_retried(enroll, flow):
    await _reach(enroll, flow, "failed", "cancelled", "cancelled")
    assert (await enroll("workflows", "retry", str(flow.id)))[0] == 1  # not confirmed
    code, _, errors = await enroll("workflows", "cancel", str(flow.id), "--yes")
    assert (code, "No task of the workflow" in errors) == (1, True)
    code, output, _ = await enroll("workflows", "retry", str(flow.id), "--yes")
    assert (code, output) == (0, "3 retried\n")
    # Its first task is tried again and again now.
    code, output, _ = await enroll("workflows", "cancel", str(flow.id), "--yes")
    assert (code, output) == (0, "3 cancelled\n")
    await _reach(enroll, flow, "cancelled", "cancelled", "cancelled")


async def test_tables_of_workflows(enroll, flow):
    await _reach(enroll, flow, "failed", "cancelled", "cancelled")
    assert (await enroll("tasks", "retry", str(flow.tasks["first"])))[0] == 0
    _, output, _ = await enroll("workflows", "show", str(flow.id))
    first, second, third = table_of(output)
    assert (first["id"], first["name"]) == (str(flow.tasks["first"]), "images.remove")
    assert re.fullmatch(r"\d+/(\d+|-)", first["attempts"])
    assert "unknown" in first["error"]
    assert (second["state"], second["after"]) == ("waiting", "first")
    assert third == second | {"id": str(flow.tasks["third"]), "after": "second"}
    # Asked, and answered with no.
    for command in ("retry", "cancel"):
        code, output, _ = await enroll("workflows", command, str(flow.id), typed="n\n")
        assert (code, "tasks of the whole workflow will be" in output) == (1, True)
    code, output, _ = await enroll("tasks", "cancel", str(flow.tasks["first"]))
    await _reach(enroll, flow, "cancelled", "cancelled", "cancelled")
    _, output, _ = await enroll("workflows", "list", "--limit", "1")
    (row,) = table_of(output)
    assert re.fullmatch(r"20\d\d-\d\d-\d\d \d\d:\d\d:\d\d", row.pop("created"))
    counts = dict.fromkeys(("waiting", "queued", "running", "succeeded", "failed"), "0")
    assert row == {"id": str(flow.id), "cancelled": "3"} | counts
    _, output, _ = await enroll("workflows", "list", "--limit", "1", "--page", "2")
    assert str(flow.id) not in output


async def test_an_operation_says_how_many_tasks_it_changed(service, enroll):
    async with database(service.env["DATABASE_URL"], pool_size=1):
        two = await enqueue_workflow(
            {
                "one": Step("test.unknown_to_workers", {}),
                "other": Step("test.unknown_to_workers", {}, after=("one",)),
            }
        )
    for command, done in (("cancel", "cancelled"), ("retry", "retried"), ("cancel", "cancelled")):
        code, output, _ = await enroll("workflows", command, str(two.id), "--yes")
        assert (code, output) == (0, f"2 {done}\n")


async def test_an_unknown_workflow_is_named_as_such(enroll):
    for command in (("show",), ("retry", "--yes"), ("cancel", "--yes")):
        code, _, errors = await enroll("workflows", *command, str(UUID(int=1)))
        assert (code, "does not exist" in errors) == (1, True)
