"""Limits over HTTP, over every process: whom they count, what they answer, whom they spare."""

import asyncio
import time
from itertools import count

import httpx
import pytest

from tests.factories import ADMIN, COURSE, bearer, eventually, refused, token

LOGIN = "/api/v1/auth/login"
COURSES = "/api/v1/courses"
MESSAGE = "Too many requests; slow down"
_numbers = count(1)


@pytest.fixture
def behind():
    """Headers of a proxy that we trust, in front of a client that nobody has seen yet."""
    return behind_proxy(f"203.0.113.{next(_numbers)}")


def behind_proxy(address, **headers):
    return {"X-Forwarded-For": address, **headers}


async def until_refused(send, most, per_minute=0):
    """Send until the first 429, and return how many went through, and that answer.

    What time has given back meanwhile, at so many a minute, does not count.
    """
    started, done = time.monotonic(), 0
    while (answer := await send()).status_code != 429:
        done += 1
        back = int((time.monotonic() - started) * per_minute / 60)
        assert done - back <= most, "so many requests were not too many"
    return done - int((time.monotonic() - started) * per_minute / 60), answer


async def test_reads_of_an_address_are_limited(client, behind):
    done, answer = await until_refused(lambda: client.get(COURSES, headers=behind), 330, 300)
    # Each of two processes may be ten ahead, or have a batch in hand.
    assert 292 <= done <= 320
    refused(answer, 429, "RATE_LIMITED", MESSAGE)
    assert answer.headers["ratelimit-limit"] == "300"
    assert answer.headers["ratelimit-remaining"] == "0"
    assert 50 < int(answer.headers["ratelimit-reset"]) <= 62
    await asyncio.sleep(int(answer.headers["retry-after"]))
    assert (await client.get(COURSES, headers=behind)).status_code == 200


async def test_another_address_is_not_concerned(client, behind):
    await until_refused(lambda: client.get(COURSES, headers=behind), 330, 300)
    other = behind_proxy(f"203.0.113.{next(_numbers)}")
    assert (await client.get(COURSES, headers=other)).status_code == 200


async def test_who_may_not_is_counted_as_well(client, behind):
    headers = bearer(token(role="student")) | behind

    def send():
        return client.get("/api/v1/admin/students", headers=headers)

    assert (await send()).status_code == 403
    done, answer = await until_refused(send, 330, 300)
    assert 291 <= done <= 320
    refused(answer, 429, "RATE_LIMITED", MESSAGE)


async def test_writes_are_limited_by_user_wherever_they_come_from(client):
    headers = bearer(token(role="admin"))
    addresses = (f"198.51.100.{number}" for number in count(1))

    def send():
        moving = headers | behind_proxy(next(addresses))
        return client.post(COURSES, headers=moving, json={})

    done, answer = await until_refused(send, 40, 30)
    assert 29 <= done <= 35
    refused(answer, 429, "RATE_LIMITED", MESSAGE)
    assert answer.headers["ratelimit-limit"] == "30"
    open_pool = bearer(token(role="admin")) | behind_proxy("198.51.100.1")
    assert (await client.post(COURSES, headers=open_pool, json={})).status_code == 400


@pytest.mark.parametrize(
    ("method", "path", "limit"),
    [
        ("POST", "/api/v1/enrollments", 30),
        ("POST", LOGIN, 40),
        ("POST", "/api/v1/auth/refresh", 40),
        ("GET", "/health", 300),
        ("GET", "/api/v1/admin/students", 300),
    ],
)
async def test_each_class_has_its_limit(client, behind, method, path, limit):
    def send():
        return client.request(method, path, headers=behind, content=b"{}" if limit < 300 else None)

    done, answer = await until_refused(send, limit + 30, limit)
    # What one process has in hand, another does not.
    assert limit - 8 <= done <= limit + 25
    assert answer.headers["ratelimit-limit"] == str(limit)


async def test_uploads_have_a_limit_of_their_own(client):
    headers = bearer(token(role="admin")) | behind_proxy("198.51.100.200")

    def send():
        return client.post("/api/v1/courses/upload", headers=headers, data=COURSE | {"title": ""})

    done, answer = await until_refused(send, 15, 10)
    assert 9 <= done <= 12
    assert answer.headers["ratelimit-limit"] == "10"


