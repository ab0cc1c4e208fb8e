"""The life of a course's image: made, failed, replaced, dropped, deleted with its course."""

import pytest

from infra.settings import Settings
from infra.storage import open_storage
from tests import photos
from tests.factories import COURSE, NO_ID, eventually, refused

ELSEWHERE = "https://images.example.org/react.png"
BROKEN = {"status": "failed", "error": "The image is damaged and can't be decoded"}


@pytest.fixture(scope="module")
def bucket(service):
    """Where the service keeps its objects."""
    return open_storage(Settings(**{name.lower(): text for name, text in service.env.items()}))


async def replace(api, course: dict, data: bytes) -> dict:
    """Send another image; return the answer's course."""
    files = {"image": ("photo.jpg", data)}
    answer = await api.call("PUT", f"/courses/{course['id']}/image", files=files)
    assert answer.status_code == 202, answer.text
    return answer.json()


async def put(api, course: dict, **fields) -> dict:
    """Change a course; return it."""
    answer = await api.call("PUT", f"/courses/{course['id']}", json=COURSE | fields)
    assert answer.status_code == 200, answer.text
    return answer.json()


def urls(course: dict) -> list[str]:
    """Return where the variants are."""
    return [variant["url"] for variant in course["image"]["variants"]]


async def stored(api, addresses: list[str]) -> bool:
    """Tell whether there is an object at each of the addresses."""
    return {(await api.client.get(url)).status_code for url in addresses} == {200}


async def gone(api, addresses: list[str]) -> None:
    """Wait until nothing is at any of the addresses."""

    async def all_gone() -> bool:
        return {(await api.client.get(url)).status_code for url in addresses} == {404}

    await eventually(all_gone)


async def emptied(bucket, course: dict) -> None:
    """Wait until the bucket has no object of the course."""

    async def is_empty() -> bool:
        return not await bucket.list_keys(f"courses/{course['id']}/")

    await eventually(is_empty)


async def ended(api, task_id: str) -> None:
    """Wait until the task is final."""

    async def is_final() -> bool:
        task = (await api.client.get(f"/api/v1/tasks/{task_id}")).json()
        return task["status"] not in {"queued", "running"}

    await eventually(is_final)


async def test_a_truncated_image_fails_and_the_course_stands(api, client, bucket):
    answer = await api.upload(photos.truncated_jpeg())
    assert answer.status_code == 201
    course = await api.settled(answer.json()["id"])
    assert course["image"] == BROKEN
    assert "image_url" not in course
    assert {name: course[name] for name in COURSE} == COURSE
    await emptied(bucket, course)


async def test_another_upload_after_a_failed_one(api):
    course = await api.settled((await api.upload(photos.truncated_jpeg())).json()["id"])
    assert (await replace(api, course, photos.jpeg(640, 480)))["image"]["status"] == "processing"
    assert (await api.settled(course["id"]))["image"]["status"] == "ready"


async def test_a_replaced_image_is_shown_until_the_other_is_ready(api, client, bucket):
    course = await api.pictured(photos.jpeg())
    old = urls(course)
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
    await gone(api, old)
    assert await stored(api, urls(now))
    assert len(await bucket.list_keys(f"courses/{course['id']}/")) == 3


async def test_a_broken_replacement_leaves_the_old_image(api):
    course = await api.pictured(photos.jpeg(640, 480))
    await replace(api, course, photos.truncated_jpeg())
    now = await api.settled(course["id"])
    assert now["image"] == BROKEN
    assert now["image_url"] == course["image_url"]
    assert await stored(api, urls(course))


async def test_of_several_replacements_the_last_one_stays(api, bucket):
    course = await api.pictured(photos.jpeg(640, 480))
    widths = (700, 800, 900)
    answers = [await replace(api, course, photos.jpeg(width, 600)) for width in widths]
    for answer in answers:
        await ended(api, answer["image"]["task_id"])
    now = await api.settled(course["id"])
    assert [variant["width"] for variant in now["image"]["variants"]] == [900, 640, 320]

    async def is_tidy() -> bool:
        return len(await bucket.list_keys(f"courses/{course['id']}/")) == 3

    await eventually(is_tidy)
    assert await stored(api, urls(now))


async def test_an_image_replaces_a_foreign_image_url(api):
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
    assert await stored(api, urls(course))


async def test_put_of_another_image_url_replaces_the_uploaded_image(api, bucket):
    course = await api.pictured(photos.jpeg(640, 480))
    changed = await put(api, course, image_url=ELSEWHERE)
    assert changed["image_url"] == ELSEWHERE
    assert "image" not in changed
    await gone(api, urls(course))
    await emptied(bucket, course)


async def test_put_while_an_image_is_processed_keeps_it_in_the_making(api):
    course = (await api.upload(photos.jpeg(1600, 1200))).json()
    changed = await put(api, course, title="Changed")
    assert changed["image"]["status"] in {"processing", "ready"}
    now = await api.settled(course["id"])
    assert (now["title"], now["image"]["status"]) == ("Changed", "ready")


async def test_put_of_an_image_url_stops_an_image_in_the_making(api, client, bucket):
    course = (await api.upload(photos.jpeg())).json()
    changed = await put(api, course, image_url=ELSEWHERE)
    await ended(api, course["image"]["task_id"])
    assert changed["image_url"] == ELSEWHERE
    assert (await client.get(f"/api/v1/courses/{course['id']}")).json() == changed
    await emptied(bucket, course)


async def test_a_deleted_course_takes_its_objects_along(api, bucket):
    course = await api.pictured(photos.jpeg())
    assert await stored(api, urls(course))
    assert (await api.call("DELETE", f"/courses/{course['id']}")).status_code == 204
    await gone(api, urls(course))
    await emptied(bucket, course)


@pytest.mark.parametrize("moment", ["at once", "running", "stored"])
async def test_a_course_deleted_while_its_image_is_processed_leaves_nothing(api, bucket, moment):
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
        await ended(api, course["image"]["task_id"])
        await emptied(bucket, course)


async def test_an_image_for_a_course_that_is_not_there(api):
    files = {"image": ("photo.jpg", photos.jpeg())}
    answer = await api.call("PUT", f"/courses/{NO_ID}/image", files=files)
    refused(answer, 404, "NOT_FOUND", "The requested course does not exist")
