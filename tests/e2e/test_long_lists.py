"""Long lists are bounded and paged; a student with thousands of courses is answered fast."""

import re
import time

import asyncpg
import pytest

from tests.factories import NO_ID, new_email

PLACES, BOUND = 10_000, 1000
SECONDS = 1.0
COURSES = """
    INSERT INTO courses (id, title, description, difficulty)
    SELECT gen_random_uuid(), $1 || n, 'one of many', 'Beginner' FROM generate_series(1, $2) AS n
    RETURNING id
"""
IN_ALL = """
    INSERT INTO enrollments (id, student_email, course_id, enrolled_at)
    SELECT gen_random_uuid(), $1, course_id, now() - n * interval '1 s'
    FROM unnest($2::uuid[]) WITH ORDINALITY AS chosen (course_id, n)
"""
ALL_IN = """
    INSERT INTO enrollments (id, student_email, course_id, enrolled_at)
    SELECT gen_random_uuid(), $1 || n || '@example.org', $2, now() - n * interval '1 s'
    FROM generate_series(1, $3) AS n
"""


@pytest.fixture(scope="module")
async def busy(service):
    """A student of many courses, and a course with many students."""
    connection = await asyncpg.connect(service.env["DATABASE_URL"])
    student, prefix = new_email(), new_email().partition("@")[0]
    found = await connection.fetch(COURSES, prefix, PLACES)
    ids = [row["id"] for row in found]
    await connection.execute(IN_ALL, student, ids)
    await connection.execute(ALL_IN, prefix, ids[0], BOUND + 5)
    await connection.execute("ANALYZE courses, enrollments")
    yield student, ids, prefix
    # Leaves nothing behind in the listings that other tests read.
    await connection.execute("DELETE FROM courses WHERE id = ANY($1)", ids)
    await connection.close()


def _links(response):
    found = re.findall(r'<([^>]+)>; rel="(\w+)"', response.headers["link"])
    return {relation: address for address, relation in found}


async def test_a_student_with_many_courses(client, busy):
    student, ids, _ = busy
    path = f"/api/v1/students/{student}/enrollments"
    started = time.monotonic()
    response = await client.get(path)
    took = time.monotonic() - started
    assert response.status_code == 200
    content = response.json()
    assert (content["total"], len(content["enrollments"])) == (PLACES, BOUND)
    assert response.headers["x-total-count"] == str(PLACES)
    assert [each["course_id"] for each in content["enrollments"]] == list(map(str, ids[:BOUND]))
    assert took < SECONDS
    assert (
        content["enrollments"][0]["course"]
        == (await client.get(f"/api/v1/courses/{ids[0]}")).json()
    )


async def test_the_pages_of_a_student_with_many_courses(client, busy):
    student, ids, _ = busy
    path = f"/api/v1/students/{student}/enrollments"
    links = _links(await client.get(path))
    assert links["first"] == f"{path}?page=1&limit=100"
    seen = []
    address = links["first"]
    while address and len(seen) < 300:
        response = await client.get(address)
        seen += [each["course_id"] for each in response.json()["enrollments"]]
        address = _links(response).get("next")
    assert seen == list(map(str, ids[:300]))
    last = await client.get(links["last"])
    assert [each["course_id"] for each in last.json()["enrollments"]] == list(map(str, ids[-100:]))
    assert "next" not in _links(last)
    beyond = await client.get(f"{path}?page=101&limit=100")
    assert (beyond.json()["enrollments"], beyond.json()["total"]) == ([], PLACES)
    few = await client.get(f"{path}?page=2")
    assert [each["course_id"] for each in few.json()["enrollments"]] == list(map(str, ids[10:20]))


async def test_a_course_with_many_students(api, busy):
    _, ids, prefix = busy
    path = f"/courses/{ids[0]}/students"
    response = await api.call("GET", path)
    assert (len(response.json()["students"]), response.json()["total"]) == (BOUND, BOUND + 6)
    assert response.headers["x-total-count"] == str(BOUND + 6)
    assert _links(response)["next"].endswith("?page=11&limit=100")
    second = await api.call("GET", f"{path}?page=11&limit=100")
    expected = [f"{prefix}{n}@example.org" for n in range(BOUND - 1, BOUND + 6)]
    assert second.json()["students"] == [each for each in expected if each in second.text]
    assert len(second.json()["students"]) == 6


async def test_a_page_of_an_unknown_course_is_404(api):
    assert (await api.call("GET", f"/courses/{NO_ID}/students?page=2")).status_code == 404


@pytest.mark.parametrize("query", ["page=0", "limit=0", "page=x"])
async def test_bad_pages_are_400(client, api, query):
    for response in (
        await client.get(f"/api/v1/students/{new_email()}/enrollments?{query}"),
        await api.call("GET", f"/courses/{NO_ID}/students?{query}"),
    ):
        assert response.status_code == 400
