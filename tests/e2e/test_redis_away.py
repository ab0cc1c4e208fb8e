"""What each kind of call does while Redis is away; docs/operations.md has the table."""

import asyncio
import json
import os
import signal
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import httpx
import pytest
from redis.asyncio import Redis

from deploy.embedded.servers import running
from deploy.embedded.service import start_service
from tests import photos
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

ENROLL = Path(sys.executable).with_name("enroll")
LOGIN, PROFILE = "/api/v1/auth/login", "/api/v1/auth/profile"
REFRESH, LOGOUT = "/api/v1/auth/refresh", "/api/v1/auth/logout"
# No call waits for Redis longer than its time-outs.
POOL_WAIT_SECONDS = 3.0
# What 95 of 100 reads take at most.
READ_SECONDS = 0.1


@pytest.fixture(scope="module")
async def redises(tmp_path_factory):
    """The cache's and the broker's, which the service does not look after."""
    async with running(tmp_path_factory.mktemp("redises"), {"cache", "broker"}) as servers:
        yield servers


@pytest.fixture(scope="module")
async def own(redises, tmp_path_factory):
    """A service that uses them."""
    port, flower_port = free_ports(2)
    environment = redises.environment | {
        "RATE_LIMIT_EXEMPT": "127.0.0.1",
        "TRUSTED_PROXIES": "127.0.0.1",
        "RATE_LIMIT_WRITES": "100",
        "RATE_LIMIT_READS": "200",
    }
    folder = tmp_path_factory.mktemp("own")
    service = await asyncio.to_thread(
        start_service, folder, port, flower_port, environment=environment
    )
    yield service
    await asyncio.to_thread(service.stop)


@pytest.fixture
async def client(own):
    """An HTTP client of that service."""
    async with httpx.AsyncClient(base_url=own.base_url, timeout=POOL_WAIT_SECONDS) as client:
        yield client


@pytest.fixture
async def away(redises, own):
    """Stop both for the length of a test."""
    await asyncio.gather(redises.stop("cache"), redises.stop("broker"))
    yield
    await asyncio.gather(redises.start("cache"), redises.start("broker"))


