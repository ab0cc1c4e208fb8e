"""The console through HTTP: what an admin sees of the queue, and does to it."""

import json
import re
from html import unescape

import asyncpg
import httpx
import pytest
from uuid_utils.compat import uuid7

from infra.db.engine import database
from infra.queue.successors import OnFailure
from infra.queue.workflows import Step, enqueue_workflow
from tests.factories import ADMIN, NO_ID

HOME = "/console/tasks"
SCRIPT = "<script>alert('x')</script>"


@pytest.fixture
async def rows(service):
    """The service's database; the tasks and queues of these tests are gone afterwards."""
    connection = await asyncpg.connect(service.env["DATABASE_URL"])
    yield connection
    await connection.execute("DELETE FROM tasks WHERE name LIKE 'console.%'")
    await connection.execute(
        "DELETE FROM task_edges WHERE NOT EXISTS (SELECT FROM tasks WHERE id = child_id)"
    )
    await connection.execute("DELETE FROM task_queues")
    await connection.execute("SELECT pg_notify('tasks', '')")
    await connection.close()


@pytest.fixture
async def browser(service):
    """A client that has logged in to the console."""
    async with httpx.AsyncClient(base_url=service.base_url, timeout=30) as client:
        response = await client.post("/console/login", data=ADMIN)
        assert (response.status_code, response.headers["location"]) == (303, HOME)
        yield client


@pytest.fixture
def kind():
    """The name of a kind of task that no worker knows."""
    return f"console.{uuid7().hex}"


async def new_task(rows, name, state="failed", **columns):
    """Insert a task of a queue; return its id."""
    task_id = uuid7()
    columns = {"args": "{}", "queue": "console", "attempts": 3, "max_attempts": 3} | columns
    if state not in {"queued", "running"}:
        columns["finished_at"] = await rows.fetchval("SELECT now()")
    names = ", ".join(("id", "name", "state", *columns))
    places = ", ".join(f"${number + 1}" for number in range(3 + len(columns)))
    await rows.execute(
        f"INSERT INTO tasks ({names}) VALUES ({places})", task_id, name, state, *columns.values()
    )
    return task_id


async def read(browser, path, status=200, **parameters):
    """Return the text of a page."""
    response = await browser.get(path, params=parameters or None)
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    return response.text


def token_in(page):
    """Return the CSRF token of the forms of a page."""
    (token,) = set(re.findall(r'name="csrf" value="(\w+)"', page))
    return token


async def send(browser, page, path, **fields):
    """Send a form of a page."""
    return await browser.post(path, data={"csrf": token_in(page)} | fields)


async def state_of(rows, task_id):
    return await rows.fetchval("SELECT state FROM tasks WHERE id = $1", task_id)


async def acts_on(rows, target):
    """Return the acts on a target in the audit log."""
    found = await rows.fetch(
        "SELECT action, actor, address FROM audit_log WHERE target = $1 ORDER BY at", str(target)
    )
    assert {(row["actor"], row["address"]) for row in found} <= {("admin", "127.0.0.1")}
    return [row["action"] for row in found]


async def test_a_visitor_logs_in_and_comes_back_to_the_page(client):
    response = await client.get(HOME, params={"state": "failed"})
    login = response.headers["location"]
    assert (response.status_code, login) == (
        303,
        "/console/login?next=%2Fconsole%2Ftasks%3Fstate%3Dfailed",
    )
    page = (await client.get(login)).text
    (back,) = re.findall(r'name="next" value="([^"]+)"', page)
    response = await client.post("/console/login", data=ADMIN | {"next": unescape(back)})
    assert (response.status_code, response.headers["location"]) == (303, f"{HOME}?state=failed")
    client.cookies.clear()


@pytest.mark.parametrize(
    "away",
    ["https://evil.example/", "//evil.example", "/console/tasks@evil.example", "/api/v1/courses"],
)
async def test_a_login_leads_to_the_console_only(client, away):
    response = await client.post("/console/login", data=ADMIN | {"next": away})
    assert response.headers["location"] == HOME
    client.cookies.clear()


async def test_a_refused_login_shows_why(client):
    fields = {"username": "nobody", "password": "wrong", "next": f"{HOME}?state=failed"}
    response = await client.post("/console/login", data=fields)
    assert response.status_code == 401
    assert "Invalid username or password" in response.text
    assert f'value="{HOME}?state=failed"' in response.text
    assert "set-cookie" not in response.headers


