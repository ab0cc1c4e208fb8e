"""Conditional writes of a course: entity tags, If-Match, merge patches."""

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
    """Calls the API as the admin, with additional headers."""

    async def send(method, path, **request):
        headers = api.headers | request.pop("headers", {})
        return await client.request(method, path, headers=headers, **request)

    return send


async def current_tag(client, path):
    """Return the entity tag that readers see; it is the same from the database and from memory."""
    responses = [await client.get(path) for _ in range(3)]
    responses.append(await client.get(f"{path}?made=anew"))
    (tag,) = {response.headers["etag"] for response in responses}
    return tag


def conditional_writes(path):
    """Yield each write of a course that If-Match guards."""
    image = {"files": {"image": ("a.jpg", photos.jpeg(30, 20))}}
    yield "PUT", path, {"json": COURSE}
    yield "PATCH", path, {"json": {"title": "Patched"}}
    yield "PUT", f"{path}/image", image
    yield "DELETE", f"{path}/image", {}
    yield "DELETE", path, {}


async def test_a_write_returns_the_bytes_and_tag_that_readers_get(send, client):
    path = "/api/v1/courses"
    for method, content in (
        ("POST", COURSE),
        ("PUT", COURSE | {"image_url": PICTURE}),
        ("PATCH", {"title": "Ünïcode / ☃"}),
    ):
        response = await send(method, path, json=content)
        path = response.headers.get("location", path)
        shown = await client.get(path)
        assert (response.content, response.headers["etag"]) == (
            shown.content,
            shown.headers["etag"],
        )
        assert await current_tag(client, path) == response.headers["etag"]
        unchanged = {"If-None-Match": response.headers["etag"]}
        assert (await client.get(path, headers=unchanged)).status_code == 304


async def test_an_upload_returns_a_tag(api, send, client):
    created = await api.upload(photos.jpeg(40, 30))
    path = created.headers["location"]
    assert created.headers["etag"]
    replaced = await send("PUT", f"{path}/image", files={"image": ("a.jpg", photos.jpeg(9, 9))})
    assert (replaced.status_code, replaced.headers["etag"][0]) == (202, '"')
    ready = await api.settled(created.json()["id"])
    again = await send(
        "PUT", path, json=ready, headers={"If-Match": await current_tag(client, path)}
    )
    assert again.status_code == 200
    assert again.json()["image"] == ready["image"]


@pytest.mark.parametrize("given", [OTHER, f"W/{OTHER}", f"{OTHER}, {OTHER}", "weak", "", "W/{tag}"])
async def test_a_write_with_another_version_is_412_and_changes_nothing(api, send, client, given):
    course = await api.new_course()
    path = course_path(course)
    tag = await current_tag(client, path)
    for method, target, request in conditional_writes(path):
        headers = {"If-Match": given.format(tag=tag)}
        refused(await send(method, target, headers=headers, **request), *CHANGED)
        assert (await client.get(path)).json() == course


@pytest.mark.parametrize("given", ["*", "{tag}", f"{OTHER}, {{tag}}", f"W/{OTHER} ,, {{tag}}"])
async def test_a_write_with_the_current_version_succeeds(api, send, client, given):
    path = course_path(await api.new_course(image_url=PICTURE))
    for method, target, request in conditional_writes(path):
        headers = {"If-Match": given.format(tag=await current_tag(client, path))}
        response = await send(method, target, headers=headers, **request)
        assert response.is_success, (method, target, response.text)
        if method == "PUT" and target.endswith("/image"):
            await api.settled(response.json()["id"])


async def test_several_if_match_lines_are_one_list(api, client):
    path = course_path(await api.new_course())
    tag = await current_tag(client, path)
    lines = [*api.headers.items(), ("If-Match", OTHER), ("If-Match", tag)]
    assert (await client.put(path, json=COURSE, headers=lines)).status_code == 200


async def test_if_match_on_an_unknown_course_is_404(send):
    for method, target, request in conditional_writes(f"/api/v1/courses/{NO_ID}"):
        response = await send(method, target, headers={"If-Match": "*"}, **request)
        refused(response, 404, "NOT_FOUND", "The requested course does not exist")


async def test_of_concurrent_writes_of_one_version_one_succeeds(service, api, client):
    limits = httpx.Limits(max_keepalive_connections=0)
    async with httpx.AsyncClient(base_url=service.base_url, timeout=30, limits=limits) as many:
        course = await api.new_course()
        path = course_path(course)
        for number in range(ROUNDS):
            headers = api.headers | {"If-Match": await current_tag(client, path)}
            bodies = [{"title": f"{number} by {one}"} for one in range(6)]
            responses = await asyncio.gather(
                *(many.put(path, json=COURSE | body, headers=headers) for body in bodies[:3]),
                *(many.patch(path, json=body, headers=headers) for body in bodies[3:]),
            )
            assert sorted(response.status_code for response in responses) == [200] + 5 * [412]
            (done,) = [response for response in responses if response.status_code == 200]
            assert (await client.get(path)).content == done.content


