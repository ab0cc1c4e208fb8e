"""What clients see of the cache: validators, and that nothing is ever served that is past."""

import asyncio
import re

import asyncpg
import httpx
import pytest
from redis.asyncio import Redis
from uuid_utils.compat import uuid7

from api.schemas.responses import CourseOut, CoursePageOut
from tests import photos
from tests.factories import COURSE, eventually, refused, scrape
from tests.instances import instance

LIST = "/api/v1/courses"


async def _metric(client, name: str) -> float:
    """Return a counter's sum over its labels."""
    text = await scrape(client)
    found = re.findall(rf"^{name}(?:{{[^}}]*}})? ([0-9.e+]+)$", text, re.MULTILINE)
    assert found, name
    return sum(float(each) for each in found)


async def _made(client, *by: str) -> list[str]:
    """Return how many responses the database, or the named tiers, have given."""
    await asyncio.sleep(0.3)  # each process looks at its cache by then
    text = await scrape(client)
    names = "|".join(by or ["database"])
    return re.findall(rf'cache_requests_total\{{tier="(?:{names})"\}} (\S+)', text)


async def _fetched(client) -> float:
    """Return how many answers came from elsewhere than memory."""
    return sum(map(float, await _made(client, "redis", "database")))


@pytest.mark.parametrize("target", [LIST, f"{LIST}?page=1", f"{LIST}?search=React", "course"])
async def test_whoever_has_it_is_told_so_without_a_body(api, client, target):
    course = await api.new_course()
    path = f"{LIST}/{course['id']}" if target == "course" else target
    answer = await client.get(path)
    tag = answer.headers["etag"]
    assert re.fullmatch(r'"[0-9a-f]{32}"', tag)
    assert answer.headers["cache-control"] == "no-cache"
    gzipped = f'{tag[:-1]}-gzip"'
    ways = (tag, f"W/{tag}", f'"other", {tag}', "*", f'"a",{tag} ,"b"', gzipped, f"W/{gzipped}")
    for given in ways:
        same = await client.get(path, headers={"If-None-Match": given})
        assert (same.status_code, same.content) == (304, b""), given
        assert same.headers["etag"] == tag
        assert same.headers["cache-control"] == "no-cache"
    for given in ('"other"', tag.strip('"'), f'"x{tag[1:]}', ""):
        whole = await client.get(path, headers={"If-None-Match": given})
        assert (whole.status_code, whole.content) == (200, answer.content), given
    lines = [("If-None-Match", '"other"'), ("If-None-Match", tag)]
    assert (await client.get(path, headers=lines)).status_code == 304


async def test_a_change_changes_the_tag(api, client):
    course = await api.new_course()
    path = f"{LIST}/{course['id']}"
    before = (await client.get(path)).headers["etag"]
    await api.call("PUT", f"/courses/{course['id']}", json=COURSE | {"title": "Another"})
    answer = await client.get(path, headers={"If-None-Match": before})
    assert (answer.status_code, answer.json()["title"]) == (200, "Another")
    assert answer.headers["etag"] != before


@pytest.mark.parametrize("target", [LIST, f"{LIST}?limit=2"])
async def test_head_is_get_without_the_body(api, client, target):
    await api.new_course()
    whole, head = await client.get(target), await client.head(target)
    assert (head.status_code, head.content) == (200, b"")
    for name in ("etag", "content-length", "content-type", "cache-control"):
        assert head.headers[name] == whole.headers[name], name
    same = await client.head(target, headers={"If-None-Match": whole.headers["etag"]})
    assert same.status_code == 304


async def test_a_course_that_is_not_there_is_not_remembered_as_missing(api, client):
    course = await api.new_course()
    path = f"{LIST}/{course['id']}"
    assert (await client.get(path)).status_code == 200
    await api.call("DELETE", f"/courses/{course['id']}")
    gone = await client.get(path, headers={"If-None-Match": "*"})
    refused(gone, 404, "NOT_FOUND", "The requested course does not exist")
    assert gone.headers["cache-control"] == "no-store"


