"""Registration day: everybody wants the same course, and some press the button twice."""

import asyncio
from collections import Counter

from tests.factories import new_email

STUDENTS = 300
CLIENTS = 64


async def test_nobody_is_lost_and_nobody_is_twice_in_a_course_that_all_want(api, client):
    course_id = (await api.new_course())["id"]
    emails = [new_email() for _ in range(STUDENTS)]
    places = asyncio.Semaphore(CLIENTS)

    async def enroll(email):
        async with places:
            body = {"student_email": email, "course_id": course_id}
            return email, (await client.post("/api/v1/enrollments", json=body)).status_code

    answers = await asyncio.gather(*(enroll(email) for email in emails for _ in range(2)))
    assert Counter(answers) == Counter((email, code) for email in emails for code in (201, 409))
    seen = (await api.call("GET", f"/courses/{course_id}/students")).json()
    assert seen["total"] == STUDENTS
    assert sorted(seen["students"]) == sorted(emails)
    listed = await api.call("GET", f"/admin/enrollments?course_id={course_id}&limit=1")
    assert listed.json()["total"] == STUDENTS
