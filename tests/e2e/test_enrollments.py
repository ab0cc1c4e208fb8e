"""Enrolling, a student's courses, a course's students."""

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
    """A course that anybody may enrol in."""
    return await api.new_course()


@pytest.fixture
def enroll(client, course):
    """Enrol a student, in the module's course or another."""

    async def enroll(email, course_id=course["id"]):
        return await client.post(ENROLL, json={"student_email": email, "course_id": course_id})

    return enroll


async def test_an_enrollment_is_answered_with_its_course(enroll, course):
    email = new_email()
    answer = await enroll(email)
    assert answer.status_code == 201
    seat = answer.json()
    assert seat.keys() == {"id", "student_email", "course_id", "enrolled_at", "course"}
    assert UUID(seat["id"]).version == 7
    assert TIME.fullmatch(seat["enrolled_at"])
    assert (seat["student_email"], seat["course_id"]) == (email, course["id"])
    assert seat["course"] == course


@pytest.mark.parametrize("write", ["  {} ", "{}\n", "\t{}"])
async def test_an_email_is_trimmed_and_stored_in_lower_case(enroll, client, write):
    email = new_email()
    answer = await enroll(write.format(email.upper()))
    assert (answer.status_code, answer.json()["student_email"]) == (201, email)
    mine = (await client.get(f"/api/v1/students/{email}/enrollments")).json()
    assert [seat["student_email"] for seat in mine["enrollments"]] == [email]


@pytest.mark.parametrize("local", ["a+tag", "o'brien", "first.last", "x" * 64, "a/b", "ünal"])
async def test_unusual_emails_are_taken(api, client, local):
    course_id = (await api.new_course())["id"]
    email = f"{local}@sub.example.org"
    answer = await client.post(ENROLL, json={"student_email": email, "course_id": course_id})
    assert (answer.status_code, answer.json()["student_email"]) == (201, email)
    mine = await client.get(f"/api/v1/students/{quote(email, safe='')}/enrollments")
    assert course_id in {seat["course_id"] for seat in mine.json()["enrollments"]}
    dropped = await api.call("DELETE", f"/courses/{course_id}/students/{quote(email, safe='')}")
    assert dropped.status_code == 204


@pytest.mark.parametrize(("changes", "fault"), FAULTS, ids=lambda value: str(value)[:50])
async def test_a_field_at_fault_is_named(client, course, changes, fault):
    seat = {"student_email": new_email(), "course_id": course["id"]} | changes
    content = {name: value for name, value in seat.items() if value is not ...}
    refused_for(await client.post(ENROLL, json=content), fault)


async def test_all_faults_are_named_at_once(client):
    refused_for(await client.post(ENROLL, json={}), NO_EMAIL, NO_COURSE_ID)
    refused_for(
        await client.post(ENROLL, json={"student_email": "x", "course_id": "y", "z": 1}),
        BAD_EMAIL,
        BAD_COURSE_ID,
        ("z", "UNKNOWN_FIELD", "There is no field called 'z'"),
    )


@pytest.mark.parametrize("again", [str.lower, str.upper, str.title, " {} ".format])
async def test_the_second_enrollment_is_refused(enroll, client, again):
    email = new_email()
    assert (await enroll(email)).status_code == 201
    refused(await enroll(again(email)), *TAKEN)
    mine = (await client.get(f"/api/v1/students/{email}/enrollments")).json()
    assert mine["total"] == 1


async def test_of_two_enrollments_at_once_one_wins_200_times(api, enroll, course):
    async def pair() -> list[int]:
        email = new_email()
        answers = await asyncio.gather(enroll(email), enroll(email.upper()))
        for answer in answers:
            if answer.status_code != 201:
                refused(answer, *TAKEN)
        return sorted(answer.status_code for answer in answers)

    for _ in range(20):
        assert await asyncio.gather(*(pair() for _ in range(10))) == [[201, 409]] * 10


async def test_of_many_enrollments_at_once_one_wins(api, enroll, course):
    email = new_email()
    answers = await asyncio.gather(*(enroll(email) for _ in range(30)))
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 29


