"""A course's image: ready, failed, replaced, removed, deleted with its course."""

import pytest

from infra.settings import Settings
from infra.storage import open_storage
from tests import photos
from tests.factories import COURSE, NO_ID, eventually, refused

ELSEWHERE = "https://images.example.org/react.png"
BROKEN = {"status": "failed", "error": "The image is damaged and can't be decoded"}


@pytest.fixture(scope="module")
def bucket(service):
    """The service's bucket."""
    return open_storage(Settings(**{name.lower(): text for name, text in service.env.items()}))


async def replace(api, course: dict, data: bytes) -> dict:
    """Send another image; return the course of the response."""
    files = {"image": ("photo.jpg", data)}
    response = await api.call("PUT", f"/courses/{course['id']}/image", files=files)
    assert response.status_code == 202, response.text
    return response.json()


async def put(api, course: dict, **fields) -> dict:
    """Change a course and return it."""
    response = await api.call("PUT", f"/courses/{course['id']}", json=COURSE | fields)
    assert response.status_code == 200, response.text
    return response.json()


def variant_urls(course: dict) -> list[str]:
    """Return where the variants are."""
    return [variant["url"] for variant in course["image"]["variants"]]


async def are_stored(api, addresses: list[str]) -> bool:
    """Return whether an object exists at each URL."""
    return {(await api.client.get(url)).status_code for url in addresses} == {200}


async def until_deleted(api, addresses: list[str]) -> None:
    """Wait until no object exists at any URL."""

    async def all_gone() -> bool:
        return {(await api.client.get(url)).status_code for url in addresses} == {404}

    await eventually(all_gone)


async def until_tidy(bucket, course: dict) -> None:
    """Wait until the bucket has three objects of the course; the API hides removed ones before."""

    async def is_tidy() -> bool:
        return len(await bucket.list_keys(f"courses/{course['id']}/")) == 3

    await eventually(is_tidy)


async def until_empty(bucket, course: dict) -> None:
    """Wait until the bucket has no object of the course."""

    async def is_empty() -> bool:
        return not await bucket.list_keys(f"courses/{course['id']}/")

    await eventually(is_empty)


async def until_final(api, task_id: str) -> None:
    """Wait until the task has ended and return it."""

    async def is_final() -> bool:
        task = (await api.client.get(f"/api/v1/tasks/{task_id}")).json()
        return task["status"] not in {"queued", "running"}

    await eventually(is_final)


async def test_a_truncated_image_fails_and_keeps_the_course(api, client, bucket):
    response = await api.upload(photos.truncated_jpeg())
    assert response.status_code == 201
    course = await api.settled(response.json()["id"])
    assert course["image"] == BROKEN
    assert "image_url" not in course
    assert {name: course[name] for name in COURSE} == COURSE
    await until_empty(bucket, course)


async def test_another_upload_after_a_failed_one_succeeds(api):
    course = await api.settled((await api.upload(photos.truncated_jpeg())).json()["id"])
    assert (await replace(api, course, photos.jpeg(640, 480)))["image"]["status"] == "processing"
    assert (await api.settled(course["id"]))["image"]["status"] == "ready"


async def test_the_old_image_is_shown_until_its_replacement_is_ready(api, client, bucket):
    course = await api.pictured(photos.jpeg())
    old = variant_urls(course)
    answered = await replace(api, course, photos.webp())
    assert answered["image_url"] == course["image_url"]
    assert answered["image"].keys() == {"status", "task_id"}
    assert answered["image"]["status"] == "processing"
    shown = []

    async def is_ready() -> bool:
        now = (await client.get(f"/api/v1/courses/{course['id']}")).json()
        shown.append((now["image"]["status"], now["image_url"]))
        return now["image"]["status"] == "ready"

    await eventually(is_ready)
    now = await api.settled(course["id"])
    assert {state for state, url in shown if url == course["image_url"]} <= {"processing"}
    assert {url for _, url in shown} <= {course["image_url"], now["image_url"]}
    assert [variant["width"] for variant in now["image"]["variants"]] == [900, 640, 320]
    await until_deleted(api, old)
    assert await are_stored(api, variant_urls(now))
    await until_tidy(bucket, course)


