"""The console in a real browser: narrow and wide, by keyboard alone, and for screen readers."""

from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import expect
from uuid_utils.compat import uuid7

from infra.db.engine import database
from infra.queue.successors import OnFailure
from infra.queue.workflows import Step, enqueue_workflow
from tests.browser import chromium
from tests.factories import ADMIN, NO_ID

HOME = "/console/tasks"
VIEWS = {
    "narrow": {"viewport": {"width": 400, "height": 800}, "color_scheme": "light"},
    "wide": {"viewport": {"width": 1400, "height": 900}, "color_scheme": "light"},
    "dark": {"viewport": {"width": 1400, "height": 900}, "color_scheme": "dark"},
}


@pytest.fixture
async def rows(service):
    """The service's database, with tasks of a queue; they are gone afterwards."""
    connection = await asyncpg.connect(service.env["DATABASE_URL"])
    for state in ("failed", "queued", "running"):
        await new_task(connection, state)
    yield connection
    await connection.execute("DELETE FROM tasks WHERE name LIKE 'browser.%'")
    await connection.execute("DELETE FROM task_queues WHERE name = 'browser'")
    await connection.close()


async def new_task(connection, state):
    """Insert a task that no worker knows; return its id."""
    task_id = uuid7()
    now = datetime.now(UTC)
    await connection.execute(
        "INSERT INTO tasks (id, name, args, state, queue, attempts, max_attempts, progress, error, "
        "traceback, trace_context, lease_until, finished_at) VALUES ($1, 'browser.task', $2, $3, "
        "'browser', 2, 5, 40, $4, 'Traceback (most recent call last):', $5, $6, $7)",
        task_id,
        '{"course_id": "01a22b6c-837c-7679-8aa7-07d4f727237e", "sizes": [320, 640, 1280]}',
        state,
        "The image has more pixels than are allowed" if state == "failed" else None,
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        now + timedelta(hours=1) if state == "running" else None,
        now if state == "failed" else None,
    )
    return task_id


@pytest.fixture
async def flow(service, rows):
    """A workflow with a batch, a branch that has failed, and a task that joins them."""
    each = {
        f"variant {number}": Step("browser.variant", {}, after=("fetch",)) for number in range(40)
    }
    async with database(service.env["DATABASE_URL"], pool_size=1):
        flow = await enqueue_workflow(
            {"fetch": Step("browser.fetch", {}), "scan": Step("browser.scan_for_viruses", {})}
            | each
            | {
                "measure": Step("browser.measure", {}, after=("fetch",)),
                "quarantine": Step("browser.quarantine", {}, after=("scan",)),
                "collect": Step(
                    "browser.collect", {}, after=(*each, "measure"), on_failure=OnFailure.RUN
                ),
                "publish": Step("browser.publish", {}, after=("collect", "scan", "fetch")),
                "notify": Step("browser.notify", {}, after=("publish",)),
            }
        )
    states = {
        "succeeded": ["fetch", "scan", *list(each)[:30]],
        "failed": ["measure", *list(each)[30:32]],
        "running": list(each)[32:34],
        "queued": list(each)[34:],
    }
    for state, steps in states.items():
        await rows.execute(
            "UPDATE tasks SET state = $2::text, waits_for = 0, is_awaited = FALSE, "
            "finished_at = CASE WHEN $2::text IN ('succeeded', 'failed') THEN now() END, "
            "lease_until = now() + interval '1 h' WHERE id = ANY($1::uuid[])",
            [flow.tasks[step] for step in steps],
            state,
        )
    return flow


@pytest.fixture(params=VIEWS)
async def page(request, service):
    """A page of the console before its login; at the end, the browser has complained of nothing."""
    complaints = []
    view = VIEWS[request.param]
    async with (
        chromium() as browser,
        await browser.new_context(base_url=service.base_url, **view) as context,
    ):
        page = await context.new_page()
        page.on("console", lambda line: line.type == "error" and complaints.append(line.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        await page.goto(HOME)
        yield page
    assert complaints == []


async def log_in(page):
    """Log in by keyboard; the first field has the focus."""
    await page.keyboard.type(ADMIN["username"])
    await page.keyboard.press("Tab")
    await page.keyboard.type(ADMIN["password"])
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="Tasks", exact=True)).to_be_visible()


async def focus(page, name, most=60):
    """Press Tab until the element with this id has the focus, which must be visible."""
    for _ in range(most):
        await page.keyboard.press("Tab")
        if await page.evaluate("document.activeElement.id") == name:
            style = await page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
            assert style == "solid"
            return
    pytest.fail(f"Tab does not lead to {name}")


async def is_sound(page, picture):
    """Assert that axe finds nothing, and that the page is no wider than the window."""
    await page.screenshot(path=picture, full_page=True)
    found = (await Axe().run(page)).response["violations"]
    assert [(each["id"], each["nodes"][0]["html"]) for each in found] == []
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")


