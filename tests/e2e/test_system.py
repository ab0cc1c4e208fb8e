"""Health, metrics and the documentation pages."""

import re
from importlib.metadata import version

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests import photos
from tests.factories import NO_ID, scrape, token

SERVICE = "course-enrollment-service"


async def samples(client) -> dict[tuple, float]:
    """Return the metrics: {(name, labels): value}."""
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(await scrape(client))
        for sample in family.samples
    }


async def test_health_reports_each_part(client):
    response = await client.get("/health")
    assert (response.status_code, response.json()) == (
        200,
        {
            "status": "healthy",
            "service": SERVICE,
            "database": "connected",
            "redis": "connected",
            "storage": "connected",
            "tasks": "connected",
            "version": version(SERVICE),
        },
    )


@pytest.mark.parametrize("state", ["live", "ready"])
async def test_probes(client, state):
    response = await client.get(f"/health/{state}")
    assert (response.status_code, response.json()) == (200, {"status": state})


async def test_requests_are_counted_by_route_and_status(api, client):
    found, lost = (
        (
            "http_request_duration_seconds_count",
            ("method", "GET"),
            ("route", "/api/v1/courses/<course_id:str>"),
            ("status", status),
        )
        for status in ("200", "404")
    )
    course = await api.new_course()
    before = await samples(client)
    for _ in range(3):
        await client.get(f"/api/v1/courses/{course['id']}")
        await client.get(f"/api/v1/courses/{NO_ID}")
    after = await samples(client)
    assert [after[key] - before.get(key, 0) for key in (found, lost)] == [3, 3]


async def test_metrics_contain_no_path_and_no_personal_data(client):
    secret = token()[-20:]
    await client.get(f"/{secret}")
    await client.get(f"/api/v1/students/{secret}@example.org/enrollments")
    assert secret not in await scrape(client)


async def test_metrics_count_failed_tasks(api, client):
    async def failed() -> float:
        shown = await samples(client)
        return sum(
            value
            for (name, *labels), value in shown.items()
            if name == "tasks_open" and ("state", "failed") in labels
        )

    before = await failed()
    course = (await api.upload(photos.truncated_jpeg())).json()
    assert (await api.settled(course["id"]))["image"]["status"] == "failed"
    assert await failed() == before + 1


async def test_an_empty_queue_has_metrics_of_zero(client):
    shown = await samples(client)
    # The API knows the queue of a kind before the first publication.
    kind = (("queue", "images"), ("task", "images.process"))
    assert shown["tasks_oldest_due_seconds", *kind] >= 0
    assert shown["tasks_open", kind[0], ("state", "failed"), kind[1]] >= 0
    assert shown["tasks_due", *kind] >= 0
    assert shown["queue_paused_seconds", kind[0]] == 0
    assert shown["queue_start_interval_seconds", kind[0]] == 0
    assert shown["relay_lag_seconds",] >= 0


async def test_swagger_ui_loads_nothing_from_other_hosts(client):
    page = await client.get("/swagger/index.html")
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    addresses = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert any(address.endswith("bundle.js") for address in addresses)
    for address in addresses:
        assert "//" not in address
        asset = await client.get(f"/swagger/{address.removeprefix('./')}")
        assert (asset.status_code, bool(asset.content)) == (200, True), address
    initializer = await client.get("/swagger/swagger-initializer.js")
    assert '"/openapi.json"' in initializer.text
    assert "https://" not in initializer.text


@pytest.mark.parametrize("path", ["/swagger", "/swagger/"])
async def test_the_swagger_path_redirects_to_its_page(client, path):
    response = await client.get(path)
    assert (response.status_code, response.headers["location"]) == (302, "/swagger/index.html")
