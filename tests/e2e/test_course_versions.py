"""Changes of a course that another change must not get lost by: tags, conditions, merge patches."""

import asyncio
import os

import httpx
import pytest

from tests import photos
from tests.factories import COURSE, NO_ID, eventually, new_email, refused, refused_for

CHANGED = (
    412,
    "PRECONDITION_FAILED",
    "The course is not the version that If-Match names; read it again",
)
PICTURE = "https://images.example.org/react.png"
OTHER = '"0123456789abcdef0123456789abcdef"'
ROUNDS = int(os.environ.get("RACE_ROUNDS", "10"))
MERGE_PATCH = "application/merge-patch+json"
READ_ONLY = {"id": NO_ID, "image": {"status": "ready"}, "created_at": 5, "updated_at": None}


def course_path(course):
    return f"/api/v1/courses/{course['id']}"


@pytest.fixture
def send(api, client):
    """Call as the admin, with more headers."""

    async def send(method, path, **request):
        headers = api.headers | request.pop("headers", {})
        return await client.request(method, path, headers=headers, **request)

    return send


async def shown_tag(client, path):
    """Return the tag that readers see, which is the same made anew and from memory."""
    answers = [await client.get(path) for _ in range(3)]
    answers.append(await client.get(f"{path}?made=anew"))
    (tag,) = {answer.headers["etag"] for answer in answers}
    return tag


def writes(path):
    """Yield each write of a course that a condition guards."""
    image = {"files": {"image": ("a.jpg", photos.jpeg(30, 20))}}
    yield "PUT", path, {"json": COURSE}
    yield "PATCH", path, {"json": {"title": "Patched"}}
    yield "PUT", f"{path}/image", image
    yield "DELETE", f"{path}/image", {}
    yield "DELETE", path, {}


async def test_a_write_is_answered_with_the_bytes_and_the_tag_that_readers_get(send, client):
    path = "/api/v1/courses"
    for method, content in (
        ("POST", COURSE),
        ("PUT", COURSE | {"image_url": PICTURE}),
        ("PATCH", {"title": "Ünïcode / ☃"}),
    ):
        answer = await send(method, path, json=content)
        path = answer.headers.get("location", path)
        shown = await client.get(path)
        assert (answer.content, answer.headers["etag"]) == (shown.content, shown.headers["etag"])
        assert await shown_tag(client, path) == answer.headers["etag"]
        unchanged = {"If-None-Match": answer.headers["etag"]}
        assert (await client.get(path, headers=unchanged)).status_code == 304


async def test_an_upload_is_answered_with_a_tag_too(api, send, client):
    created = await api.upload(photos.jpeg(40, 30))
    path = created.headers["location"]
    assert created.headers["etag"]
    replaced = await send("PUT", f"{path}/image", files={"image": ("a.jpg", photos.jpeg(9, 9))})
    assert (replaced.status_code, replaced.headers["etag"][0]) == (202, '"')
    ready = await api.settled(created.json()["id"])
    again = await send("PUT", path, json=ready, headers={"If-Match": await shown_tag(client, path)})
    assert again.status_code == 200
    assert again.json()["image"] == ready["image"]


@pytest.mark.parametrize("given", [OTHER, f"W/{OTHER}", f"{OTHER}, {OTHER}", "weak", "", "W/{tag}"])
async def test_a_write_of_another_version_changes_nothing(api, send, client, given):
    course = await api.new_course()
    path = course_path(course)
    tag = await shown_tag(client, path)
    for method, target, request in writes(path):
        headers = {"If-Match": given.format(tag=tag)}
        refused(await send(method, target, headers=headers, **request), *CHANGED)
        assert (await client.get(path)).json() == course


@pytest.mark.parametrize("given", ["*", "{tag}", f"{OTHER}, {{tag}}", f"W/{OTHER} ,, {{tag}}"])
async def test_a_write_of_this_version_is_done(api, send, client, given):
    path = course_path(await api.new_course(image_url=PICTURE))
    for method, target, request in writes(path):
        headers = {"If-Match": given.format(tag=await shown_tag(client, path))}
        answer = await send(method, target, headers=headers, **request)
        assert answer.is_success, (method, target, answer.text)
        if method == "PUT" and target.endswith("/image"):
            await api.settled(answer.json()["id"])


