"""Metrics: label values are bounded, the port is separate, scrapers share one exposition."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from infra.db.engine import direct_connection
from infra.metrics_server import MAX_CONNECTIONS, PACE_SECONDS
from infra.observability.meters import OTHER
from infra.settings import default_metrics_port
from tests.factories import eventually, free_ports, scrape
from tests.instances import instance
from tests.metrics_of import api_address, key, series

MADE_UP = 2000


@pytest.fixture(scope="module")
async def own_client(service, tmp_path_factory) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an API that only this module uses."""
    async with (
        instance(
            tmp_path_factory.mktemp("metrics"), service.env, RATE_LIMIT_EXEMPT="127.0.0.1"
        ) as base,
        httpx.AsyncClient(base_url=base, timeout=30) as client,
    ):
        yield client


def requests_by_labels(text: str) -> dict[tuple, float]:
    """Return the number of requests by their labels."""
    return {
        tuple(sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "http_request_duration_seconds_count"
    }


def of_requests(text: str) -> set[tuple]:
    """Return the series whose labels a request chooses."""
    return {
        (sample.name, *sorted(sample.labels.items()))
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name.startswith(("http_", "login_", "rate_"))
    }


async def send_made_up(client: httpx.AsyncClient, name: str, count: int) -> None:
    """Send requests with random methods and paths."""

    async def some(numbers: range) -> None:
        for number in numbers:
            word = f"{name}{number}"
            await client.request(f"M{word}".upper(), "/api/v1/courses")
            await client.request("GET", f"/{word}/x?{word}=1")
            await client.request(f"{word}", f"/api/v1/courses/{word}", headers={word: word})
            await client.get(f"/media/courses/{word}.webp")
            await client.post("/api/v1/auth/refresh", json={"refresh_token": word})
            if number % 50 == 0:  # slow on purpose
                login = {"username": word, "password": word}
                await client.post("/api/v1/auth/login", json=login)

    await asyncio.gather(*(some(range(first, count, 8)) for first in range(8)))


async def test_unknown_methods_and_paths_create_no_series(own_client):
    await send_made_up(own_client, "few", 8)
    before = await scrape(own_client)
    await send_made_up(own_client, "many", MADE_UP // 3)
    after = await scrape(own_client)
    assert requests_by_labels(after).keys() == requests_by_labels(before).keys()
    assert of_requests(after) - of_requests(before) == set()
    assert len(after) < 200_000
    assert any(("method", OTHER) in each for each in requests_by_labels(after))
    assert "many1" not in after.lower()


async def test_refused_logins_are_counted_by_their_reason(own_client, new_user):
    account = await new_user()
    before = await series(api_address(str(own_client.base_url)))
    for login in (account | {"password": "wrong"}, {"username": "nobody", "password": "wrong"}):
        assert (await own_client.post("/api/v1/auth/login", json=login)).status_code == 401
    made_up = {"refresh_token": "made up"}
    assert (await own_client.post("/api/v1/auth/refresh", json=made_up)).status_code == 401
    assert (await own_client.post("/api/v1/auth/login", json=account)).status_code == 200

    async def grown() -> dict[str, float]:
        after = await series(api_address(str(own_client.base_url)))
        return {
            dict(labels)["reason"]: figure - before[name, labels]
            for (name, labels), figure in after.items()
            if name == "login_failures_total" and figure != before[name, labels]
        }

    async def are_counted() -> bool:
        return await grown() == {"wrong_password": 1, "unknown_account": 1, "refresh_invalid": 1}

    await eventually(are_counted)


async def test_requests_in_flight_are_those_whose_response_is_not_complete(own_client, service):
    """A lock on the table of users makes a login wait."""
    address = api_address(str(own_client.base_url))

    async def in_flight() -> float:
        return (await series(address))[key("http_requests_in_flight")]

    async def are_none() -> bool:
        return await in_flight() == 0

    async def are_three() -> bool:
        return await in_flight() == 3

    login = {"username": "nobody", "password": "wrong"}
    async with direct_connection(service.env["DATABASE_URL"]) as locker:
        async with locker.transaction():
            await locker.execute("LOCK TABLE users IN ACCESS EXCLUSIVE MODE")
            waiting = [
                asyncio.create_task(own_client.post("/api/v1/auth/login", json=login))
                for _ in range(3)
            ]
            await eventually(are_three)
        await asyncio.gather(*waiting)
    await eventually(are_none)


async def test_the_api_port_does_not_show_metrics(own_client):
    response = await own_client.get("/metrics")
    assert response.status_code == 404
    assert "/metrics" not in (await own_client.get("/openapi.json")).json()["paths"]


async def at_metrics(client: httpx.AsyncClient, data: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", default_metrics_port(client.base_url.port)
    )
    with contextlib.closing(writer):
        writer.write(data)
        async with asyncio.timeout(15):
            return await reader.read()


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET /metrics HTTP/1.1", b"200"),
        (b"GET /metrics?name=x HTTP/1.0", b"200"),
        (b"HEAD /metrics HTTP/1.1", b"200"),
        (b"POST /metrics HTTP/1.1", b"405"),
        (b"GET / HTTP/1.1", b"404"),
        (b"nonsense", b"404"),
    ],
)
async def test_the_metrics_port_shows_metrics_only(own_client, sent, status):
    head, _, body = (await at_metrics(own_client, sent + b"\r\n\r\n")).partition(b"\r\n\r\n")
    assert head.split(b" ")[1] == status
    assert bool(body) == sent.startswith(b"GET /metrics")


