"""Enrolling, the enrollments of a student, the students of a course."""

import asyncio
from urllib.parse import quote
from uuid import UUID

import pytest

from api.schemas.responses import StudentEnrollmentsOut
from tests.factories import NIL_ID, NO_ID, TIME, new_email, refused, refused_for

ENROLL = "/api/v1/enrollments"
TAKEN = (409, "DUPLICATE_ENROLLMENT", "Student is already enrolled in this course")
NO_EMAIL = ("student_email", "REQUIRED", "Student email is required")
BAD_EMAIL = ("student_email", "INVALID_FORMAT", "Invalid email format")
NO_COURSE_ID = ("course_id", "REQUIRED", "Course ID is required")
BAD_COURSE_ID = ("course_id", "INVALID_FORMAT", "Course ID must be a valid UUID")
BAD_EMAILS = [
    "plain",
    "@example.org",
    "a@",
    "a@b@example.org",
    "a b@example.org",
    "a@example",
    "a@-example.org",
    "a..b@example.org",
    "a@example.org\nbcc: b@example.org",
    "a\0@example.org",
    f"{'x' * 250}@example.org",
    f"a@{'x' * 250}.org",
    "Name <a@example.org>",
]
FAULTS = [
    ({"student_email": ...}, NO_EMAIL),
    ({"student_email": None}, NO_EMAIL),
    ({"student_email": ""}, NO_EMAIL),
    ({"student_email": "  "}, NO_EMAIL),
    ({"student_email": 5}, ("student_email", "INVALID_TYPE", "Student email must be text")),
    ({"student_email": []}, ("student_email", "INVALID_TYPE", "Student email must be text")),
    *(({"student_email": email}, BAD_EMAIL) for email in BAD_EMAILS),
    ({"course_id": ...}, NO_COURSE_ID),
    ({"course_id": None}, NO_COURSE_ID),
    ({"course_id": ""}, NO_COURSE_ID),
    ({"course_id": NIL_ID}, NO_COURSE_ID),
    ({"course_id": 5}, ("course_id", "INVALID_TYPE", "Course ID must be text")),
    ({"course_id": "not-a-uuid"}, BAD_COURSE_ID),
    ({"course_id": NO_ID[:-1]}, BAD_COURSE_ID),
    (
        {"course_id": NO_ID},
        ("course_id", "NOT_FOUND", "The specified course does not exist"),
    ),
    ({"seat": 5}, ("seat", "UNKNOWN_FIELD", "There is no field called 'seat'")),
]


@pytest.fixture(scope="module")
async def course(api):
    """A course for enrollments."""
    return await api.new_course()


@pytest.fixture
def enroll(client, course):
    """Enrols a student in the module's course or another."""

    async def enroll(email, course_id=course["id"]):
        return await client.post(ENROLL, json={"student_email": email, "course_id": course_id})

    return enroll


async def test_an_enrollment_is_returned_with_its_course(enroll, course):
    email = new_email()
    response = await enroll(email)
    assert response.status_code == 201
    enrollment = response.json()
    assert enrollment.keys() == {"id", "student_email", "course_id", "enrolled_at", "course"}
    assert UUID(enrollment["id"]).version == 7
    assert TIME.fullmatch(enrollment["enrolled_at"])
    assert (enrollment["student_email"], enrollment["course_id"]) == (email, course["id"])
    assert enrollment["course"] == course


@pytest.mark.parametrize("write", ["  {} ", "{}\n", "\t{}"])
async def test_an_email_is_trimmed_and_stored_in_lower_case(enroll, client, write):
    email = new_email()
    response = await enroll(write.format(email.upper()))
    assert (response.status_code, response.json()["student_email"]) == (201, email)
    mine = (await client.get(f"/api/v1/students/{email}/enrollments")).json()
    assert [enrollment["student_email"] for enrollment in mine["enrollments"]] == [email]


@pytest.mark.parametrize("local", ["a+tag", "o'brien", "first.last", "x" * 64, "a/b", "ünal"])
async def test_unusual_valid_emails_are_accepted(api, client, local):
    course_id = (await api.new_course())["id"]
    email = f"{local}@sub.example.org"
    response = await client.post(ENROLL, json={"student_email": email, "course_id": course_id})
    assert (response.status_code, response.json()["student_email"]) == (201, email)
    mine = await client.get(f"/api/v1/students/{quote(email, safe='')}/enrollments")
    assert course_id in {enrollment["course_id"] for enrollment in mine.json()["enrollments"]}
    dropped = await api.call("DELETE", f"/courses/{course_id}/students/{quote(email, safe='')}")
    assert dropped.status_code == 204


@pytest.mark.parametrize(("changes", "fault"), FAULTS, ids=lambda value: str(value)[:50])
async def test_an_invalid_field_is_a_400_that_names_it(client, course, changes, fault):
    enrollment = {"student_email": new_email(), "course_id": course["id"]} | changes
    content = {name: value for name, value in enrollment.items() if value is not ...}
    refused_for(await client.post(ENROLL, json=content), fault)


async def test_all_invalid_fields_are_named(client):
    refused_for(await client.post(ENROLL, json={}), NO_EMAIL, NO_COURSE_ID)
    refused_for(
        await client.post(ENROLL, json={"student_email": "x", "course_id": "y", "z": 1}),
        BAD_EMAIL,
        BAD_COURSE_ID,
        ("z", "UNKNOWN_FIELD", "There is no field called 'z'"),
    )


