"""The database fails over under load: writes go on, none that was acknowledged is lost."""

import asyncio

import pytest

from infra.db.engine import direct_connection
from loadtests.failover import drill
from loadtests.failover.load import CACHED_COURSE, ENROLLMENT
from tests import photos
from tests.factories import eventually, free_ports

# `make failover` measures the gap; here other tests share the machine.
GAP_SECONDS = 5.0
CONNECTIONS = 12


@pytest.fixture(scope="module")
async def site(tmp_path_factory):
    """The service on a primary with a synchronous standby."""
    folder = tmp_path_factory.mktemp("failover")
    one, two = free_ports(2)
    async with drill.running_site(folder, (one, two), synchronous=True) as site:
        yield site


async def test_no_acknowledged_write_is_lost_and_writes_are_soon_back(site):
    result = await drill.run(site, synchronous=True, rate=60, calm_seconds=1)
    assert result.acknowledged > 60
    assert result.lost == set()
    assert [step.name for step in result.steps] == [
        *(drill.KILLED, drill.REJOINED, drill.STOPPED, drill.REJOINED),
        *(drill.FROZEN, drill.REJOINED),
    ]
    for step in result.steps:
        assert step.gap(result.outcomes, ENROLLMENT) < GAP_SECONDS
        # What memory has is served all the time.
        assert all(each.is_ok for each in step.answered(result.outcomes, CACHED_COURSE))
    # A failover is an outage, no error of the service; clients get an answer to each request.
    assert {each.status for each in result.outcomes} <= {200, 201, 503}


async def test_a_change_that_the_failover_lost_is_forgotten_by_every_process(site):
    pair, client = site.pair, site.client
    await pair.primary.wait_for_standby(synchronous=False)
    course = (await client.post("/courses", json=drill.COURSE | {"title": "Kept"})).json()
    path = f"/courses/{course['id']}"
    await eventually(pair.primary.is_followed)
    await pair.standby.stop()
    lost = await client.put(path, json=drill.COURSE | {"title": "Lost"})
    assert lost.status_code == 200
    assert await _titles(client, path) == {"Lost"}
    await pair.primary.kill()
    await pair.standby.start()
    await pair.fail_over()

    async def is_forgotten() -> bool:
        return await _titles(client, path) == {"Kept"}

    await eventually(is_forgotten, within=10)
    # The relay and the workers have followed.
    uploaded = await _upload(client)
    settled = await _settled(client, uploaded)
    assert settled["image"]["status"] == "ready"
    # What only the old primary had is gone there, too.
    await pair.rejoin(synchronous=False)
    async with direct_connection(pair.standby.url()) as standby:
        query = "SELECT title, pg_is_in_recovery() FROM courses WHERE id = $1"
        await eventually(pair.primary.is_followed)
        assert tuple(await standby.fetchrow(query, course["id"])) == ("Kept", True)


async def _titles(client, path: str) -> set[str]:
    """Return the titles, or errors, that the processes show, over many new connections."""
    asked = [client.get(path, headers={"Connection": "close"}) for _ in range(CONNECTIONS)]
    shown = [response.json() for response in await asyncio.gather(*asked)]
    return {each.get("title") or each["error"] for each in shown}


async def _upload(client) -> str:
    files = {"image": ("photo.jpg", photos.jpeg(64, 48))}
    response = await client.post("/courses/upload", data=drill.COURSE, files=files)
    assert response.status_code == 201, response.text
    return f"/courses/{response.json()['id']}"


async def _settled(client, path: str) -> dict:
    async def done() -> dict | None:
        shown = (await client.get(path)).json()
        return None if shown["image"]["status"] == "processing" else shown

    return await eventually(done, within=30)