async def test_tags_on_several_lines_are_one_list(api, client):
    path = course_path(await api.new_course())
    tag = await shown_tag(client, path)
    lines = [*api.headers.items(), ("If-Match", OTHER), ("If-Match", tag)]
    assert (await client.put(path, json=COURSE, headers=lines)).status_code == 200


async def test_a_condition_on_what_is_not_there_is_404(send):
    for method, target, request in writes(f"/api/v1/courses/{NO_ID}"):
        answer = await send(method, target, headers={"If-Match": "*"}, **request)
        refused(answer, 404, "NOT_FOUND", "The requested course does not exist")


async def test_of_many_writes_of_one_version_one_is_done(service, api, client):
    limits = httpx.Limits(max_keepalive_connections=0)
    async with httpx.AsyncClient(base_url=service.base_url, timeout=30, limits=limits) as many:
        course = await api.new_course()
        path = course_path(course)
        for number in range(ROUNDS):
            headers = api.headers | {"If-Match": await shown_tag(client, path)}
            bodies = [{"title": f"{number} by {one}"} for one in range(6)]
            answers = await asyncio.gather(
                *(many.put(path, json=COURSE | body, headers=headers) for body in bodies[:3]),
                *(many.patch(path, json=body, headers=headers) for body in bodies[3:]),
            )
            assert sorted(answer.status_code for answer in answers) == [200] + 5 * [412]
            (done,) = [answer for answer in answers if answer.status_code == 200]
            assert (await client.get(path)).content == done.content


