"""The behaviour of each kind of call while Redis is down; docs/operations.md has the table."""

import asyncio
import json
import os
import signal
import time
from contextlib import contextmanager

import asyncpg
import httpx
import pytest
from redis.asyncio import Redis

from deploy.embedded.servers import running
from deploy.embedded.service import start_service
from tests import forkserver, photos
from tests.factories import (
    ADMIN,
    COURSE,
    bearer,
    dies_everywhere,
    eventually,
    everywhere,
    free_ports,
    new_email,
    scrape,
)

LOGIN, PROFILE = "/api/v1/auth/login", "/api/v1/auth/profile"
REFRESH, LOGOUT = "/api/v1/auth/refresh", "/api/v1/auth/logout"
# No call waits for Redis longer than its timeouts.
POOL_WAIT_SECONDS = 3.0
# 95 of 100 reads take less.
READ_SECONDS = 0.1


@pytest.fixture(scope="module")
async def redises(tmp_path_factory):
    """The cache's and the broker's Redis, which the service does not supervise."""
    async with running(tmp_path_factory.mktemp("redises"), {"cache", "broker"}) as servers:
        yield servers


@pytest.fixture(scope="module")
async def own_service(redises, tmp_path_factory):
    """A service on these Redises."""
    port, flower_port = free_ports(2)
    environment = redises.environment | {
        "RATE_LIMIT_EXEMPT": "127.0.0.1",
        "TRUSTED_PROXIES": "127.0.0.1",
        "RATE_LIMIT_WRITES": "100",
        "RATE_LIMIT_READS": "200",
    }
    folder = tmp_path_factory.mktemp("own_service")
    service = await asyncio.to_thread(
        start_service, folder, port, flower_port, environment=environment
    )
    yield service
    await asyncio.to_thread(service.stop)


@pytest.fixture
async def client(own_service):
    """An HTTP client of that service."""
    async with httpx.AsyncClient(
        base_url=own_service.base_url, timeout=POOL_WAIT_SECONDS
    ) as client:
        yield client


@pytest.fixture
async def redis_down(redises, own_service):
    """Stops both for the length of a test."""
    await asyncio.gather(redises.stop("cache"), redises.stop("broker"))
    yield
    await asyncio.gather(redises.start("cache"), redises.start("broker"))


@pytest.fixture
async def freeze_redis(redises, own_service):
    """A function that freezes both processes; their sockets still accept bytes."""
    pids = []
    for url in redises.environment.values():
        async with Redis.from_url(url) as redis:
            pids.append((await redis.info("server"))["process_id"])

    @contextmanager
    def freeze():
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)

    return freeze


async def log_in(client, body=ADMIN):
    response = await client.post(LOGIN, json=body)
    assert response.status_code == 200, response.text
    return response.json()


async def enroll(own_service, redises, *arguments, said=""):
    environment = os.environ | own_service.env | redises.environment
    environment |= {"DATA_DIR": str(own_service.data_dir)}
    done = await forkserver.enroll(*arguments, env=environment, typed=said)
    return done.code, done.output, done.errors


async def test_a_redis_that_lost_its_data_revives_no_session(own_service, redises, client):
    session = await log_in(client)
    await client.post(LOGOUT, headers=bearer(session["token"]))
    await dies_everywhere(own_service.base_url, session["token"])
    for url in redises.environment.values():
        async with Redis.from_url(url) as redis:
            await redis.flushall()
    assert await everywhere(own_service.base_url, session["token"]) == {401}
    response = await client.post(REFRESH, json={"refresh_token": session["refresh_token"]})
    assert response.status_code == 401


