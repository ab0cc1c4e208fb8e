"""While all slots of searches are taken, searches are refused readably and nothing else is."""

import asyncio

import asyncpg
import pytest

from services.catalogue.search_slots import SLOT_LOCK, SLOTS
from tests.factories import new_email, refused

SEARCHES = ("busy", "b", "bu", "busy " * 20)
CLIENTS = 40


@pytest.fixture
async def _taken(service):
    """All slots of the database, held as by slow searches of any process."""
    connection = await asyncpg.connect(service.env["DATABASE_URL"])
    for slot in range(1, SLOTS + 1):
        await connection.execute("SELECT pg_advisory_lock($1, $2)", SLOT_LOCK, slot)
    yield
    await connection.close()


@pytest.mark.usefixtures("_taken")
@pytest.mark.parametrize("search", SEARCHES)
async def test_a_search_is_refused_with_a_time_to_come_back(client, search):
    answer = await client.get("/api/v1/courses", params={"search": search})
    refused(answer, 503, "UNAVAILABLE", "Too many searches are running at once; try again soon")
    assert int(answer.headers["retry-after"]) > 0


@pytest.mark.usefixtures("_taken")
async def test_waiting_searches_starve_nobody(client, api):
    async def search(number):
        answer = await client.get(f"/api/v1/courses?search=starving{number}")
        return answer.status_code

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


async def test_distinct_searches_at_once_are_answered_or_refused(client, api):
    await api.new_course(title="Many searches at once")
    answers = await asyncio.gather(
        *(client.get(f"/api/v1/courses?search=at once{' ' * n}x&page=1") for n in range(CLIENTS)),
        *(client.get(f"/api/v1/courses?search=Many&page={n + 1}") for n in range(CLIENTS)),
    )
    assert {answer.status_code for answer in answers} <= {200, 503}
    assert 200 in {answer.status_code for answer in answers}
    assert (await client.get("/api/v1/courses?search=MANY SEARCHES")).json()["data"]