async def test_edits_that_read_and_write_again_lose_nothing(service, api):
    """Count up in the title from many sides; without the condition most steps would be lost."""
    path = course_path(await api.new_course(title="0"))

    async def add(times):
        async with httpx.AsyncClient(base_url=service.base_url, timeout=30) as one:
            done = 0
            while done < times:
                shown = await one.get(path)
                headers = api.headers | {"If-Match": shown.headers["etag"]}
                title = str(int(shown.json()["title"]) + 1)
                answer = await one.patch(path, json={"title": title}, headers=headers)
                assert answer.status_code in {200, 412}
                done += answer.status_code == 200

    await asyncio.gather(*(add(ROUNDS // 2) for _ in range(4)))
    shown = await api.client.get(path)
    assert shown.json()["title"] == str(4 * (ROUNDS // 2))


@pytest.mark.parametrize("media_type", [MERGE_PATCH, "application/json", None])
async def test_a_patch_changes_what_it_has(api, send, client, media_type):
    course = await api.new_course(image_url=PICTURE)
    path = course_path(course)
    headers = {} if media_type is None else {"Content-Type": media_type}
    for changes in (
        {"title": "Another"},
        {"description": "Two\nlines"},
        {"difficulty": "Beginner", "title": " trimmed "},
        {"image_url": "https://images.example.org/other.png"},
        {},
    ):
        answer = await client.patch(
            path, content=httpx.Request("PATCH", "/", json=changes).content,
            headers=api.headers | headers,
        )  # fmt: skip
        assert answer.status_code == 200, answer.text
        wanted = {name: text.strip() for name, text in changes.items()}
        course |= wanted | {"updated_at": answer.json()["updated_at"]}
        assert answer.json() == course
        assert (await client.get(path)).json() == course


@pytest.mark.parametrize("nothing", [None, ""])
async def test_a_patch_removes_the_image_url(api, send, client, nothing):
    path = course_path(await api.new_course(image_url=PICTURE))
    answer = await send("PATCH", path, json={"image_url": nothing})
    assert "image_url" not in answer.json()
    assert (await client.get(path)).content == answer.content


REQUIRED = {
    "title": "Title is required",
    "description": "Description is required",
    "difficulty": "Difficulty must be one of: Beginner, Intermediate, Advanced",
}


@pytest.mark.parametrize("field", REQUIRED)
@pytest.mark.parametrize("nothing", [None, ""])
async def test_a_patch_removes_nothing_that_is_required(api, send, client, field, nothing):
    course = await api.new_course()
    answer = await send("PATCH", course_path(course), json={field: nothing, "image_url": PICTURE})
    refused_for(answer, (field, "REQUIRED", REQUIRED[field]))
    assert (await client.get(course_path(course))).json() == course


async def test_a_patch_is_checked_as_a_course_is(api, send):
    path = course_path(await api.new_course())
    changes = {"title": "x" * 256, "difficulty": "Expert", "image_url": "x", "price": 5}
    difficulties = "Difficulty must be one of: Beginner, Intermediate, Advanced"
    refused_for(
        await send("PATCH", path, json=changes),
        ("title", "TOO_LONG", "Title must have at most 255 characters"),
        ("difficulty", "NOT_ALLOWED", difficulties),
        ("image_url", "INVALID_FORMAT", "Image URL must be a valid URL"),
        ("price", "UNKNOWN_FIELD", "There is no field called 'price'"),
    )
    refused(
        await send("PATCH", path, json=[{"op": "remove", "path": "/title"}]),
        *(400, "MALFORMED_JSON", "The request body must be a JSON object", "body"),
    )


async def test_a_course_that_was_read_is_sent_back_whole(api, send):
    course = await api.pictured(photos.jpeg(64, 48))
    for method in ("PUT", "PATCH"):
        answer = await send(method, course_path(course), json=course | {"title": method})
        times = {"updated_at": answer.json()["updated_at"]}
        assert answer.json() == course | {"title": method} | times
        answer = await send(method, course_path(course), json=course | READ_ONLY)
        assert answer.json() == course | {"updated_at": answer.json()["updated_at"]}


async def test_a_new_course_has_no_fields_of_one_that_was_read(send):
    answer = await send("POST", "/api/v1/courses", json=COURSE | {"id": NO_ID})
    refused_for(answer, ("id", "UNKNOWN_FIELD", "There is no field called 'id'"))


async def objects_of(client, course):
    """Return the statuses of a course's image files."""
    urls = [variant["url"] for variant in course["image"]["variants"]]
    return {(await client.get(url)).status_code for url in urls}


async def is_without_image(client, course):
    shown = (await client.get(course_path(course))).json()
    listed = (await client.get("/api/v1/courses", params={"search": course["title"]})).json()
    assert {"image", "image_url"}.isdisjoint(shown)
    assert shown in listed["data"]
    assert shown["updated_at"] > course["updated_at"]

    async def are_gone():
        return await objects_of(client, course) == {404}

    if "variants" in course.get("image", {}):
        await eventually(are_gone)


async def test_a_deleted_image_is_gone_with_its_files(api, send, client):
    course = await api.pictured(photos.jpeg(64, 48))
    assert await objects_of(client, course) == {200}
    answer = await send("DELETE", f"{course_path(course)}/image")
    assert (answer.status_code, answer.content) == (204, b"")
    await is_without_image(client, course)
    # Of a course without one it is no fault.
    assert (await send("DELETE", f"{course_path(course)}/image")).status_code == 204


async def test_a_patch_with_null_removes_an_uploaded_image(api, send, client):
    course = await api.pictured(photos.jpeg(64, 48))
    answer = await send("PATCH", course_path(course), json={"image_url": None})
    assert {"image", "image_url"}.isdisjoint(answer.json())
    await is_without_image(client, course)


async def test_an_image_in_processing_or_elsewhere_is_deleted(api, send, client):
    for course in (
        (await api.upload(photos.jpeg(2000, 1500))).json(),
        await api.new_course(image_url=PICTURE),
    ):
        assert (await send("DELETE", f"{course_path(course)}/image")).status_code == 204
        await asyncio.sleep(0.5)
        await is_without_image(client, course)


async def test_an_enrollment_says_where_it_is(api, client):
    course, email = await api.new_course(), f"o'brien+1.{new_email()}"
    seat = {"student_email": email, "course_id": course["id"]}
    answer = await client.post("/api/v1/enrollments", json=seat)
    there = await client.get(answer.headers["location"])
    assert there.json()["enrollments"] == [answer.json()]
    for headers in (api.headers, {"Idempotency-Key": email}):
        seat["student_email"] = new_email()
        # The second answer to a key is the first one's.
        for _ in range(2 if "Idempotency-Key" in headers else 1):
            answer = await client.post("/api/v1/enrollments", json=seat, headers=headers)
            there = await client.get(answer.headers["location"])
            assert there.json()["enrollments"] == [answer.json()]