async def test_a_students_courses_latest_first(api, enroll, client):
    email = new_email()
    courses = [await api.new_course(title=f"Number {number}") for number in range(3)]
    seats = [(await enroll(email, course["id"])).json() for course in courses]
    answer = await client.get(f"/api/v1/students/{email}/enrollments")
    expected = {"student_email": email, "enrollments": seats[::-1], "total": 3}
    assert (answer.status_code, answer.json()) == (200, expected)
    documented = StudentEnrollmentsOut.model_validate_json(answer.content)
    assert documented.model_dump_json().encode() == answer.content
    shouted = await client.get(f"/api/v1/students/%20{email.upper()}%20/enrollments")
    assert shouted.json() == expected


async def test_a_students_courses_show_what_a_course_is_now(api, enroll, client):
    email, course = new_email(), await api.new_course()
    await enroll(email, course["id"])
    fields = {"title": "New", "description": "Name", "difficulty": "Beginner"}
    changed = (await api.call("PUT", f"/courses/{course['id']}", json=fields)).json()
    mine = (await client.get(f"/api/v1/students/{email}/enrollments")).json()
    assert [seat["course"] for seat in mine["enrollments"]] == [changed]


async def test_a_student_whom_nobody_has_seen_has_no_courses(client):
    email = new_email()
    answer = await client.get(f"/api/v1/students/{email}/enrollments")
    assert answer.status_code == 200
    assert answer.json() == {"student_email": email, "enrollments": [], "total": 0}


@pytest.mark.parametrize("email", ["plain", "a@b", "%00", "a%40example.org%2Fx", "%ff@example.org"])
@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/students/{}/enrollments"), ("DELETE", f"/courses/{NO_ID}/students/{{}}")],
)
async def test_a_bad_email_in_the_path(api, method, path, email):
    answer = await api.call(method, path.format(email))
    refused_for(answer, ("email", "INVALID_FORMAT", "Invalid email format"))


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/students/{}/enrollments"), ("DELETE", f"/courses/{NO_ID}/students/{{}}")],
)
async def test_a_blank_email_in_the_path(api, method, path):
    answer = await api.call(method, path.format("%20"))
    refused_for(answer, ("email", "REQUIRED", "Email is required"))


async def test_the_students_of_a_course(api, enroll):
    course_id = (await api.new_course())["id"]
    empty = await api.call("GET", f"/courses/{course_id}/students")
    assert (empty.status_code, empty.json()) == (200, {"students": [], "total": 0})
    emails = [new_email() for _ in range(3)]
    for email in emails:
        await enroll(email.upper(), course_id)
    answer = await api.call("GET", f"/courses/{course_id}/students")
    assert answer.json() == {"students": emails[::-1], "total": 3}


@pytest.mark.parametrize("write", ["{}", "%20{}%20"])
async def test_a_student_is_dropped_and_may_enrol_again(api, enroll, client, write):
    course_id, email, other = (await api.new_course())["id"], new_email(), new_email()
    first = (await enroll(email, course_id)).json()
    await enroll(other, course_id)
    path = f"/courses/{course_id}/students/{write.format(email.upper())}"
    answer = await api.call("DELETE", path)
    assert (answer.status_code, answer.content) == (204, b"")
    left = await api.call("GET", f"/courses/{course_id}/students")
    assert left.json() == {"students": [other], "total": 1}
    again = await enroll(email, course_id)
    assert again.status_code == 201
    assert again.json()["id"] != first["id"]
    mine = (await client.get(f"/api/v1/students/{email}/enrollments")).json()
    assert mine["total"] == 1


async def test_a_student_who_is_not_in_the_course_cannot_be_dropped(api, enroll):
    course_id, email = (await api.new_course())["id"], new_email()
    await enroll(email)
    answer = await api.call("DELETE", f"/courses/{course_id}/students/{email}")
    refused(answer, 404, "NOT_FOUND", "The requested enrollment does not exist")


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/students"), ("DELETE", "/students/a@example.org")]
)
async def test_the_students_of_a_course_that_is_not_there(api, method, path):
    answer = await api.call(method, f"/courses/{NO_ID}{path}")
    refused(answer, 404, "NOT_FOUND", "The requested course does not exist")
