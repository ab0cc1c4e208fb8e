"""While all search slots are taken, searches get a 503 and other calls succeed."""

import asyncio

import asyncpg
import pytest

from services.catalogue.search_slots import SLOT_LOCK, SLOTS
from tests.factories import new_email, refused

SEARCHES = ("busy", "b", "bu", "busy " * 20)
CLIENTS = 40


@pytest.fixture
async def _all_slots_taken(service):
    """Holds all search slots of the database, as slow searches of other processes would."""
    connection = await asyncpg.connect(service.env["DATABASE_URL"])
    for slot in range(1, SLOTS + 1):
        await connection.execute("SELECT pg_advisory_lock($1, $2)", SLOT_LOCK, slot)
    yield
    await connection.close()


@pytest.mark.usefixtures("_all_slots_taken")
@pytest.mark.parametrize("search", SEARCHES)
async def test_a_search_without_a_slot_gets_503_with_retry_after(client, search):
    response = await client.get("/api/v1/courses", params={"search": search})
    refused(response, 503, "UNAVAILABLE", "Too many searches are running at once; try again soon")
    assert int(response.headers["retry-after"]) > 0


@pytest.mark.usefixtures("_all_slots_taken")
async def test_waiting_searches_do_not_block_other_calls(client, api):
    async def search(number):
        response = await client.get(f"/api/v1/courses?search=starving{number}")
        return response.status_code

    searching = [asyncio.create_task(search(number)) for number in range(CLIENTS)]
    course = await api.new_course()
    for number in range(20):
        body = {"student_email": new_email(), "course_id": course["id"]}
        others = (
            await client.get(f"/api/v1/courses/{course['id']}"),
            await client.get(f"/api/v1/courses?page={number + 1}&limit=7"),
            await client.get(f"/api/v1/courses?page={2000 + number}&limit=10"),
            await client.post("/api/v1/enrollments", json=body),
            await api.call("GET", f"/courses/{course['id']}/students"),
        )
        assert [each.status_code for each in others] == [200, 200, 200, 201, 200]
    assert set(await asyncio.gather(*searching)) == {503}


async def test_each_of_many_concurrent_searches_gets_a_result_or_503(client, api):
    await api.new_course(title="Many searches at once")
    responses = await asyncio.gather(
        *(client.get(f"/api/v1/courses?search=at once{' ' * n}x&page=1") for n in range(CLIENTS)),
        *(client.get(f"/api/v1/courses?search=Many&page={n + 1}") for n in range(CLIENTS)),
    )
    assert {response.status_code for response in responses} <= {200, 503}
    assert 200 in {response.status_code for response in responses}
    assert (await client.get("/api/v1/courses?search=MANY SEARCHES")).json()["data"]