async def test_queues_are_shown_with_depth_age_rate_and_limits(browser, rows, kind):
    await rows.execute(
        "INSERT INTO task_queues (name, concurrency, rate, rate_seconds, burst) "
        "VALUES ('console', 4, 90, 60, 2)"
    )
    for _ in range(3):
        await new_task(rows, kind, "queued")
    await new_task(rows, kind, "running")
    await new_task(rows, kind, "failed")
    await rows.execute(
        "UPDATE tasks SET available_at = now() - interval '5 minutes' WHERE name = $1", kind
    )
    await new_task(
        rows, kind, "queued", available_at=await rows.fetchval("SELECT now() + interval '1 h'")
    )
    page = await read(browser, HOME)
    (row,) = re.findall(r'<tr>\s*<th scope="row"><a id="queue-console".*?</tr>', page, re.DOTALL)
    cells = [" ".join(cell.split()) for cell in re.findall(r"<td.*?>(.*?)</td>", row, re.DOTALL)]
    assert cells[1:5] == ["4", "3", "1", "1"]
    assert re.fullmatch(r"5 min \d s", cells[5])
    assert cells[6] == "1"
    assert cells[7] == "4 at a time, 90 in 60 s, 2 at once"


async def test_tasks_are_filtered_and_paged(browser, rows, kind):
    for state in ("failed", "cancelled"):
        for number in range(60):
            await new_task(rows, kind, state, queue=f"console-{number % 2}")
    first = await read(browser, HOME, name=kind, state="failed")
    ids = set(re.findall(r'id="task-([\w-]+)"', first))
    assert len(ids) == 50
    (older,) = re.findall(r'id="older" rel="next" href="([^"]+)"', first)
    rest = await read(browser, unescape(older))
    others = set(re.findall(r'id="task-([\w-]+)"', rest))
    assert len(others) == 10
    assert not ids & others
    found = await rows.fetch("SELECT id FROM tasks WHERE name = $1 AND state = 'failed'", kind)
    assert ids | others == {str(row["id"]) for row in found}
    of_queue = await read(browser, HOME, name=kind, queue="console-1", state="failed")
    assert len(re.findall(r'id="task-', of_queue)) == 30


async def test_a_bad_filter_is_a_page_that_names_it(browser):
    page = await read(browser, HOME, 400, state="sleeping")
    assert "State must be one of: queued, running, succeeded, failed, cancelled" in page


async def test_a_task_is_shown_with_its_life_error_and_trace(browser, rows, kind):
    task_id = await new_task(
        rows,
        kind,
        args='{"course_id": "c-1"}',
        error="Broken",
        traceback="Traceback of it",
        trace_context="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        request_id="request-7",
        started_at=await rows.fetchval("SELECT now()"),
    )
    page = await read(browser, f"{HOME}/{task_id}")
    for shown in (
        *("3 of 3", "Broken", "Traceback of it", "request-7", "c-1"),
        *("0af7651916cd43dd8448eb211c80319c", f"enroll trace {task_id}"),
        *("Attempt 3 started", "Error of attempt 3"),
    ):
        assert shown in unescape(page)
    assert "hx-get" not in page  # it has ended


async def test_an_unknown_task_and_an_unknown_queue_are_404(browser):
    assert "The requested task does not exist" in await read(browser, f"{HOME}/{NO_ID}", 404)
    assert "must be a valid UUID" in await read(browser, f"{HOME}/7", 400)
    for queue in ("nowhere", "-"):
        page = await read(browser, f"/console/queues/{queue}", 404)
        assert "The requested queue does not exist" in page


async def test_emails_are_not_shown(browser, rows, kind):
    task_id = await new_task(
        rows,
        kind,
        args='{"to": "a.student@example.org"}',
        error="no box a.student@example.org here",
        traceback="sent to <a.student@example.org>",
    )
    page = await read(browser, f"{HOME}/{task_id}") + await read(browser, HOME, name=kind)
    assert "a.student" not in page
    assert page.count("(an email)") == 4