async def test_each_kind_of_call_while_redis_is_down(own_service, client, redis_down):
    session = await log_in(client)
    admin = bearer(session["token"])
    course = (await client.post("/api/v1/courses", json=COURSE, headers=admin)).json()
    path = f"/api/v1/courses/{course['id']}"
    student = {"student_email": new_email(), "course_id": course["id"]}
    picture = {"image": ("a.jpg", photos.jpeg(64, 64))}
    calls = [
        ("GET", "/api/v1/courses", {}, 200),
        ("GET", path, {}, 200),
        ("POST", "/api/v1/enrollments", {"json": student}, 201),
        ("POST", "/api/v1/enrollments", {"json": student}, 409),
        ("GET", f"/api/v1/students/{student['student_email']}/enrollments", {}, 200),
        ("GET", PROFILE, {"headers": admin}, 200),
        ("GET", "/api/v1/admin/students", {"headers": admin}, 200),
        ("PUT", path, {"headers": admin, "json": COURSE}, 200),
        (
            "POST",
            "/api/v1/courses/upload",
            {"headers": admin, "data": COURSE, "files": picture},
            201,
        ),
        ("GET", "/api/v1/admin/tasks", {"headers": admin}, 200),
        ("POST", REFRESH, {"json": {"refresh_token": session["refresh_token"]}}, 200),
        ("POST", LOGIN, {"json": ADMIN | {"password": "wrong"}}, 401),
        ("DELETE", path, {"headers": admin}, 204),
        ("GET", "/health/ready", {}, 200),
    ]
    for method, url, request, status in calls:
        started = time.monotonic()
        response = await client.request(method, url, **request)
        assert response.status_code == status, f"{method} {url} {response.text}"
        assert time.monotonic() - started < POOL_WAIT_SECONDS
    health = (await client.get("/health")).json()
    assert (health["status"], health["redis"]) == ("degraded", "disconnected")


async def test_reads_stay_fast_while_redis_is_frozen(client, freeze_redis):
    admin = bearer((await log_in(client))["token"])
    paths = []
    for number in range(200):
        body = COURSE | {"title": f"Frozen {number}"}
        course = (await client.post("/api/v1/courses", json=body, headers=admin)).json()
        paths.append(f"/api/v1/courses/{course['id']}")
        if number % 10 == 0:
            paths.append(f"/api/v1/courses?page={1 + number // 10}&search=frozen")
    paths += ["/api/v1/courses", "/api/v1/courses?sort=title"]
    seconds = []
    with freeze_redis():
        for turn, path in enumerate(paths * 3):
            # These have client addresses, so their limits use the other Redis.
            behind = {"X-Forwarded-For": f"198.51.100.{turn % 40}"}
            started = time.perf_counter()
            response = await client.get(path, headers=behind)
            seconds.append(time.perf_counter() - started)
            assert response.status_code == 200, response.text
    assert sorted(seconds)[int(len(seconds) * 0.95)] < READ_SECONDS

    async def is_healthy():
        return (await client.get("/health")).json()["redis"] == "connected"

    await eventually(is_healthy)
    assert (await client.get(paths[0])).json()["title"] == "Frozen 0"


async def test_reuse_of_a_refresh_token_ends_the_session_while_redis_is_down(
    own_service, client, redis_down
):
    session = await log_in(client)
    spent = {"refresh_token": session["refresh_token"]}
    successor = (await client.post(REFRESH, json=spent)).json()
    # Two tabs may use one token within ten seconds.
    database = await asyncpg.connect(own_service.env["DATABASE_URL"])
    await database.execute("UPDATE refresh_tokens SET used_at = used_at - interval '1 minute'")
    await database.close()
    assert (await client.post(REFRESH, json=spent)).status_code == 401
    await dies_everywhere(own_service.base_url, successor["token"])
    response = await client.post(REFRESH, json={"refresh_token": successor["refresh_token"]})
    assert response.status_code == 401


async def test_a_replayed_enrollment_is_done_once_while_redis_is_down(client, redis_down):
    session = await log_in(client)
    admin = bearer(session["token"])
    course = (await client.post("/api/v1/courses", json=COURSE, headers=admin)).json()
    student = {"student_email": new_email(), "course_id": course["id"]}
    key = {"Idempotency-Key": new_email()}
    first, again = [
        await client.post("/api/v1/enrollments", json=student, headers=key) for _ in range(2)
    ]
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.content == again.content
    other = student | {"student_email": new_email()}
    response = await client.post("/api/v1/enrollments", json=other, headers=key)
    assert response.status_code == 409