async def test_ways_to_ask_the_same_share_one_answer(api, client):
    word = f"Shared{uuid7().hex}"
    await api.new_course(title=word)
    ways = [
        {"search": word, "page": "1"},
        {"page": "1", "search": word.lower(), "limit": "10"},
        {"search": f" {word.upper()} ", "sort": "newest", "colour": "blue"},
        {"search": word, "difficulty": "Advanced,Beginner,Intermediate,Beginner"},
    ]

    async def is_one_answer() -> bool:
        # Not so while another course is announced.
        first, before = await client.get(LIST, params=ways[0]), await _made(client)
        for way in ways:
            assert (await client.get(LIST, params=way)).content == first.content
        return await _made(client) == before

    await eventually(is_one_answer, within=10)


async def test_the_bytes_are_those_of_the_documented_schema(api, client):
    """The API's models say what OpenAPI says; the bytes are built elsewhere, from rows."""
    await api.new_course(image_url="https://images.example.org/é.png", description="Ü\n\"'<&>")
    await api.settled((await api.upload(photos.truncated_jpeg())).json()["id"])
    pictured = await api.pictured(photos.jpeg(1300, 900))
    processing = (await api.upload(photos.jpeg(640, 480))).json()
    for course_id in (pictured["id"], processing["id"]):
        body = (await client.get(f"{LIST}/{course_id}")).content
        assert CourseOut.model_validate_json(body).model_dump_json().encode() == body
    body = (await client.get(LIST, params={"limit": 100})).content
    assert CoursePageOut.model_validate_json(body).model_dump_json().encode() == body


async def test_an_image_is_ready_to_all_as_soon_as_its_task_says_so(api, client):
    uploaded = (await api.upload(photos.jpeg(1300, 900))).json()
    task, path = uploaded["image"]["task_id"], f"{LIST}/{uploaded['id']}"

    async def is_done() -> bool:
        await client.get(path)
        return (await client.get(f"/api/v1/tasks/{task}")).json()["status"] == "succeeded"

    await eventually(is_done)
    assert (await client.get(path)).json()["image"]["status"] == "ready"


async def test_a_picture_makes_no_page_old_that_does_not_show_it(api, client):
    word = f"Lone{uuid7().hex}"
    await api.new_course(title=word)
    pictured = await api.new_course()
    path = f"/courses/{pictured['id']}/image"

    async def is_still_there() -> bool:
        # Not so if a worker looked after the change before it was announced.
        shown = await client.get(LIST, params={"search": word})
        before = await _made(client)
        files = {"image": ("picture.jpg", photos.jpeg(640, 480), "image/jpeg")}
        replaced = (await api.call("PUT", path, files=files)).json()
        task = f"/api/v1/tasks/{replaced['image']['task_id']}"

        async def is_done() -> bool:
            return (await client.get(task)).json()["status"] == "succeeded"

        await eventually(is_done)
        for _ in range(10):
            assert (await client.get(LIST, params={"search": word})).content == shown.content
        return await _made(client) == before

    await eventually(is_still_there, within=30)


async def test_what_is_changed_behind_its_back_is_announced_by_a_task(service, api, client):
    course = await api.new_course()
    path = f"{LIST}/{course['id']}"
    await client.get(path)
    connection = await asyncpg.connect(service.env["DATABASE_URL"])
    await connection.execute("UPDATE courses SET title = 'By hand' WHERE id = $1", course["id"])

    async def is_seen() -> bool:
        alone = (await client.get(path)).json()["title"] == "By hand"
        listed = (await client.get(LIST, params={"limit": 100})).json()["data"]
        return alone and any(each["title"] == "By hand" for each in listed)

    await eventually(is_seen, within=5)
    await connection.close()


async def test_the_metrics_of_cache_and_pool(client):
    await client.get(LIST)
    for name in ("cache_entries", "cache_bytes", "database_pool_size"):
        assert await _metric(client, name) > 0
    for name in ("database_pool_in_use", "database_pool_waiting", "cache_errors_total"):
        assert await _metric(client, name) >= 0
    assert await _metric(client, "cache_invalidations_total") > 0