@pytest.mark.parametrize("again", [str.lower, str.upper, str.title, " {} ".format])
async def test_a_duplicate_enrollment_is_409(enroll, client, again):
    email = new_email()
    assert (await enroll(email)).status_code == 201
    refused(await enroll(again(email)), *TAKEN)
    mine = (await client.get(f"/api/v1/students/{email}/enrollments")).json()
    assert mine["total"] == 1


async def test_of_two_concurrent_enrollments_one_succeeds_200_times(api, enroll, course):
    async def pair() -> list[int]:
        email = new_email()
        responses = await asyncio.gather(enroll(email), enroll(email.upper()))
        for response in responses:
            if response.status_code != 201:
                refused(response, *TAKEN)
        return sorted(response.status_code for response in responses)

    for _ in range(20):
        assert await asyncio.gather(*(pair() for _ in range(10))) == [[201, 409]] * 10


async def test_of_many_concurrent_enrollments_one_succeeds(api, enroll, course):
    email = new_email()
    responses = await asyncio.gather(*(enroll(email) for _ in range(30)))
    assert sorted(response.status_code for response in responses) == [201] + [409] * 29


async def test_a_students_enrollments_are_listed_latest_first(api, enroll, client):
    email = new_email()
    courses = [await api.new_course(title=f"Number {number}") for number in range(3)]
    enrollments = [(await enroll(email, course["id"])).json() for course in courses]
    response = await client.get(f"/api/v1/students/{email}/enrollments")
    expected = {"student_email": email, "enrollments": enrollments[::-1], "total": 3}
    assert (response.status_code, response.json()) == (200, expected)
    documented = StudentEnrollmentsOut.model_validate_json(response.content)
    assert documented.model_dump_json().encode() == response.content
    shouted = await client.get(f"/api/v1/students/%20{email.upper()}%20/enrollments")
    assert shouted.json() == expected


async def test_a_students_enrollments_show_the_current_course(api, enroll, client):
    email, course = new_email(), await api.new_course()
    await enroll(email, course["id"])
    fields = {"title": "New", "description": "Name", "difficulty": "Beginner"}
    changed = (await api.call("PUT", f"/courses/{course['id']}", json=fields)).json()
    mine = (await client.get(f"/api/v1/students/{email}/enrollments")).json()
    assert [enrollment["course"] for enrollment in mine["enrollments"]] == [changed]


async def test_an_unknown_student_has_no_enrollments(client):
    email = new_email()
    response = await client.get(f"/api/v1/students/{email}/enrollments")
    assert response.status_code == 200
    assert response.json() == {"student_email": email, "enrollments": [], "total": 0}


@pytest.mark.parametrize("email", ["plain", "a@b", "%00", "a%40example.org%2Fx", "%ff@example.org"])
@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/students/{}/enrollments"), ("DELETE", f"/courses/{NO_ID}/students/{{}}")],
)
async def test_a_bad_email_in_the_path_is_400(api, method, path, email):
    response = await api.call(method, path.format(email))
    refused_for(response, ("email", "INVALID_FORMAT", "Invalid email format"))


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/students/{}/enrollments"), ("DELETE", f"/courses/{NO_ID}/students/{{}}")],
)
async def test_a_blank_email_in_the_path_is_400(api, method, path):
    response = await api.call(method, path.format("%20"))
    refused_for(response, ("email", "REQUIRED", "Email is required"))


async def test_the_students_of_a_course_are_listed(api, enroll):
    course_id = (await api.new_course())["id"]
    empty = await api.call("GET", f"/courses/{course_id}/students")
    assert (empty.status_code, empty.json()) == (200, {"students": [], "total": 0})
    emails = [new_email() for _ in range(3)]
    for email in emails:
        await enroll(email.upper(), course_id)
    response = await api.call("GET", f"/courses/{course_id}/students")
    assert response.json() == {"students": emails[::-1], "total": 3}


@pytest.mark.parametrize("write", ["{}", "%20{}%20"])
async def test_a_dropped_student_may_enroll_again(api, enroll, client, write):
    course_id, email, other = (await api.new_course())["id"], new_email(), new_email()
    first = (await enroll(email, course_id)).json()
    await enroll(other, course_id)
    path = f"/courses/{course_id}/students/{write.format(email.upper())}"
    response = await api.call("DELETE", path)
    assert (response.status_code, response.content) == (204, b"")
    left = await api.call("GET", f"/courses/{course_id}/students")
    assert left.json() == {"students": [other], "total": 1}
    again = await enroll(email, course_id)
    assert again.status_code == 201
    assert again.json()["id"] != first["id"]
    mine = (await client.get(f"/api/v1/students/{email}/enrollments")).json()
    assert mine["total"] == 1


async def test_dropping_a_student_who_is_not_enrolled_is_404(api, enroll):
    course_id, email = (await api.new_course())["id"], new_email()
    await enroll(email)
    response = await api.call("DELETE", f"/courses/{course_id}/students/{email}")
    refused(response, 404, "NOT_FOUND", "The requested enrollment does not exist")


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/students"), ("DELETE", "/students/a@example.org")]
)
async def test_the_students_of_an_unknown_course_are_404(api, method, path):
    response = await api.call(method, f"/courses/{NO_ID}{path}")
    refused(response, 404, "NOT_FOUND", "The requested course does not exist")