@pytest.mark.parametrize("path", ["/health/live", "/health/ready"])
async def test_probes_are_never_refused(client, behind, path):
    answers = await asyncio.gather(*(client.get(path, headers=behind) for _ in range(330)))
    assert {answer.status_code for answer in answers} == {200}


async def test_the_first_address_of_the_header_is_anybodys_to_make_up(client):
    address = f"203.0.113.{next(_numbers)}"
    made_up = (f"192.0.2.{number}" for number in count(1))

    def send():
        return client.post(
            "/api/v1/enrollments",
            headers=behind_proxy(f"{next(made_up)}, {address}"),
            content=b"{}",
        )

    done, _ = await until_refused(send, 40, 30)
    assert done <= 35


async def test_a_header_of_somebody_who_is_no_proxy_of_ours_is_ignored(service):
    # All of 127/8 is this machine; only 127.0.0.1 is trusted, and exempt.
    transport = httpx.AsyncHTTPTransport(local_address="127.0.0.2")
    made_up = (f"192.0.2.{number}" for number in count(1))
    async with httpx.AsyncClient(base_url=service.base_url, transport=transport) as stranger:

        def send():
            return stranger.post(
                "/api/v1/enrollments", headers=behind_proxy(next(made_up)), content=b"{}"
            )

        done, _ = await until_refused(send, 40, 30)
        assert done <= 35
        answer = await stranger.post(
            "/api/v1/enrollments", headers=behind_proxy("127.0.0.1"), content=b"{}"
        )
        assert answer.status_code == 429


async def test_an_address_of_ipv6_counts_with_its_network(client):
    hosts = (f"2001:db8:{next(_numbers)}::{number:x}" for number in count(1))
    network = next(hosts).rpartition("::")[0]

    def send():
        headers = behind_proxy(f"{network}::{next(_numbers):x}")
        return client.post("/api/v1/enrollments", headers=headers, content=b"{}")

    done, _ = await until_refused(send, 40, 30)
    assert done <= 35


async def test_who_is_exempt_by_setting_is_never_refused(client):
    answers = [await client.post("/api/v1/enrollments", content=b"{}") for _ in range(40)]
    assert {answer.status_code for answer in answers} == {400}


async def test_after_ten_failed_logins_an_account_waits(client, behind, new_user):
    user = await new_user()
    wrong = user | {"password": "wrong"}

    async def send():
        return await client.post(LOGIN, json=wrong, headers=behind)

    done, answer = await until_refused(send, 12)
    assert done == 10
    refused(answer, 429, "RATE_LIMITED", MESSAGE)
    assert answer.headers["retry-after"] == "1"
    # The right password has to wait as well, from wherever it comes, and is taken then.
    other = behind_proxy(f"203.0.113.{next(_numbers)}")
    assert (await client.post(LOGIN, json=user, headers=other)).status_code == 429
    await asyncio.sleep(1)
    assert (await client.post(LOGIN, json=user, headers=behind)).status_code == 200


async def test_accounts_that_do_not_exist_wait_too(client, behind):
    nobody = ADMIN | {"username": f"nobody-{next(_numbers)}"}
    done, answer = await until_refused(lambda: client.post(LOGIN, json=nobody, headers=behind), 12)
    assert done == 10
    refused(answer, 429, "RATE_LIMITED", MESSAGE)


async def test_the_log_names_the_client_behind_the_proxy(service, client):
    await client.get("/health/live", headers=behind_proxy("203.0.113.250"))
    log = service.data_dir / "logs/api.log"

    async def is_named() -> bool:
        return '"client":"203.0.113.250"' in log.read_text()

    await eventually(is_named)


async def test_the_document_names_the_limits(client):
    document = (await client.get("/openapi.json")).json()
    without = set()
    for path, operations in document["paths"].items():
        for operation in operations.values():
            refusal = operation["responses"].get("429")
            if refusal is None:
                without.add(path)
                continue
            headers = {"Retry-After", "RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset"}
            assert headers <= refusal["headers"].keys(), path
    assert without == {"/health/live", "/health/ready"}