async def test_a_full_pool_is_waited_for_a_bounded_time(service, tmp_path):
    own = {"DATABASE_POOL_SIZE": "1", "DATABASE_POOL_WAIT_SECONDS": "0.3", "API_WORKERS": "1"}
    # Its one connection is for the request that holds it, not for warming up.
    own |= {"CACHE_WARM_RESPONSES": "0"}
    connection = await asyncpg.connect(service.env["DATABASE_URL"])
    async with (
        instance(tmp_path, service.env, **own) as base,
        httpx.AsyncClient(base_url=base, timeout=10) as client,
    ):
        async with connection.transaction():
            await connection.execute("LOCK TABLE courses IN ACCESS EXCLUSIVE MODE")
            holding = asyncio.create_task(client.get(f"{LIST}/{uuid7()}"))
            await asyncio.sleep(0.3)
            refusals = await asyncio.gather(*(client.get(f"{LIST}/{uuid7()}") for _ in range(5)))
            # It is busy, not away: a load balancer must not drop all instances at once.
            probes = [await client.get(path) for path in ("/health/ready", "/health")]
            metrics = await scrape(client)
        assert (await holding).status_code == 404
        assert [probe.status_code for probe in probes] == [200] * 2
        assert probes[1].json()["database"] == "connected"
        assert "tasks_open" in metrics
        for answer in refusals:
            message = "All connections to the database are busy; try again soon"
            refused(answer, 503, "UNAVAILABLE", message)
            assert int(answer.headers["retry-after"]) >= 1
        assert (await client.get(f"{LIST}/{uuid7()}")).status_code == 404
    await connection.close()


async def test_what_is_read_most_is_in_memory_unasked_and_again_when_lost(service, api, tmp_path):
    course = await api.new_course()
    async with Redis.from_url(service.env["CACHE_URL"]) as redis:
        names = {f"course:{course['id']}": 1e300, "courses": 1e299, f"course:{uuid7()}": 1e298}
        await redis.zadd("enroll:reads", names)
        try:
            async with (
                instance(tmp_path, service.env, API_WORKERS="1", CACHE_WARM_RESPONSES="3") as base,
                httpx.AsyncClient(base_url=base) as other,
            ):

                async def is_warm() -> bool:
                    return await _metric(other, "cache_entries") >= 2

                await eventually(is_warm)
                before = await _fetched(other)
                # A history with a gap: nothing known before it counts.
                await api.new_course()
                connection = await asyncpg.connect(service.env["DATABASE_URL"])
                async with connection.transaction():
                    await connection.execute("UPDATE courses SET updated_at = now()")
                    await connection.fetch("SELECT * FROM catalogue_changes_now()")
                    await connection.execute("DELETE FROM catalogue_changes")
                await connection.close()

                async def is_warm_again() -> bool:
                    return await _fetched(other) >= before + 2 and await is_warm()

                await eventually(is_warm_again)
        finally:
            await redis.zrem("enroll:reads", *names)


async def test_the_task_that_warms_makes_what_no_api_has(service, api, client):
    # An order that no client has asked for: an API refills what is in its memory by itself.
    given = "sort=title&difficulty=Advanced,Beginner"
    block = f"courses?block=0&{given}".encode()
    name = f"courses?page=1&limit=7&{given}&search="
    async with Redis.from_url(service.env["CACHE_URL"]) as redis:

        async def is_made() -> bool:
            return any(key.endswith(block) for key in await redis.keys("enroll:*:e:*"))

        assert not await is_made()
        await redis.zadd("enroll:reads", {name: 1e300})
        try:
            # A change announces itself by a task, and that one has the cache warmed.
            await api.new_course()
            await eventually(is_made, within=10)
        finally:
            await redis.zrem("enroll:reads", name)
    # Where the API looks: what a worker makes has the same name and shape.
    before = await _made(client)
    answer = await client.get(f"{LIST}?page=1&limit=7&{given}")
    assert answer.json()["data"]
    assert await _made(client) == before