async def test_every_page_is_accessible_and_fits(page, rows, tmp_path):
    await is_sound(page, tmp_path / "login.png")
    await log_in(page)
    await is_sound(page, tmp_path / "tasks.png")
    task_id = await rows.fetchval(
        "SELECT id FROM tasks WHERE name = 'browser.task' AND state = 'failed'"
    )
    paths = {
        "task": f"{HOME}/{task_id}",
        "queue": "/console/queues/browser",
        "bulk": f"{HOME}/bulk?operation=retry&name=browser.task",
        "none": f"{HOME}?name=browser.nothing",
    }
    for name, path in paths.items():
        await page.goto(path)
        await is_sound(page, tmp_path / f"{name}.png")
    await page.locator("#home").click()
    await page.goto(f"{HOME}/bulk?operation=retry&name=browser.task")
    await page.locator("#confirm").click()
    await expect(page.get_by_role("heading", name="1 of 1 done")).to_be_visible()
    await is_sound(page, tmp_path / "done.png")


async def test_a_workflow_is_accessible_and_needs_no_mouse(page, rows, flow, tmp_path):
    await log_in(page)
    await page.goto(f"{HOME}/{flow.tasks['collect']}")
    await is_sound(page, tmp_path / "task-of-workflow.png")
    await focus(page, "whole-workflow")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", level=1)).to_contain_text("Workflow")
    await is_sound(page, tmp_path / "workflow.png")
    # The graph and its list have the same links, by name and state.
    graph = page.get_by_role("group", name="Graph")
    boxes = await graph.get_by_role("link").evaluate_all(
        "all => all.map(each => each.href.baseVal)"
    )
    steps = await page.locator("#steps a").evaluate_all(
        "all => all.map(a => a.getAttribute('href'))"
    )
    assert boxes == steps
    assert len(boxes) == 8
    await expect(
        graph.get_by_role("link", name="browser.measure (measure): failed")
    ).to_be_visible()
    await expect(page.get_by_role("list")).to_contain_text("browser.notify")
    await focus(page, "node-8")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", level=1)).to_have_text("browser.notify")
    await page.go_back()
    await focus(page, "retry")
    await page.keyboard.press("Enter")
    await is_sound(page, tmp_path / "confirm.png")
    await focus(page, "confirm")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("status")).to_contain_text("were queued again")


async def test_a_graph_refreshes_itself_where_it_is(page, rows, flow):
    await log_in(page)
    await page.goto(f"/console/workflows/{flow.id}")
    region = page.locator("#scroll-graph")
    await region.evaluate("region => { region.mark = true; region.scrollLeft = 40; }")
    left = await region.evaluate("region => region.scrollLeft")
    measure = page.locator("a.node", has_text="browser.measure")
    await expect(measure).to_contain_text("failed")
    await rows.execute("UPDATE tasks SET state = 'succeeded' WHERE id = $1", flow.tasks["measure"])
    await expect(measure).to_contain_text("succeeded", timeout=10_000)
    assert await region.evaluate("region => [region.mark, region.scrollLeft]") == [True, left]


async def test_an_operator_needs_no_mouse(page, rows):
    await log_in(page)
    await page.keyboard.press("Tab")
    assert await page.evaluate("document.activeElement.textContent") == "Skip to the content"
    await page.keyboard.press("Enter")
    assert await page.evaluate("document.activeElement.id") == "main"
    await focus(page, "queue-browser")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="Queue browser")).to_be_visible()
    await focus(page, "minutes")
    await page.keyboard.type("15")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("status")).to_have_text("The queue was paused.")
    await focus(page, "resume")
    await page.keyboard.press("Space")
    await expect(page.get_by_role("status")).to_have_text("The queue was resumed.")
    task_id = await rows.fetchval(
        "SELECT id FROM tasks WHERE name = 'browser.task' AND state = 'failed'"
    )
    await page.goto(f"{HOME}/{task_id}")
    await focus(page, "retry")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("status")).to_have_text("The task was queued again.")
    await focus(page, "logout")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="Log in")).to_be_visible()
    await page.goto(f"{HOME}/{NO_ID}")
    await expect(page.get_by_role("heading", name="Log in")).to_be_visible()


async def test_pages_refresh_themselves_and_keep_the_focus(page, rows):
    await log_in(page)
    queue = page.locator("tr", has=page.locator("#queue-browser"))
    await expect(queue.locator("td").nth(1)).to_have_text("1")
    await page.locator("#queue-browser").focus()
    task_id = await new_task(rows, "queued")
    await expect(queue.locator("td").nth(1)).to_have_text("2", timeout=10_000)
    assert await page.evaluate("document.activeElement.id") == "queue-browser"
    await expect(page.locator(f"#task-{task_id}")).to_be_visible()
    await page.goto(f"{HOME}/{task_id}")
    await page.locator("#cancel").focus()
    await rows.execute("UPDATE tasks SET progress = 77 WHERE id = $1", task_id)
    await expect(page.get_by_text("77 %")).to_be_visible(timeout=10_000)
    assert await page.evaluate("document.activeElement.id") == "cancel"
    await rows.execute(
        "UPDATE tasks SET state = 'succeeded', finished_at = now() WHERE id = $1", task_id
    )
    await expect(page.locator(".life")).to_contain_text("Succeeded", timeout=10_000)
    # The last state stays, and is polled no more.
    assert await page.locator("[hx-get]").count() == 0