async def test_the_metrics_port_closes_endless_and_idle_connections(own_client):
    with contextlib.suppress(ConnectionError):
        assert await at_metrics(own_client, b"GET /metrics HTTP/1.1\r\nX: " + b"x" * 100_000) == b""
    port = default_metrics_port(own_client.base_url.port)
    idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(MAX_CONNECTIONS + 10)]
    assert (await own_client.get("/health/live")).status_code == 200
    for _, writer in idle:
        writer.close()
    assert await scrape(own_client)


async def test_concurrent_scrapers_share_an_exposition(own_client):
    loop = asyncio.get_running_loop()
    started, seen = loop.time(), 0

    async def scraper() -> None:
        nonlocal seen
        while loop.time() - started < 10 * PACE_SECONDS:
            assert b"cache_entries" in await at_metrics(
                own_client, b"GET /metrics HTTP/1.1\r\n\r\n"
            )
            seen += 1

    await asyncio.gather(*(scraper() for _ in range(12)))
    # Each scraper waits for the next exposition, so the number is bounded.
    assert 12 <= seen <= 12 * 12


async def test_a_second_api_does_not_disturb_the_first(service, tmp_path):
    """On the same folder and port, and on another port whose metrics port is taken."""
    folder = {"DATA_DIR": str(tmp_path / "data")}
    async with (
        instance(tmp_path, service.env, **folder) as base,
        httpx.AsyncClient(base_url=base, timeout=30) as client,
    ):
        await client.get("/api/v1/courses")
        before = requests_by_labels(await scrape(client))
        await assert_second_start_refused(client.base_url.port, tmp_path, service.env | folder)
        after = requests_by_labels(await scrape(client))
        assert all(after[labels] >= count for labels, count in before.items())
        # Any number of instances may share the folder if their ports differ.
        async with instance(tmp_path, service.env, **folder) as third:
            async with httpx.AsyncClient(base_url=third) as other:
                assert sum(requests_by_labels(await scrape(other)).values()) < 10
            after = requests_by_labels(await scrape(client))
            assert all(after[labels] >= count for labels, count in before.items())


async def assert_second_start_refused(
    taken: int, folder: Path, environment: dict[str, str]
) -> None:
    [other, nowhere] = free_ports(2)
    for ports, named in (
        ({"PORT": str(taken)}, f"PORT: {taken} of 127.0.0.1 is taken"),
        (
            {"PORT": str(other), "METRICS_PORT": str(default_metrics_port(taken))},
            f"METRICS_PORT: {default_metrics_port(taken)} of 127.0.0.1 is taken",
        ),
    ):
        # The port is checked before the database, which does not answer here.
        away = {"DATABASE_URL": f"postgresql://127.0.0.1:{nowhere}/none"}
        with pytest.raises(AssertionError, match=re.escape(named)):
            async with instance(folder, environment, **(away | ports)):
                pass