async def test_a_task_is_retried_and_cancelled(browser, rows, kind):
    task_id = await new_task(rows, kind)
    path = f"{HOME}/{task_id}"
    response = await send(browser, await read(browser, path), f"{path}/retry")
    assert (response.status_code, response.headers["location"]) == (303, f"{path}?done=retried")
    assert await state_of(rows, task_id) == "queued"
    page = await read(browser, response.headers["location"])
    assert "The task was queued again." in page
    assert 'hx-trigger="every 3s"' in page
    response = await send(browser, page, f"{path}/cancel")
    assert response.headers["location"] == f"{path}?done=cancelled"
    assert await state_of(rows, task_id) == "cancelled"
    assert await acts_on(rows, task_id) == ["tasks.retry", "tasks.cancel"]
    response = await send(browser, page, f"{path}/cancel")
    assert response.status_code == 409
    assert "The task has ended already" in response.text


async def test_a_queue_is_paused_and_resumed(browser, rows, kind):
    await new_task(rows, kind, "queued", queue="console/ä")
    path = "/console/queues/console%2F%C3%A4"
    page = await read(browser, path)
    assert 'id="resume"' not in page
    response = await send(browser, page, f"{path}/pause", minutes="90")
    assert (response.status_code, response.headers["location"]) == (303, f"{path}?done=paused")
    control = await rows.fetchrow("SELECT * FROM task_queues WHERE name = 'console/ä'")
    assert (control["resume_at"] - control["paused_at"]).total_seconds() == 90 * 60
    page = await read(browser, response.headers["location"])
    assert "paused until" in page
    assert "paused until" in await read(browser, HOME)
    response = await send(browser, page, f"{path}/resume")
    assert response.headers["location"] == f"{path}?done=resumed"
    assert await rows.fetchval("SELECT paused_at FROM task_queues WHERE name = 'console/ä'") is None
    assert (await send(browser, page, f"{path}/resume")).status_code == 409
    response = await send(browser, page, f"{path}/pause", minutes="0")
    assert (response.status_code, "must be at least 1" in response.text) == (400, True)
    response = await send(browser, page, "/console/queues/nowhere/pause")
    assert response.status_code == 404
    assert await acts_on(rows, "console/ä") == ["queues.pause", "queues.resume"]


async def test_bulk_asks_with_the_number_and_changes_exactly_these(browser, rows, kind):
    ids = [await new_task(rows, kind) for _ in range(12)]
    page = await read(browser, f"{HOME}/bulk", operation="retry", name=kind)
    assert "<h1>Retry 12 tasks?</h1>" in page
    assert await state_of(rows, ids[0]) == "failed"
    late = await new_task(rows, kind)
    await rows.execute("DELETE FROM tasks WHERE id = $1", ids[3])
    (listed,) = re.findall(r'name="ids" value="([^"]+)"', page)
    response = await send(browser, page, f"{HOME}/bulk", operation="retry", ids=listed)
    assert response.status_code == 200
    assert "<h1>11 of 12 done</h1>" in response.text
    assert "The requested task does not exist" in response.text
    states = {task_id: await state_of(rows, task_id) for task_id in [*ids, late]}
    gone = {ids[3]: None, late: "failed"}
    assert states == dict.fromkeys(ids, "queued") | gone
    assert await acts_on(rows, ids[0]) == ["tasks.retry"]
    page = await read(browser, f"{HOME}/bulk", operation="cancel", name=kind, queue="console")
    assert "<h1>Cancel 11 tasks?</h1>" in page
    (listed,) = re.findall(r'name="ids" value="([^"]+)"', page)
    await send(browser, page, f"{HOME}/bulk", operation="cancel", ids=listed)
    assert await state_of(rows, ids[0]) == "cancelled"
    assert "No task matches" in await read(browser, f"{HOME}/bulk", operation="cancel", name=kind)


async def test_bulk_takes_at_most_a_thousand_and_says_so(browser, rows, kind):
    await rows.execute(
        "INSERT INTO tasks (id, name, args, state, queue, finished_at) "
        "SELECT gen_random_uuid(), $1, '{}', 'failed', 'console', now() "
        "FROM generate_series(1, 1001)",
        kind,
    )
    page = await read(browser, f"{HOME}/bulk", operation="retry", name=kind)
    assert "<h1>Retry 1000 tasks?</h1>" in page
    assert "these are the 1000 oldest" in page
    (listed,) = re.findall(r'name="ids" value="([^"]+)"', page)
    response = await send(browser, page, f"{HOME}/bulk", operation="retry", ids=listed)
    assert "<h1>1000 of 1000 done</h1>" in response.text
    left = "SELECT count(*) FROM tasks WHERE name = $1 AND state = 'failed'"
    assert await rows.fetchval(left, kind) == 1