async def test_tasks_can_be_watched_and_controlled_while_redis_is_down(
    own_service, client, redis_down
):
    admin = bearer((await log_in(client))["token"])
    picture = {"image": ("a.jpg", photos.jpeg(64, 64))}
    response = await client.post(
        "/api/v1/courses/upload", headers=admin, data=COURSE, files=picture
    )
    task_id = response.json()["image"]["task_id"]
    shown = (await client.get(f"/api/v1/tasks/{task_id}")).json()
    assert shown["status"] == "queued"
    path = f"/api/v1/admin/tasks/{task_id}"
    async with client.stream("GET", f"/api/v1/tasks/{task_id}/events") as stream:
        states = _states(stream.aiter_lines())
        assert await anext(states) == "queued"
        response = await client.post(f"{path}/cancel", headers=admin)
        assert (response.status_code, response.json()["status"]) == (202, "cancelled")
        assert await anext(states) == "cancelled"
    response = await client.post(f"{path}/retry", headers=admin)
    assert (response.status_code, response.json()["status"]) == (202, "queued")


async def _states(lines):
    """Yield the states of an event stream."""
    async for line in lines:
        if line.startswith("data: "):
            yield json.loads(line.removeprefix("data: "))["status"]


async def test_operators_can_manage_accounts_while_redis_is_down(
    own_service, redises, client, redis_down
):
    name = new_email()
    for command, said in (("add", "correct horse\n"), ("passwd", "another horse\n")):
        code, _, complaint = await enroll(own_service, redises, "users", command, name, said=said)
        assert code == 0, complaint
    user = {"username": name, "password": "another horse"}
    session = await log_in(client, user)
    for command in ("disable", "enable"):
        code, _, complaint = await enroll(own_service, redises, "users", command, name)
        assert code == 0, complaint
    # Ended sessions stay ended after the account is enabled again.
    await dies_everywhere(own_service.base_url, session["token"])
    await log_in(client, user)
    code, output, complaint = await enroll(own_service, redises, "users", "list", "--json")
    assert code == 0, complaint
    assert name in {each["username"] for each in json.loads(output)}


async def test_a_logout_is_effective_everywhere_while_redis_is_down(
    own_service, client, redis_down
):
    session = await log_in(client)
    assert await everywhere(own_service.base_url, session["token"]) == {200}
    response = await client.post(LOGOUT, headers=bearer(session["token"]))
    assert response.status_code == 204
    await dies_everywhere(own_service.base_url, session["token"])


async def test_disabling_is_effective_everywhere_while_redis_is_down(
    own_service, redises, client, redis_down
):
    user = {"username": "somebody", "password": "correct horse"}
    code, _, complaint = await enroll(
        own_service, redises, "users", "add", "somebody", said="correct horse\n"
    )
    assert code == 0, complaint
    session = await log_in(client, user)
    code, output, complaint = await enroll(own_service, redises, "users", "disable", "somebody")
    assert (code, output) == (
        0,
        "somebody may not log in any more; sessions ended: 1\n",
    ), complaint
    await dies_everywhere(own_service.base_url, session["token"])
    code, _, complaint = await enroll(own_service, redises, "users", "sessions")
    assert (code, complaint) == (1, "enroll: Redis, which lists the sessions, is unavailable\n")


async def test_each_process_limits_by_itself_while_redis_is_down(client, redis_down):
    async def refused(send, most):
        return [
            response
            for response in [await send() for _ in range(most)]
            if response.status_code == 429
        ]

    behind = {"X-Forwarded-For": "203.0.113.1"}
    # Two processes with 100 writes a minute each.
    assert await refused(
        lambda: client.post("/api/v1/enrollments", headers=behind, content=b"{}"), 230
    )
    # And ten free login attempts each.
    nobody = ADMIN | {"username": "nobody-at-all"}
    responses = await refused(lambda: client.post(LOGIN, headers=behind, json=nobody), 22)
    assert responses
    assert responses[0].headers["retry-after"] == "1"
    assert await refused(lambda: client.get("/api/v1/courses", headers=behind), 430)
    metrics = await scrape(client)
    alone = [line for line in metrics.splitlines() if line.startswith("rate_limit_fallback_total")]
    assert float(alone[0].split()[-1]) > 0


async def test_sessions_are_listed_again_when_redis_is_back(own_service, redises, client):
    async def is_listed():
        await log_in(client)
        code, output, _ = await enroll(own_service, redises, "users", "sessions", "--json")
        return code == 0 and [each for each in json.loads(output) if each["username"] == "admin"]

    assert await eventually(is_listed, within=20)