async def test_conditional_edits_lose_no_update(service, api):
    """Several clients count up in the title; without If-Match most steps would be lost."""
    path = course_path(await api.new_course(title="0"))

    async def add(times):
        async with httpx.AsyncClient(base_url=service.base_url, timeout=30) as one:
            done = 0
            while done < times:
                shown = await one.get(path)
                headers = api.headers | {"If-Match": shown.headers["etag"]}
                title = str(int(shown.json()["title"]) + 1)
                response = await one.patch(path, json={"title": title}, headers=headers)
                assert response.status_code in {200, 412}
                done += response.status_code == 200

    await asyncio.gather(*(add(ROUNDS // 2) for _ in range(4)))
    shown = await api.client.get(path)
    assert shown.json()["title"] == str(4 * (ROUNDS // 2))


@pytest.mark.parametrize("media_type", [MERGE_PATCH, "application/json", None])
async def test_a_patch_changes_only_its_fields(api, send, client, media_type):
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
        response = await client.patch(
            path, content=httpx.Request("PATCH", "/", json=changes).content,
            headers=api.headers | headers,
        )  # fmt: skip
        assert response.status_code == 200, response.text
        wanted = {name: text.strip() for name, text in changes.items()}
        course |= wanted | {"updated_at": response.json()["updated_at"]}
        assert response.json() == course
        assert (await client.get(path)).json() == course


@pytest.mark.parametrize("nothing", [None, ""])
async def test_a_patch_with_null_removes_the_image_url(api, send, client, nothing):
    path = course_path(await api.new_course(image_url=PICTURE))
    response = await send("PATCH", path, json={"image_url": nothing})
    assert "image_url" not in response.json()
    assert (await client.get(path)).content == response.content


REQUIRED = {
    "title": "Title is required",
    "description": "Description is required",
    "difficulty": "Difficulty must be one of: Beginner, Intermediate, Advanced",
}


@pytest.mark.parametrize("field", REQUIRED)
@pytest.mark.parametrize("nothing", [None, ""])
async def test_a_patch_cannot_remove_a_required_field(api, send, client, field, nothing):
    course = await api.new_course()
    response = await send("PATCH", course_path(course), json={field: nothing, "image_url": PICTURE})
    refused_for(response, (field, "REQUIRED", REQUIRED[field]))
    assert (await client.get(course_path(course))).json() == course


async def test_a_patch_is_validated_like_a_course(api, send):
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


async def test_put_accepts_a_course_as_it_was_read(api, send):
    course = await api.pictured(photos.jpeg(64, 48))
    for method in ("PUT", "PATCH"):
        response = await send(method, course_path(course), json=course | {"title": method})
        times = {"updated_at": response.json()["updated_at"]}
        assert response.json() == course | {"title": method} | times
        response = await send(method, course_path(course), json=course | READ_ONLY)
        assert response.json() == course | {"updated_at": response.json()["updated_at"]}


async def test_a_new_course_refuses_read_only_fields(send):
    response = await send("POST", "/api/v1/courses", json=COURSE | {"id": NO_ID})
    refused_for(response, ("id", "UNKNOWN_FIELD", "There is no field called 'id'"))


async def object_statuses(client, course):
    """Return the HTTP statuses of a course's image files."""
    urls = [variant["url"] for variant in course["image"]["variants"]]
    return {(await client.get(url)).status_code for url in urls}


async def has_no_image(client, course):
    shown = (await client.get(course_path(course))).json()
    listed = (await client.get("/api/v1/courses", params={"search": course["title"]})).json()
    assert {"image", "image_url"}.isdisjoint(shown)
    assert shown in listed["data"]
    assert shown["updated_at"] > course["updated_at"]

    async def are_gone():
        return await object_statuses(client, course) == {404}

    if "variants" in course.get("image", {}):
        await eventually(are_gone)


async def test_deleting_the_image_deletes_its_files(api, send, client):
    course = await api.pictured(photos.jpeg(64, 48))
    assert await object_statuses(client, course) == {200}
    response = await send("DELETE", f"{course_path(course)}/image")
    assert (response.status_code, response.content) == (204, b"")
    await has_no_image(client, course)
    # Deleting again is no error.
    assert (await send("DELETE", f"{course_path(course)}/image")).status_code == 204


async def test_a_patch_with_null_removes_an_uploaded_image(api, send, client):
    course = await api.pictured(photos.jpeg(64, 48))
    response = await send("PATCH", course_path(course), json={"image_url": None})
    assert {"image", "image_url"}.isdisjoint(response.json())
    await has_no_image(client, course)


async def test_a_processing_or_external_image_can_be_deleted(api, send, client):
    for course in (
        (await api.upload(photos.jpeg(2000, 1500))).json(),
        await api.new_course(image_url=PICTURE),
    ):
        assert (await send("DELETE", f"{course_path(course)}/image")).status_code == 204
        await asyncio.sleep(0.5)
        await has_no_image(client, course)


async def test_an_enrollment_has_a_location(api, client):
    course, email = await api.new_course(), f"o'brien+1.{new_email()}"
    enrollment = {"student_email": email, "course_id": course["id"]}
    response = await client.post("/api/v1/enrollments", json=enrollment)
    there = await client.get(response.headers["location"])
    assert there.json()["enrollments"] == [response.json()]
    for headers in (api.headers, {"Idempotency-Key": email}):
        enrollment["student_email"] = new_email()
        # A replay returns the first response.
        for _ in range(2 if "Idempotency-Key" in headers else 1):
            response = await client.post("/api/v1/enrollments", json=enrollment, headers=headers)
            there = await client.get(response.headers["location"])
            assert there.json()["enrollments"] == [response.json()]
