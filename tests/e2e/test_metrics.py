"""The metrics: bounded whatever strangers send, on an address of their own, shared by scrapers."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from api.metrics_server import MAX_CONNECTIONS, PACE_SECONDS
from infra.observability.meters import OTHER
from infra.settings import metrics_port_beside
from tests.factories import free_ports, scrape
from tests.instances import instance

MADE_UP = 2000


@pytest.fixture(scope="module")
async def own(service, tmp_path_factory) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an API of these tests' own."""
    async with (
        instance(tmp_path_factory.mktemp("metrics"), service.env) as base,
        httpx.AsyncClient(base_url=base, timeout=30) as client,
    ):
        yield client


def of_requests(text: str) -> dict[tuple, float]:
    """Return how many requests there were, by their labels."""
    return {
        tuple(sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "http_request_duration_seconds_count"
    }


async def made_up(client: httpx.AsyncClient, name: str, count: int) -> None:
    """Send requests with methods and paths that nobody has sent before."""

    async def some(numbers: range) -> None:
        for number in numbers:
            word = f"{name}{number}"
            await client.request(f"M{word}".upper(), "/api/v1/courses")
            await client.request("GET", f"/{word}/x?{word}=1")
            await client.request(f"{word}", f"/api/v1/courses/{word}", headers={word: word})

    await asyncio.gather(*(some(range(first, count, 8)) for first in range(8)))


async def test_made_up_methods_and_paths_make_no_series(own):
    await made_up(own, "few", 8)
    before = await scrape(own)
    await made_up(own, "many", MADE_UP // 3)
    after = await scrape(own)
    assert of_requests(after).keys() == of_requests(before).keys()
    assert len(after) < 200_000
    assert any(("method", OTHER) in each for each in of_requests(after))
    assert "many1" not in after.lower()


async def test_clients_of_the_api_are_not_shown_them(own):
    answer = await own.get("/metrics")
    assert answer.status_code == 404
    assert "/metrics" not in (await own.get("/openapi.json")).json()["paths"]


async def at_metrics(client: httpx.AsyncClient, data: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", metrics_port_beside(client.base_url.port)
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
async def test_the_address_shows_metrics_and_nothing_else(own, sent, status):
    head, _, body = (await at_metrics(own, sent + b"\r\n\r\n")).partition(b"\r\n\r\n")
    assert head.split(b" ")[1] == status
    assert bool(body) == sent.startswith(b"GET /metrics")


async def test_endless_heads_and_idle_strangers_are_cut_off(own):
    with contextlib.suppress(ConnectionError):
        assert await at_metrics(own, b"GET /metrics HTTP/1.1\r\nX: " + b"x" * 100_000) == b""
    port = metrics_port_beside(own.base_url.port)
    idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(MAX_CONNECTIONS + 10)]
    assert (await own.get("/health/live")).status_code == 200
    for _, writer in idle:
        writer.close()
    assert await scrape(own)


async def test_scrapers_share_an_exposition(own):
    loop = asyncio.get_running_loop()
    started, seen = loop.time(), 0

    async def scraper() -> None:
        nonlocal seen
        while loop.time() - started < 10 * PACE_SECONDS:
            assert b"cache_entries" in await at_metrics(own, b"GET /metrics HTTP/1.1\r\n\r\n")
            seen += 1

    await asyncio.gather(*(scraper() for _ in range(12)))
    # Each waits for the next one: no more than so many each, however fast they ask.
    assert 12 <= seen <= 12 * 12


async def test_a_second_api_takes_nothing_from_the_first(service, tmp_path):
    """In the same folder, on the same port, and on another one with the metrics' port taken."""
    folder = {"DATA_DIR": str(tmp_path / "data")}
    async with (
        instance(tmp_path, service.env, **folder) as base,
        httpx.AsyncClient(base_url=base, timeout=30) as client,
    ):
        await client.get("/api/v1/courses")
        before = of_requests(await scrape(client))
        await refused_seconds(client.base_url.port, tmp_path, service.env | folder)
        after = of_requests(await scrape(client))
        assert all(after[labels] >= count for labels, count in before.items())
        # A third one, of which there may be any number, is told apart by its port alone.
        async with instance(tmp_path, service.env, **folder) as third:
            async with httpx.AsyncClient(base_url=third) as other:
                assert sum(of_requests(await scrape(other)).values()) < 10
            after = of_requests(await scrape(client))
            assert all(after[labels] >= count for labels, count in before.items())


async def refused_seconds(taken: int, folder: Path, environment: dict[str, str]) -> None:
    [other, nowhere] = free_ports(2)
    for ports, named in (
        ({"PORT": str(taken)}, f"PORT: {taken} of 127.0.0.1 is taken"),
        (
            {"PORT": str(other), "METRICS_PORT": str(metrics_port_beside(taken))},
            f"METRICS_PORT: {metrics_port_beside(taken)} of 127.0.0.1 is taken",
        ),
    ):
        # The address comes first: that the database does not answer is not even noticed.
        away = {"DATABASE_URL": f"postgresql://127.0.0.1:{nowhere}/none"}
        with pytest.raises(AssertionError, match=re.escape(named)):
            async with instance(folder, environment, **(away | ports)):
                pass
