"""The listings that admins see across all courses."""

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
        enrollment = {"student_email": email, "course_id": course["id"]}
        response = await client.post("/api/v1/enrollments", json=enrollment)
        assert response.status_code == 201, response.text
        return response.json()

    return enroll


async def read_all(api, path: str, kind: str) -> list[dict]:
    """Return all entries of a listing, page by page."""
    found = []
    while True:
        response = await api.call("GET", f"{path}?limit=100&page={len(found) // 100 + 1}")
        assert response.status_code == 200, response.text
        assert response.json().keys() == {kind, "total"}
        found += response.json()[kind]
        if len(response.json()[kind]) < 100:
            assert response.json()["total"] == len(found)
            return found


async def test_students_are_listed_with_their_counts(api, enroll):
    email, courses = new_email(), [await api.new_course() for _ in range(2)]
    before = await read_all(api, "/admin/students", "students")
    enrollments = [await enroll(email, course) for course in courses]
    after = await read_all(api, "/admin/students", "students")
    assert len(after) == len(before) + 1
    emails = [one["email"] for one in after if one["email"].startswith("student-")]
    assert emails == sorted(emails)
    (mine,) = [student for student in after if student["email"] == email]
    last = enrollments[-1]["enrolled_at"]
    assert mine == {"email": email, "enrollment_count": 2, "last_enrolled_at": last}
    assert TIME.fullmatch(last)


@pytest.mark.parametrize("leave", ["drop", "delete", "delete courses"])
async def test_a_student_without_enrollments_is_not_listed(api, enroll, leave):
    email, courses = new_email(), [await api.new_course() for _ in range(2)]
    enrollments = [await enroll(email, course) for course in courses]
    total = len(await read_all(api, "/admin/students", "students"))
    for enrollment in enrollments:
        paths = {
            "drop": f"/courses/{enrollment['course_id']}/students/{email}",
            "delete": f"/admin/enrollments/{enrollment['id']}",
            "delete courses": f"/courses/{enrollment['course_id']}",
        }
        assert (await api.call("DELETE", paths[leave])).status_code == 204
        left = await read_all(api, "/admin/students", "students")
        counts = [one["enrollment_count"] for one in left if one["email"] == email]
        assert counts == ([1] if enrollment is enrollments[0] else [])
    assert len(left) == total - 1


async def test_enrollments_are_listed_latest_first(api, enroll):
    course = await api.new_course()
    enrollments = [await enroll(new_email(), course) for _ in range(3)]
    found = await read_all(api, "/admin/enrollments", "enrollments")
    kept = ("id", "student_email", "course", "enrolled_at")
    assert found[:3] == [
        {name: enrollment[name] for name in kept} for enrollment in enrollments[::-1]
    ]
    times = [enrollment["enrolled_at"] for enrollment in found]
    assert times == sorted(times, reverse=True)


async def test_enrollments_are_filtered_by_course_and_email(api, enroll):
    courses, emails = [await api.new_course() for _ in range(2)], [new_email() for _ in range(2)]
    enrollments = {
        (course["id"], email): (await enroll(email, course))["id"]
        for course in courses
        for email in emails
    }

    async def found(**query) -> list[str]:
        response = await api.call("GET", "/admin/enrollments", params=query)
        assert response.json()["total"] == len(response.json()["enrollments"])
        return [enrollment["id"] for enrollment in response.json()["enrollments"]][::-1]

    first, second = (course["id"] for course in courses)
    assert await found(course_id=first) == [enrollments[first, email] for email in emails]
    assert await found(email=emails[1]) == [
        enrollments[first, emails[1]],
        enrollments[second, emails[1]],
    ]
    assert await found(email=f" {emails[1].upper()} ", course_id=second) == [
        enrollments[second, emails[1]]
    ]
    assert await found(email=new_email()) == []
    assert await found(course_id=str(uuid7())) == []


async def test_blank_filters_are_ignored(api, enroll):
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
async def test_the_page_size_is_10_by_default_and_100_at_most(api, enroll, path):
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
async def test_a_bad_page_is_a_400_that_names_the_field(api, path, query, faults):
    refused_for(await api.call("GET", f"{path}?{query}"), *faults)


@pytest.mark.parametrize(
    ("query", "fault"),
    [
        ("course_id=x", BAD_COURSE_ID),
        (f"course_id={NIL_ID}", ("course_id", "REQUIRED", "Course ID is required")),
        ("email=x", ("email", "INVALID_FORMAT", "Invalid email format")),
    ],
)
async def test_a_bad_filter_is_a_400_that_names_the_field(api, query, fault):
    refused_for(await api.call("GET", f"/admin/enrollments?{query}"), fault)


async def test_a_deleted_enrollment_is_no_longer_listed(api, client, enroll):
    email = new_email()
    enrollments = [await enroll(email, await api.new_course()) for _ in range(2)]
    path = f"/admin/enrollments/{enrollments[0]['id']}"
    response = await api.call("DELETE", path)
    assert (response.status_code, response.content) == (204, b"")
    mine = (await client.get(f"/api/v1/students/{email}/enrollments")).json()
    assert mine["enrollments"] == [enrollments[1]]
    gone = (404, "NOT_FOUND", "The requested enrollment does not exist")
    refused(await api.call("DELETE", path), *gone)


async def test_deleting_an_unknown_enrollment_is_404(api):
    response = await api.call("DELETE", f"/admin/enrollments/{NO_ID}")
    refused(response, 404, "NOT_FOUND", "The requested enrollment does not exist")


async def follow_links(api, path: str, kind: str) -> list[str]:
    """Return the rows of a listing by its links; forward and backward must show the same."""
    response = await api.call("GET", path)
    pages = [response]
    while "next" in response.links:
        response = await api.call("GET", response.links["next"]["url"].removeprefix("/api/v1"))
        pages.append(response)
    last = await api.call("GET", response.links["last"]["url"].removeprefix("/api/v1"))
    assert last.json()[kind][-1] == response.json()[kind][-1]
    first = await api.call("GET", response.links["first"]["url"].removeprefix("/api/v1"))
    assert first.json()[kind] == pages[0].json()[kind]
    for before, behind in pairwise(pages):
        back = await api.call("GET", behind.links["prev"]["url"].removeprefix("/api/v1"))
        assert back.json()[kind] == before.json()[kind]
    assert "prev" not in pages[0].links
    rows = [row for page in pages for row in page.json()[kind]]
    assert {page.headers["x-total-count"] for page in pages} == {str(len(rows))}
    return rows


async def test_every_listing_can_be_read_by_its_links(api, client, enroll):
    course = await api.new_course()
    emails = [new_email() for _ in range(5)]
    for email in emails:
        await enroll(email, course)
    path = f"/admin/enrollments?limit=2&course_id={course['id']}"
    rows = await follow_links(api, path, "enrollments")
    assert [row["student_email"] for row in rows] == emails[::-1]
    assert len(await follow_links(api, "/admin/students?limit=3", "students")) >= 5


async def test_the_task_list_can_be_read_by_its_links(api, service):
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
    rows = await follow_links(api, f"/admin/tasks?limit=3&status=succeeded&name={name}", "tasks")
    assert [row["id"] for row in rows] == [str(each) for each in ids[::-1]]
