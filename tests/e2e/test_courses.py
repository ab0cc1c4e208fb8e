"""Creating, reading, changing and deleting one course."""

import asyncio
from datetime import datetime
from uuid import UUID

import pytest

from tests.factories import COURSE, NO_ID, TIME, new_email, refused, refused_for

KEYS = {"id", "title", "description", "difficulty", "created_at", "updated_at"}
DIFFICULTIES = "Difficulty must be one of: Beginner, Intermediate, Advanced"
BAD_URL = ("image_url", "INVALID_FORMAT", "Image URL must be a valid URL")
NO_TITLE = ("title", "REQUIRED", "Title is required")
NO_DESCRIPTION = ("description", "REQUIRED", "Description is required")
NO_DIFFICULTY = ("difficulty", "REQUIRED", DIFFICULTIES)
BAD_DIFFICULTY = ("difficulty", "NOT_ALLOWED", DIFFICULTIES)
LONG_TITLE = ("title", "TOO_LONG", "Title must have at most 255 characters")
PICTURE = "https://images.example.org/react.png"
FAULTS = [
    ({"title": ...}, NO_TITLE),
    ({"title": None}, NO_TITLE),
    ({"title": ""}, NO_TITLE),
    ({"title": "  \t "}, NO_TITLE),
    ({"title": 5}, ("title", "INVALID_TYPE", "Title must be text")),
    ({"title": ["x"]}, ("title", "INVALID_TYPE", "Title must be text")),
    ({"title": "x" * 256}, LONG_TITLE),
    ({"title": "🎓" * 256}, LONG_TITLE),
    ({"title": "a\0b"}, ("title", "INVALID_FORMAT", "The character U+0000 is not allowed")),
    ({"description": ...}, NO_DESCRIPTION),
    ({"description": None}, NO_DESCRIPTION),
    ({"description": ""}, NO_DESCRIPTION),
    ({"description": {}}, ("description", "INVALID_TYPE", "Description must be text")),
    (
        {"description": "x" * 10_001},
        ("description", "TOO_LONG", "Description must have at most 10000 characters"),
    ),
    ({"difficulty": ...}, NO_DIFFICULTY),
    ({"difficulty": None}, NO_DIFFICULTY),
    ({"difficulty": ""}, NO_DIFFICULTY),
    ({"difficulty": "Expert"}, BAD_DIFFICULTY),
    ({"difficulty": "beginner"}, BAD_DIFFICULTY),
    ({"difficulty": 5}, BAD_DIFFICULTY),
    ({"difficulty": ["Beginner"]}, BAD_DIFFICULTY),
    ({"image_url": "ftp://example.org/a.png"}, BAD_URL),
    ({"image_url": "/relative.png"}, BAD_URL),
    ({"image_url": "//example.org/a.png"}, BAD_URL),
    ({"image_url": "example.org/a.png"}, BAD_URL),
    ({"image_url": "javascript:alert(1)"}, BAD_URL),
    ({"image_url": "data:image/png;base64,AAAA"}, BAD_URL),
    ({"image_url": "http://"}, BAD_URL),
    ({"image_url": "https://example.org/a\nb"}, BAD_URL),
    ({"image_url": f"https://example.org/{'x' * 2048}"}, BAD_URL),
    ({"image_url": 5}, BAD_URL),
    ({"price": 5}, ("price", "UNKNOWN_FIELD", "There is no field called 'price'")),
    ({"task_id": NO_ID}, ("task_id", "UNKNOWN_FIELD", "There is no field called 'task_id'")),
]


@pytest.fixture(scope="module")
async def course(api):
    """A course that tests may change."""
    return await api.new_course()


@pytest.fixture(params=["POST", "PUT"])
def write(request, api, course):
    """Sends a course's body by each of the calls that accept one."""
    path = "/courses" if request.param == "POST" else f"/courses/{course['id']}"

    async def write(content):
        return await api.call(request.param, path, json=content)

    return write


def short(value):
    """Shorten the ids of test cases with long texts."""
    return str(value)[:40]


async def test_a_new_course_is_returned_whole(api, client):
    response = await api.call("POST", "/courses", json=COURSE)
    assert response.status_code == 201
    course = response.json()
    assert course.keys() == KEYS
    assert {name: course[name] for name in COURSE} == COURSE
    assert UUID(course["id"]).version == 7
    assert TIME.fullmatch(course["created_at"])
    assert TIME.fullmatch(course["updated_at"])
    assert response.headers["location"] == f"/api/v1/courses/{course['id']}"
    shown = await client.get(response.headers["location"])
    assert (shown.status_code, shown.json()) == (200, course)


@pytest.mark.parametrize(
    "fields",
    [
        {"title": "x" * 255},
        {"title": "🎓" * 255},
        {"title": '<b>Ümläute</b> & "quotes" \'; DROP TABLE courses; -- {braces} %s'},
        {"description": "Two\nlines\tand 日本語"},
        {"description": "x" * 10_000},
        {"difficulty": "Beginner"},
        {"difficulty": "Intermediate"},
        {"image_url": PICTURE},
        {"image_url": "HTTP://LOCALHOST:1/A%20b?x=1&y=%C3%A9#top"},
        {"image_url": f"https://example.org/{'x' * (2048 - 20)}"},
    ],
    ids=short,
)
async def test_fields_are_stored_unchanged(write, client, fields):
    response = await write(COURSE | fields)
    assert response.status_code in {200, 201}, response.text
    shown = (await client.get(f"/api/v1/courses/{response.json()['id']}")).json()
    assert shown == response.json()
    assert {name: shown[name] for name in fields} == fields
    assert shown.keys() == KEYS | fields.keys()


