"""What admins see and do across courses."""

from itertools import pairwise

import asyncpg
import pytest
from uuid_utils.compat import uuid7

from tests.factories import NIL_ID, NO_ID, TIME, new_email, refused, refused_for

PAGED = ["/admin/students", "/admin/enrollments"]
LIMIT_TYPE = ("limit", "INVALID_TYPE", "Limit must be a whole number")
BAD_COURSE_ID = ("course_id", "INVALID_FORMAT", "Course ID must be a valid UUID")


@pytest.fixture
def enroll(client):
    """Enrol a student and return the enrollment."""

    async def enroll(email, course):
        seat = {"student_email": email, "course_id": course["id"]}
        answer = await client.post("/api/v1/enrollments", json=seat)
        assert answer.status_code == 201, answer.text
        return answer.json()

    return enroll


async def everything(api, path: str, kind: str) -> list[dict]:
    """Return all that a listing has, page by page."""
    found = []
    while True:
        answer = await api.call("GET", f"{path}?limit=100&page={len(found) // 100 + 1}")
        assert answer.status_code == 200, answer.text
        assert answer.json().keys() == {kind, "total"}
        found += answer.json()[kind]
        if len(answer.json()[kind]) < 100:
            assert answer.json()["total"] == len(found)
            return found


async def test_students_are_listed_with_their_counts(api, enroll):
    email, courses = new_email(), [await api.new_course() for _ in range(2)]
    before = await everything(api, "/admin/students", "students")
    seats = [await enroll(email, course) for course in courses]
    after = await everything(api, "/admin/students", "students")
    assert len(after) == len(before) + 1
    emails = [one["email"] for one in after if one["email"].startswith("student-")]
    assert emails == sorted(emails)
    (mine,) = [student for student in after if student["email"] == email]
    last = seats[-1]["enrolled_at"]
    assert mine == {"email": email, "enrollment_count": 2, "last_enrolled_at": last}
    assert TIME.fullmatch(last)


@pytest.mark.parametrize("leave", ["drop", "delete", "delete courses"])
async def test_a_student_without_courses_is_none(api, enroll, leave):
    email, courses = new_email(), [await api.new_course() for _ in range(2)]
    seats = [await enroll(email, course) for course in courses]
    total = len(await everything(api, "/admin/students", "students"))
    for seat in seats:
        paths = {
            "drop": f"/courses/{seat['course_id']}/students/{email}",
            "delete": f"/admin/enrollments/{seat['id']}",
            "delete courses": f"/courses/{seat['course_id']}",
        }
        assert (await api.call("DELETE", paths[leave])).status_code == 204
        left = await everything(api, "/admin/students", "students")
        counts = [one["enrollment_count"] for one in left if one["email"] == email]
        assert counts == ([1] if seat is seats[0] else [])
    assert len(left) == total - 1


async def test_enrollments_are_listed_latest_first(api, enroll):
    course = await api.new_course()
    seats = [await enroll(new_email(), course) for _ in range(3)]
    found = await everything(api, "/admin/enrollments", "enrollments")
    kept = ("id", "student_email", "course", "enrolled_at")
    assert found[:3] == [{name: seat[name] for name in kept} for seat in seats[::-1]]
    times = [seat["enrolled_at"] for seat in found]
    assert times == sorted(times, reverse=True)


async def test_enrollments_by_course_and_by_email(api, enroll):
    courses, emails = [await api.new_course() for _ in range(2)], [new_email() for _ in range(2)]
    seats = {
        (course["id"], email): (await enroll(email, course))["id"]
        for course in courses
        for email in emails
    }

    async def found(**query) -> list[str]:
        answer = await api.call("GET", "/admin/enrollments", params=query)
        assert answer.json()["total"] == len(answer.json()["enrollments"])
        return [seat["id"] for seat in answer.json()["enrollments"]][::-1]

    first, second = (course["id"] for course in courses)
    assert await found(course_id=first) == [seats[first, email] for email in emails]
    assert await found(email=emails[1]) == [seats[first, emails[1]], seats[second, emails[1]]]
    assert await found(email=f" {emails[1].upper()} ", course_id=second) == [
        seats[second, emails[1]]
    ]
    assert await found(email=new_email()) == []
    assert await found(course_id=str(uuid7())) == []


async def test_blank_filters_are_none(api, enroll):
    await enroll(new_email(), await api.new_course())
    plain = (await api.call("GET", "/admin/enrollments")).json()
    assert (await api.call("GET", "/admin/enrollments?course_id=&email=")).json() == plain


@pytest.mark.parametrize("path", PAGED)
async def test_pages_do_not_overlap(api, enroll, path):
    course = await api.new_course()
    for _ in range(5):
        await enroll(new_email(), course)
    kind = path.rpartition("/")[2]
    whole = (await api.call("GET", f"{path}?limit=4")).json()
    pages = [(await api.call("GET", f"{path}?limit=2&page={page}")).json() for page in (1, 2)]
    assert [len(page[kind]) for page in pages] == [2, 2]
    assert pages[0][kind] + pages[1][kind] == whole[kind]
    assert {page["total"] for page in pages} == {whole["total"]}
    beyond = (await api.call("GET", f"{path}?page=100000")).json()
    assert beyond == {kind: [], "total": whole["total"]}