async def test_a_broken_replacement_keeps_the_old_image(api):
    course = await api.pictured(photos.jpeg(640, 480))
    await replace(api, course, photos.truncated_jpeg())
    now = await api.settled(course["id"])
    assert now["image"] == BROKEN
    assert now["image_url"] == course["image_url"]
    assert await are_stored(api, variant_urls(course))


async def test_of_several_replacements_the_last_one_stays(api, bucket):
    course = await api.pictured(photos.jpeg(640, 480))
    widths = (700, 800, 900)
    responses = [await replace(api, course, photos.jpeg(width, 600)) for width in widths]
    for response in responses:
        await until_final(api, response["image"]["task_id"])
    now = await api.settled(course["id"])
    assert [variant["width"] for variant in now["image"]["variants"]] == [900, 640, 320]
    await until_tidy(bucket, course)
    assert await are_stored(api, variant_urls(now))


async def test_an_uploaded_image_replaces_an_external_image_url(api):
    course = await api.new_course(image_url=ELSEWHERE)
    answered = await replace(api, course, photos.jpeg(640, 480))
    assert answered["image_url"] == ELSEWHERE
    now = await api.settled(course["id"])
    assert now["image_url"] == now["image"]["variants"][0]["url"] != ELSEWHERE


@pytest.mark.parametrize("given", ["the same", "none"])
async def test_put_keeps_the_uploaded_image(api, given):
    course = await api.pictured(photos.jpeg(640, 480))
    fields = {"image_url": course["image_url"]} if given == "the same" else {}
    changed = await put(api, course, title="Changed", **fields)
    assert (changed["title"], changed["image"]) == ("Changed", course["image"])
    assert changed["image_url"] == course["image_url"]
    assert await are_stored(api, variant_urls(course))


async def test_put_of_another_image_url_replaces_the_uploaded_image(api, bucket):
    course = await api.pictured(photos.jpeg(640, 480))
    changed = await put(api, course, image_url=ELSEWHERE)
    assert changed["image_url"] == ELSEWHERE
    assert "image" not in changed
    await until_deleted(api, variant_urls(course))
    await until_empty(bucket, course)


async def test_put_during_processing_keeps_the_image(api):
    course = (await api.upload(photos.jpeg(1600, 1200))).json()
    changed = await put(api, course, title="Changed")
    assert changed["image"]["status"] in {"processing", "ready"}
    now = await api.settled(course["id"])
    assert (now["title"], now["image"]["status"]) == ("Changed", "ready")


async def test_put_of_an_image_url_cancels_the_processing(api, client, bucket):
    course = (await api.upload(photos.jpeg())).json()
    changed = await put(api, course, image_url=ELSEWHERE)
    await until_final(api, course["image"]["task_id"])
    assert changed["image_url"] == ELSEWHERE
    assert (await client.get(f"/api/v1/courses/{course['id']}")).json() == changed
    await until_empty(bucket, course)


async def test_deleting_a_course_deletes_its_objects(api, bucket):
    course = await api.pictured(photos.jpeg())
    assert await are_stored(api, variant_urls(course))
    assert (await api.call("DELETE", f"/courses/{course['id']}")).status_code == 204
    await until_deleted(api, variant_urls(course))
    await until_empty(bucket, course)


@pytest.mark.parametrize("moment", ["at once", "running", "stored"])
async def test_deleting_a_course_during_processing_leaves_no_object(api, bucket, moment):
    courses = [(await api.upload(photos.jpeg())).json() for _ in range(3)]
    first, prefix = courses[0]["image"]["task_id"], f"courses/{courses[0]['id']}/"

    async def has_come() -> bool:
        if moment == "stored":
            return bool(await bucket.list_keys(prefix))
        task = (await api.client.get(f"/api/v1/tasks/{first}")).json()
        return moment == "at once" or task["status"] != "queued"

    await eventually(has_come)
    for course in courses:
        assert (await api.call("DELETE", f"/courses/{course['id']}")).status_code == 204
    for course in courses:
        await until_final(api, course["image"]["task_id"])
        await until_empty(bucket, course)


async def test_an_image_for_an_unknown_course_is_404(api):
    files = {"image": ("photo.jpg", photos.jpeg())}
    response = await api.call("PUT", f"/courses/{NO_ID}/image", files=files)
    refused(response, 404, "NOT_FOUND", "The requested course does not exist")