@pytest.mark.parametrize("nothing", [None, ""])
async def test_a_blank_image_url_counts_as_none(write, nothing):
    response = await write(COURSE | {"image_url": nothing})
    assert response.status_code in {200, 201}
    assert response.json().keys() == KEYS


@pytest.mark.parametrize(("changes", "fault"), FAULTS, ids=short)
async def test_an_invalid_field_is_a_400_that_names_it(write, changes, fault):
    content = {name: value for name, value in (COURSE | changes).items() if value is not ...}
    refused_for(await write(content), fault)


async def test_all_invalid_fields_are_named(write):
    refused_for(await write({}), NO_TITLE, NO_DESCRIPTION, NO_DIFFICULTY)
    content = {"title": "x" * 256, "difficulty": "Expert", "image_url": "x", "y": 1, "z": 2}
    refused_for(
        await write(content),
        LONG_TITLE,
        NO_DESCRIPTION,
        BAD_DIFFICULTY,
        BAD_URL,
        ("y", "UNKNOWN_FIELD", "There is no field called 'y'"),
        ("z", "UNKNOWN_FIELD", "There is no field called 'z'"),
    )


async def test_a_refused_change_changes_nothing(api, client):
    course = await api.new_course(image_url=PICTURE)
    path = f"/courses/{course['id']}"
    await api.call("PUT", path, json=COURSE | {"title": "Another", "difficulty": "Expert"})
    assert (await client.get(f"/api/v1{path}")).json() == course


async def test_put_replaces_all_fields(api, client):
    course = await api.new_course(image_url=PICTURE)
    fields = {"title": "Another", "description": "One", "difficulty": "Beginner"}
    response = await api.call("PUT", f"/courses/{course['id']}", json=fields)
    assert response.status_code == 200
    changed = response.json()
    assert {name: changed[name] for name in fields} == fields
    assert "image_url" not in changed
    assert (changed["id"], changed["created_at"]) == (course["id"], course["created_at"])
    assert TIME.fullmatch(changed["updated_at"])
    before, after = (datetime.fromisoformat(one["updated_at"]) for one in (course, changed))
    assert after > before
    assert (await client.get(f"/api/v1/courses/{course['id']}")).json() == changed


async def test_put_of_the_same_fields_changes_only_updated_at(api):
    course = await api.new_course(image_url=PICTURE)
    fields = {name: course[name] for name in (*COURSE, "image_url")}
    changed = (await api.call("PUT", f"/courses/{course['id']}", json=fields)).json()
    assert changed == course | {"updated_at": changed["updated_at"]}


async def test_put_replaces_the_image_url(api):
    course = await api.new_course(image_url=PICTURE)
    other = {"image_url": "https://images.example.org/other.png"}
    changed = (await api.call("PUT", f"/courses/{course['id']}", json=COURSE | other)).json()
    assert changed["image_url"] == other["image_url"]


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
async def test_an_unknown_course_is_404(api, method):
    response = await api.call(method, f"/courses/{NO_ID}", json=COURSE)
    refused(response, 404, "NOT_FOUND", "The requested course does not exist")


async def test_an_id_may_be_upper_case(api, client):
    course = await api.new_course()
    assert (await client.get(f"/api/v1/courses/{course['id'].upper()}")).json() == course


async def test_a_deleted_course_is_no_longer_found(api, client):
    course = await api.new_course()
    path = f"/courses/{course['id']}"
    response = await api.call("DELETE", path)
    assert (response.status_code, response.content) == (204, b"")
    gone = (404, "NOT_FOUND", "The requested course does not exist")
    refused(await client.get(f"/api/v1{path}"), *gone)
    refused(await api.call("DELETE", path), *gone)
    listed = (await client.get("/api/v1/courses")).json()
    assert course["id"] not in {one["id"] for one in listed}


async def test_deleting_a_course_deletes_its_enrollments(api, client):
    course, email = await api.new_course(), new_email()
    enrollment = {"student_email": email, "course_id": course["id"]}
    assert (await client.post("/api/v1/enrollments", json=enrollment)).status_code == 201
    await api.call("DELETE", f"/courses/{course['id']}")
    mine = await client.get(f"/api/v1/students/{email}/enrollments")
    assert mine.json() == {"student_email": email, "enrollments": [], "total": 0}
    found = await api.call("GET", f"/admin/enrollments?course_id={course['id']}")
    assert found.json() == {"enrollments": [], "total": 0}


async def test_of_two_concurrent_deletions_one_is_404(api):
    for _ in range(10):
        path = f"/courses/{(await api.new_course())['id']}"
        responses = await asyncio.gather(*(api.call("DELETE", path) for _ in range(2)))
        assert sorted(response.status_code for response in responses) == [204, 404]


async def test_enrolling_during_the_deletion_of_a_course_leaves_no_enrollment(api, client):
    for _ in range(10):
        course, emails = await api.new_course(), [new_email() for _ in range(4)]
        enrollments = [{"student_email": email, "course_id": course["id"]} for email in emails]
        deleted, *responses = await asyncio.gather(
            api.call("DELETE", f"/courses/{course['id']}"),
            *(client.post("/api/v1/enrollments", json=enrollment) for enrollment in enrollments),
        )
        assert deleted.status_code == 204
        assert {response.status_code for response in responses} <= {201, 400}
        found = await api.call("GET", f"/admin/enrollments?course_id={course['id']}")
        assert found.json()["total"] == 0