@pytest.mark.parametrize("path", PAGED)
async def test_a_page_has_10_and_at_most_100(api, enroll, path):
    course = await api.new_course()
    while (await api.call("GET", path)).json()["total"] <= 100:
        await enroll(new_email(), course)
    kind = path.rpartition("/")[2]
    lengths = {"": 10, "?limit=100": 100, "?limit=1000": 100}
    for query, length in lengths.items():
        assert len((await api.call("GET", path + query)).json()[kind]) == length


@pytest.mark.parametrize("path", PAGED)
@pytest.mark.parametrize(
    ("query", "faults"),
    [
        ("limit=0", [("limit", "OUT_OF_RANGE", "Limit must be at least 1")]),
        ("limit=abc", [LIMIT_TYPE]),
        ("page=0", [("page", "OUT_OF_RANGE", "Page must be at least 1")]),
        (
            "page=x&limit=x",
            [("page", "INVALID_TYPE", "Page must be a whole number"), LIMIT_TYPE],
        ),
    ],
)
async def test_a_bad_page_is_named(api, path, query, faults):
    refused_for(await api.call("GET", f"{path}?{query}"), *faults)


@pytest.mark.parametrize(
    ("query", "fault"),
    [
        ("course_id=x", BAD_COURSE_ID),
        (f"course_id={NIL_ID}", ("course_id", "REQUIRED", "Course ID is required")),
        ("email=x", ("email", "INVALID_FORMAT", "Invalid email format")),
    ],
)
async def test_a_bad_filter_is_named(api, query, fault):
    refused_for(await api.call("GET", f"/admin/enrollments?{query}"), fault)


async def test_a_deleted_enrollment_is_gone(api, client, enroll):
    email = new_email()
    seats = [await enroll(email, await api.new_course()) for _ in range(2)]
    path = f"/admin/enrollments/{seats[0]['id']}"
    answer = await api.call("DELETE", path)
    assert (answer.status_code, answer.content) == (204, b"")
    mine = (await client.get(f"/api/v1/students/{email}/enrollments")).json()
    assert mine["enrollments"] == [seats[1]]
    gone = (404, "NOT_FOUND", "The requested enrollment does not exist")
    refused(await api.call("DELETE", path), *gone)


async def test_an_enrollment_that_is_not_there(api):
    answer = await api.call("DELETE", f"/admin/enrollments/{NO_ID}")
    refused(answer, 404, "NOT_FOUND", "The requested enrollment does not exist")


async def walk(api, path: str, kind: str) -> list[str]:
    """Return the rows of a listing by its links, forth and back: both ways show the same."""
    answer = await api.call("GET", path)
    pages = [answer]
    while "next" in answer.links:
        answer = await api.call("GET", answer.links["next"]["url"].removeprefix("/api/v1"))
        pages.append(answer)
    last = await api.call("GET", answer.links["last"]["url"].removeprefix("/api/v1"))
    assert last.json()[kind][-1] == answer.json()[kind][-1]
    first = await api.call("GET", answer.links["first"]["url"].removeprefix("/api/v1"))
    assert first.json()[kind] == pages[0].json()[kind]
    for before, behind in pairwise(pages):
        back = await api.call("GET", behind.links["prev"]["url"].removeprefix("/api/v1"))
        assert back.json()[kind] == before.json()[kind]
    assert "prev" not in pages[0].links
    rows = [row for page in pages for row in page.json()[kind]]
    assert {page.headers["x-total-count"] for page in pages} == {str(len(rows))}
    return rows


async def test_links_lead_through_every_listing(api, client, enroll):
    course = await api.new_course()
    emails = [new_email() for _ in range(5)]
    for email in emails:
        await enroll(email, course)
    path = f"/admin/enrollments?limit=2&course_id={course['id']}"
    rows = await walk(api, path, "enrollments")
    assert [row["student_email"] for row in rows] == emails[::-1]
    assert len(await walk(api, "/admin/students?limit=3", "students")) >= 5


async def test_links_lead_through_the_tasks(api, service):
    connection = await asyncpg.connect(service.env["DATABASE_URL"])
    name = f"test.{uuid7().hex}"
    ids = [uuid7() for _ in range(7)]
    for each in ids:
        await connection.execute(
            "INSERT INTO tasks (id, name, args, state, finished_at) "
            "VALUES ($1, $2, '{}', 'succeeded', now())",
            each,
            name,
        )
    await connection.close()
    rows = await walk(api, f"/admin/tasks?limit=3&status=succeeded&name={name}", "tasks")
    assert [row["id"] for row in rows] == [str(each) for each in ids[::-1]]