@pytest.fixture
async def frozen(redises, own):
    """Return what stops both from doing anything: their sockets still take what is sent."""
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
    answer = await client.post(LOGIN, json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def enroll(own, redises, *arguments, said=""):
    environment = os.environ | own.env | redises.environment
    process = await asyncio.create_subprocess_exec(
        *(ENROLL, *arguments),
        env=environment | {"DATA_DIR": str(own.data_dir)},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, complaint = await process.communicate(said.encode())
    return process.returncode, output.decode(), complaint.decode()


async def test_a_redis_that_forgot_everything_revives_nobody(own, redises, client):
    session = await log_in(client)
    await client.post(LOGOUT, headers=bearer(session["token"]))
    await dies_everywhere(own.base_url, session["token"])
    for url in redises.environment.values():
        async with Redis.from_url(url) as redis:
            await redis.flushall()
    assert await everywhere(own.base_url, session["token"]) == {401}
    answer = await client.post(REFRESH, json={"refresh_token": session["refresh_token"]})
    assert answer.status_code == 401


async def test_each_kind_of_call_while_redis_is_away(own, client, away):
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
        answer = await client.request(method, url, **request)
        assert answer.status_code == status, f"{method} {url} {answer.text}"
        assert time.monotonic() - started < POOL_WAIT_SECONDS
    health = (await client.get("/health")).json()
    assert (health["status"], health["redis"]) == ("degraded", "disconnected")


async def test_reads_go_on_while_redis_is_frozen(client, frozen):
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
    with frozen():
        for turn, path in enumerate(paths * 3):
            # They have addresses, so their limits ask the other Redis.
            behind = {"X-Forwarded-For": f"198.51.100.{turn % 40}"}
            started = time.perf_counter()
            answer = await client.get(path, headers=behind)
            seconds.append(time.perf_counter() - started)
            assert answer.status_code == 200, answer.text
    assert sorted(seconds)[int(len(seconds) * 0.95)] < READ_SECONDS

    async def is_healthy():
        return (await client.get("/health")).json()["redis"] == "connected"

    await eventually(is_healthy)
    assert (await client.get(paths[0])).json()["title"] == "Frozen 0"


async def test_a_refresh_token_used_again_ends_the_session_while_redis_is_away(own, client, away):
    session = await log_in(client)
    spent = {"refresh_token": session["refresh_token"]}
    successor = (await client.post(REFRESH, json=spent)).json()
    # Two tabs may use one within ten seconds.
    database = await asyncpg.connect(own.env["DATABASE_URL"])
    await database.execute("UPDATE refresh_tokens SET used_at = used_at - interval '1 minute'")
    await database.close()
    assert (await client.post(REFRESH, json=spent)).status_code == 401
    await dies_everywhere(own.base_url, successor["token"])
    answer = await client.post(REFRESH, json={"refresh_token": successor["refresh_token"]})
    assert answer.status_code == 401


async def test_an_enrolment_sent_again_is_done_once_while_redis_is_away(client, away):
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
    answer = await client.post("/api/v1/enrollments", json=other, headers=key)
    assert answer.status_code == 409


async def test_tasks_are_watched_and_steered_while_redis_is_away(own, client, away):
    admin = bearer((await log_in(client))["token"])
    picture = {"image": ("a.jpg", photos.jpeg(64, 64))}
    answer = await client.post("/api/v1/courses/upload", headers=admin, data=COURSE, files=picture)
    task_id = answer.json()["image"]["task_id"]
    shown = (await client.get(f"/api/v1/tasks/{task_id}")).json()
    assert shown["status"] == "queued"
    path = f"/api/v1/admin/tasks/{task_id}"
    async with client.stream("GET", f"/api/v1/tasks/{task_id}/events") as stream:
        states = _states(stream.aiter_lines())
        assert await anext(states) == "queued"
        answer = await client.post(f"{path}/cancel", headers=admin)
        assert (answer.status_code, answer.json()["status"]) == (202, "cancelled")
        assert await anext(states) == "cancelled"
    answer = await client.post(f"{path}/retry", headers=admin)
    assert (answer.status_code, answer.json()["status"]) == (202, "queued")


async def _states(lines):
    """Yield the states that a stream tells."""
    async for line in lines:
        if line.startswith("data: "):
            yield json.loads(line.removeprefix("data: "))["status"]


async def test_operators_look_after_accounts_while_redis_is_away(own, redises, client, away):
    name = new_email()
    for command, said in (("add", "correct horse\n"), ("passwd", "another horse\n")):
        code, _, complaint = await enroll(own, redises, "users", command, name, said=said)
        assert code == 0, complaint
    user = {"username": name, "password": "another horse"}
    session = await log_in(client, user)
    for command in ("disable", "enable"):
        code, _, complaint = await enroll(own, redises, "users", command, name)
        assert code == 0, complaint
    # Enabled again, they log in anew: what was ended stays ended.
    await dies_everywhere(own.base_url, session["token"])
    await log_in(client, user)
    code, output, complaint = await enroll(own, redises, "users", "list", "--json")
    assert code == 0, complaint
    assert name in {each["username"] for each in json.loads(output)}


async def test_logging_out_works_everywhere_while_redis_is_away(own, client, away):
    session = await log_in(client)
    assert await everywhere(own.base_url, session["token"]) == {200}
    answer = await client.post(LOGOUT, headers=bearer(session["token"]))
    assert answer.status_code == 204
    await dies_everywhere(own.base_url, session["token"])


async def test_disabling_works_everywhere_while_redis_is_away(own, redises, client, away):
    user = {"username": "somebody", "password": "correct horse"}
    code, _, complaint = await enroll(
        own, redises, "users", "add", "somebody", said="correct horse\n"
    )
    assert code == 0, complaint
    session = await log_in(client, user)
    code, output, complaint = await enroll(own, redises, "users", "disable", "somebody")
    assert (code, output) == (
        0,
        "somebody may not log in any more; sessions ended: 1\n",
    ), complaint
    await dies_everywhere(own.base_url, session["token"])
    code, _, complaint = await enroll(own, redises, "users", "sessions")
    assert (code, complaint) == (1, "enroll: Redis is away, and with it the list of sessions\n")


async def test_each_process_still_limits_while_redis_is_away(client, away):
    async def refused(send, most):
        return [
            answer for answer in [await send() for _ in range(most)] if answer.status_code == 429
        ]

    behind = {"X-Forwarded-For": "203.0.113.1"}
    # Two processes with 100 writes a minute each.
    assert await refused(
        lambda: client.post("/api/v1/enrollments", headers=behind, content=b"{}"), 230
    )
    # And ten free attempts to log in each.
    nobody = ADMIN | {"username": "nobody-at-all"}
    answers = await refused(lambda: client.post(LOGIN, headers=behind, json=nobody), 22)
    assert answers
    assert answers[0].headers["retry-after"] == "1"
    assert await refused(lambda: client.get("/api/v1/courses", headers=behind), 430)
    metrics = await scrape(client)
    alone = [line for line in metrics.splitlines() if line.startswith("rate_limit_fallback_total")]
    assert float(alone[0].split()[-1]) > 0


async def test_sessions_are_listed_again_when_redis_is_back(own, redises, client):
    async def is_listed():
        await log_in(client)
        code, output, _ = await enroll(own, redises, "users", "sessions", "--json")
        return code == 0 and [each for each in json.loads(output) if each["username"] == "admin"]

    assert await eventually(is_listed, within=20)