async def new_workflow(service, kind):
    """Enqueue a batch of 12 tasks, before it a task, and after it two, of which one also fails."""
    batch = {f"each {n}": Step(f"{kind}.each", {}, after=("first",)) for n in range(12)}
    async with database(service.env["DATABASE_URL"], pool_size=1):
        return await enqueue_workflow(
            {"first": Step(f"{kind}.first", {})}
            | batch
            | {
                "all": Step(f"{kind}.all", {}, after=batch, on_failure=OnFailure.RUN),
                "last": Step(f"{kind}.last", {}, after=("first", "all")),
            }
        )


async def end(rows, task_ids, state):
    await rows.execute(
        "UPDATE tasks SET state = $2, finished_at = now(), waits_for = 0, is_awaited = FALSE "
        "WHERE id = ANY($1::uuid[])",
        list(task_ids),
        state,
    )


async def test_a_workflow_is_a_graph_with_states_and_a_list(service, browser, rows, kind):
    flow = await new_workflow(service, kind)
    await end(rows, [flow.tasks["first"]], "succeeded")
    await end(rows, [flow.tasks[f"each {number}"] for number in range(5)], "failed")
    workflow = f"/console/workflows/{flow.id}"
    pages = {
        "task": await read(browser, f"{HOME}/{flow.tasks['all']}"),
        "workflow": await read(browser, workflow),
    }
    for name, page in pages.items():
        here = " (this task)" if name == "task" else ""
        text = unescape(page)
        assert "15 tasks: 5 failed, 9 waiting, 1 succeeded" in text
        # A picture with a box a group and a line a link, each box a link with a name.
        boxes = re.findall(
            r'<a class="node (\w+)[^"]*" id="node-\d" href="([^"]+)" aria-label="([^"]+)"', page
        )
        assert [(state, label) for state, _, label in boxes] == [
            ("succeeded", f"{kind}.first (first): succeeded"),
            ("failed", f"{kind}.each: 12 tasks: 5 failed, 7 waiting"),
            ("waiting", f"{kind}.all (all): waiting"),
            ("waiting", f"{kind}.last: waiting"),
        ]
        assert len(re.findall(r'<path class="line', page)) == 4
        assert len(re.findall(r'<path class="line always"', page)) == 1
        steps = re.search(r'<ol id="steps".*?</ol>', page, re.DOTALL)[0]
        items = [
            " ".join(re.sub(r"<[^>]+>", " ", item).split()) for item in steps.split("<li>")[1:]
        ]
        assert items == [
            f"{kind}.first (first) succeeded",
            f"{kind}.each 12 tasks: 5 failed, 7 waiting after {kind}.first (first)",
            f"{kind}.all (all) waiting{here} after {kind}.each (also if it fails)",
            f"{kind}.last waiting after {kind}.first (first), {kind}.all (all)",
        ]
        assert unescape(boxes[0][1]) == f"{HOME}/{flow.tasks['first']}"
        group = await read(browser, unescape(boxes[1][1]))
        assert len(re.findall(r'id="task-', group)) == 12
        assert f'href="{workflow}"' in group
    assert 'aria-current="true"' in pages["task"]
    assert f'href="{workflow}"' in pages["task"]
    assert "Waits for" in pages["task"]
    # The list is filtered on.
    failed = await read(browser, HOME, workflow=str(flow.id), state="failed")
    assert len(re.findall(r'id="task-', failed)) == 5
    assert f"workflow={flow.id}" in failed


