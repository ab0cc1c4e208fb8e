"""Swagger UI in a real browser without access to other hosts."""

import json
from urllib.parse import urlsplit

import pytest
from playwright.async_api import expect

from tests.browser import chromium
from tests.factories import ADMIN


@pytest.fixture
async def page(service):
    """A page whose requests to other hosts are blocked; at the end, there must have been none."""
    foreign, complaints = [], []
    ours = urlsplit(service.base_url).netloc

    async def cut(route):
        if urlsplit(route.request.url).netloc == ours:
            await route.continue_()
        else:
            foreign.append(route.request.url)
            await route.abort()

    async with (
        chromium() as browser,
        await browser.new_context(viewport={"width": 1280, "height": 900}) as context,
    ):
        await context.route(lambda url: not url.startswith("data:"), cut)
        page = await context.new_page()
        page.on("console", lambda line: line.type == "error" and complaints.append(line.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("response", lambda got: got.status >= 400 and complaints.append(got.url))
        await page.goto(f"{service.base_url}/swagger/index.html")
        yield page
    assert (foreign, complaints) == ([], [])


async def execute(page, operation):
    """Open an operation and press Execute; return the shown status and body."""
    block = page.locator(f"#operations-{operation}")
    await block.locator(".opblock-summary-control").click()
    await block.locator("button.execute").click()
    response = block.locator(".live-responses-table tbody .response")
    status = await response.locator(".response-col_status").inner_text()
    body = await response.locator(
        ".response-col_description .highlight-code code"
    ).first.inner_text()
    return status.split()[0], json.loads(body)


async def test_the_page_shows_the_service(page):
    await expect(page.locator(".info .title")).to_contain_text("Course Enrollment Service")
    tags = page.locator(".opblock-tag-section")
    await expect(tags.filter(has_text="The catalogue").first).to_be_visible()
    assert await tags.count() >= 6
    assert await page.locator(".opblock").count() >= 20
    await expect(page.locator("#operations-courses-list_courses")).to_contain_text(
        "List the courses"
    )
    # No error message: the document is valid, and no external validator is used.
    assert await page.locator(".errors-wrapper").count() == 0


async def test_a_file_field_is_a_file_chooser(page):
    block = page.locator("#operations-courses-upload_course")
    await block.locator(".opblock-summary-control").click()
    await expect(block.locator("input[type=file]")).to_be_visible()


async def test_an_admin_can_log_in_and_create_a_course(page, client):
    status, response = await execute(page, "auth-login")
    assert (status, response["user"]["username"]) == ("200", ADMIN["username"])

    await page.locator(".auth-wrapper .btn.authorize").click()
    dialog = page.locator(".dialog-ux")
    await dialog.locator("input").fill(response["token"])
    await dialog.locator("button.authorize").click()
    await expect(dialog.get_by_text("Authorized", exact=True)).to_be_visible()
    await dialog.locator("button.btn-done").click()

    status, course = await execute(page, "courses-create_course")
    assert status == "201"
    found = await client.get(f"/api/v1/courses/{course['id']}")
    assert found.json() == course
