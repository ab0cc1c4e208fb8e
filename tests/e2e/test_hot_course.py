"""Registration day: many students enrol in the same course, each with two requests."""

import asyncio
import time
from collections import Counter

import asyncpg
import httpx
import pytest

from tests.factories import Api, new_email
from tests.instances import instance

STUDENTS = 300
CLIENTS = 64
SOON_SECONDS = 1.9


async def test_each_student_is_enrolled_exactly_once_in_a_hot_course(api, client):
    course_id = (await api.new_course())["id"]
    emails = [new_email() for _ in range(STUDENTS)]
    places = asyncio.Semaphore(CLIENTS)

    async def enroll(email):
        async with places:
            body = {"student_email": email, "course_id": course_id}
            return email, (await client.post("/api/v1/enrollments", json=body)).status_code

    responses = await asyncio.gather(*(enroll(email) for email in emails for _ in range(2)))
    assert Counter(responses) == Counter((email, code) for email in emails for code in (201, 409))
    seen = (await api.call("GET", f"/courses/{course_id}/students")).json()
    assert seen["total"] == STUDENTS
    assert sorted(seen["students"]) == sorted(emails)
    listed = await api.call("GET", f"/admin/enrollments?course_id={course_id}&limit=1")
    assert listed.json()["total"] == STUDENTS


async def _enroll(client, course_id):
    body = {"student_email": new_email(), "course_id": course_id}
    return (await client.post("/api/v1/enrollments", json=body)).status_code


@pytest.mark.parametrize("hot", [1, 2])
async def test_hot_courses_leave_connections_for_other_calls(service, tmp_path, hot):
    """A row lock slows the hot courses here; an overloaded database has the same effect."""
    own = {"DATABASE_POOL_SIZE": "4", "API_WORKERS": "1"}
    connection = await asyncpg.connect(service.env["DATABASE_URL"])
    async with (
        instance(tmp_path, service.env, **own) as base,
        httpx.AsyncClient(base_url=base, timeout=20, limits=httpx.Limits()) as client,
    ):
        api = await Api.log_in(client)
        quiet, *crowded = [(await api.new_course())["id"] for _ in range(1 + hot)]
        async with connection.transaction():
            await connection.execute(
                "SELECT FROM courses WHERE id = ANY($1::uuid[]) FOR UPDATE", crowded
            )
            flood = [
                asyncio.create_task(_enroll(client, course))
                for _ in range(CLIENTS)
                for course in crowded
            ]
            try:
                await asyncio.sleep(0.5)
                started = time.monotonic()
                for _ in range(2):
                    assert await _enroll(client, quiet) == 201
                    found = await client.get("/api/v1/courses", params={"search": new_email()})
                    assert found.json()["data"] == []
                assert time.monotonic() - started < SOON_SECONDS
                assert not any(each.done() for each in flood)
            except BaseException:
                for each in flood:
                    each.cancel()
                raise
        assert Counter(await asyncio.gather(*flood)) == {201: hot * CLIENTS}
    await connection.close()