async def test_a_whole_workflow_is_retried_and_cancelled_after_a_confirmation(
    service, browser, rows, kind
):
    flow = await new_workflow(service, kind)
    workflow = f"/console/workflows/{flow.id}"
    page = await read(browser, workflow)
    assert 'id="retry"' not in page
    await end(rows, [flow.tasks["first"]], "failed")
    page = await read(browser, workflow)
    assert f'href="{workflow}/retry"' in page
    asked = await read(browser, f"{workflow}/retry")
    assert "Retry 1 task of the workflow?" in asked
    assert await state_of(rows, flow.tasks["first"]) == "failed"
    response = await send(browser, asked, f"{workflow}/retry")
    assert (response.status_code, response.headers["location"]) == (303, f"{workflow}?done=retried")
    assert await state_of(rows, flow.tasks["first"]) == "queued"
    assert "were queued again" in await read(browser, response.headers["location"])
    asked = await read(browser, f"{workflow}/cancel")
    assert "Cancel 15 tasks of the workflow?" in asked
    assert "1 queued, 14 waiting" in asked
    response = await send(browser, asked, f"{workflow}/cancel")
    assert response.headers["location"] == f"{workflow}?done=cancelled"
    assert {await state_of(rows, each) for each in flow.tasks.values()} == {"cancelled"}
    assert await acts_on(rows, flow.tasks["last"]) == ["tasks.cancel"]
    page = await read(browser, workflow)
    assert ('id="cancel"' in page, "hx-get" in page) == (False, False)
    assert "No task of the workflow" in await read(browser, f"{workflow}/cancel")
    response = await send(browser, asked, f"{workflow}/cancel")
    assert response.status_code == 409
    for path in ("", "/retry", "/cancel"):
        page = await read(browser, f"/console/workflows/{NO_ID}{path}", 404)
        assert "The requested workflow does not exist" in page


async def test_a_large_workflow_is_shown_by_kind(service, browser, rows, kind):
    workflow_id = uuid7()
    await rows.execute(
        "INSERT INTO tasks (id, name, args, state, queue, workflow_id, finished_at) "
        "SELECT gen_random_uuid(), $1 || n % 3, '{}', 'failed', 'console', $2, now() "
        "FROM generate_series(1, 10001) AS n",
        kind,
        workflow_id,
    )
    page = await read(browser, f"/console/workflows/{workflow_id}")
    assert "10,001 tasks: 10,001 failed" in page
    assert "too large for a graph" in page
    assert "<svg" not in page
    assert page.count("3,334 tasks: 3,334 failed") == 2
    assert len(page) < 20_000


@pytest.mark.parametrize("fields", [{"operation": "drop", "ids": NO_ID}, {"operation": "retry"}])
async def test_a_bulk_form_that_makes_no_sense_is_refused(browser, fields):
    response = await send(browser, await read(browser, HOME), f"{HOME}/bulk", **fields)
    assert response.status_code == 400


async def test_no_text_of_a_task_becomes_markup(browser, rows):
    task_id = await new_task(
        rows,
        f"console.{SCRIPT}",
        args=json.dumps({"a": SCRIPT}),
        workflow_id=(workflow_id := uuid7()),
        **dict.fromkeys(("error", "traceback", "worker", "request_id", "queue"), SCRIPT),
    )
    page = await read(browser, f"{HOME}/{task_id}")
    pages = [page, await read(browser, HOME), await read(browser, HOME, name=SCRIPT, queue=SCRIPT)]
    pages += [await read(browser, f"{HOME}/bulk", operation="retry", queue=SCRIPT)]
    pages += [await read(browser, f"/console/workflows/{workflow_id}")]
    for each in pages:
        assert "<script>" not in each
    assert unescape(page).count(SCRIPT) >= 7


async def test_the_pages_have_no_inline_code_or_style(browser, rows, kind):
    workflow_id = uuid7()
    task_id = await new_task(rows, kind, workflow_id=workflow_id)
    for path in (
        HOME,
        f"{HOME}/{task_id}",
        "/console/queues/console",
        f"{HOME}/bulk?operation=retry",
        f"/console/workflows/{workflow_id}",
        f"/console/workflows/{workflow_id}/retry",
    ):
        page = await read(browser, path)
        assert re.findall(r"<script[^>]*>", page) == [
            '<script src="/console/assets/htmx.min.js" defer>'
        ]
        assert not re.search(r"<style| style=| on\w+=|javascript:", page)


async def test_a_poll_without_a_session_leads_the_browser_to_the_login(client):
    response = await client.get(HOME, headers={"HX-Request": "true"})
    assert response.status_code == 401
    assert response.headers["hx-redirect"] == "/console/login?next=%2Fconsole%2Ftasks"


async def test_refreshing_can_be_stopped(browser):
    page = await read(browser, HOME)
    assert 'hx-trigger="every 3s"' in page
    stopped = await read(browser, HOME, live="false")
    assert "hx-get" not in stopped
    assert "Refresh every 3 seconds" in stopped
