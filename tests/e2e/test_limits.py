"""Rate limits over HTTP and over all processes: their keys, responses and exemptions."""

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
    """Headers of a trusted proxy for a new client address."""
    return behind_proxy(f"203.0.113.{next(_numbers)}")


def behind_proxy(address, **headers):
    return {"X-Forwarded-For": address, **headers}


async def until_refused(send, most, per_minute=0):
    """Send until the first 429; return the number of accepted requests and that response.

    Tokens that were refilled meanwhile, at so many a minute, are not counted.
    """
    started, done = time.monotonic(), 0
    while (response := await send()).status_code != 429:
        done += 1
        back = int((time.monotonic() - started) * per_minute / 60)
        assert done - back <= most, "so many requests were not too many"
    return done - int((time.monotonic() - started) * per_minute / 60), response


async def test_reads_are_limited_by_address(client, behind):
    done, response = await until_refused(lambda: client.get(COURSES, headers=behind), 330, 300)
    # Each of the two processes may hold a lease of tokens or be some ahead.
    assert 292 <= done <= 320
    refused(response, 429, "RATE_LIMITED", MESSAGE)
    assert response.headers["ratelimit-limit"] == "300"
    assert response.headers["ratelimit-remaining"] == "0"
    assert 50 < int(response.headers["ratelimit-reset"]) <= 62
    await asyncio.sleep(int(response.headers["retry-after"]))
    assert (await client.get(COURSES, headers=behind)).status_code == 200


async def test_other_addresses_are_not_limited(client, behind):
    await until_refused(lambda: client.get(COURSES, headers=behind), 330, 300)
    other = behind_proxy(f"203.0.113.{next(_numbers)}")
    assert (await client.get(COURSES, headers=other)).status_code == 200


async def test_forbidden_requests_count_towards_the_limit(client, behind):
    headers = bearer(token(role="student")) | behind

    def send():
        return client.get("/api/v1/admin/students", headers=headers)

    assert (await send()).status_code == 403
    done, response = await until_refused(send, 330, 300)
    assert 291 <= done <= 320
    refused(response, 429, "RATE_LIMITED", MESSAGE)


async def test_writes_are_limited_by_user_at_any_address(client):
    headers = bearer(token(role="admin"))
    addresses = (f"198.51.100.{number}" for number in count(1))

    def send():
        moving = headers | behind_proxy(next(addresses))
        return client.post(COURSES, headers=moving, json={})

    done, response = await until_refused(send, 40, 30)
    assert 29 <= done <= 35
    refused(response, 429, "RATE_LIMITED", MESSAGE)
    assert response.headers["ratelimit-limit"] == "30"
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
async def test_each_rate_class_has_its_limit(client, behind, method, path, limit):
    def send():
        return client.request(method, path, headers=behind, content=b"{}" if limit < 300 else None)

    done, response = await until_refused(send, limit + 30, limit)
    # A token lease of one process cannot be used by another.
    assert limit - 8 <= done <= limit + 25
    assert response.headers["ratelimit-limit"] == str(limit)


async def test_uploads_have_their_own_limit(client):
    headers = bearer(token(role="admin")) | behind_proxy("198.51.100.200")

    def send():
        return client.post("/api/v1/courses/upload", headers=headers, data=COURSE | {"title": ""})

    done, response = await until_refused(send, 15, 10)
    assert 9 <= done <= 12
    assert response.headers["ratelimit-limit"] == "10"


@pytest.mark.parametrize("path", ["/health/live", "/health/ready"])
async def test_probes_are_never_limited(client, behind, path):
    responses = await asyncio.gather(*(client.get(path, headers=behind) for _ in range(330)))
    assert {response.status_code for response in responses} == {200}


async def test_only_the_last_forwarded_address_counts(client):
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


async def test_forwarded_addresses_of_an_untrusted_client_are_ignored(service):
    # All of 127/8 is this machine; only 127.0.0.1 is trusted and exempt.
    transport = httpx.AsyncHTTPTransport(local_address="127.0.0.2")
    made_up = (f"192.0.2.{number}" for number in count(1))
    async with httpx.AsyncClient(base_url=service.base_url, transport=transport) as stranger:

        def send():
            return stranger.post(
                "/api/v1/enrollments", headers=behind_proxy(next(made_up)), content=b"{}"
            )

        done, _ = await until_refused(send, 40, 30)
        assert done <= 35
        response = await stranger.post(
            "/api/v1/enrollments", headers=behind_proxy("127.0.0.1"), content=b"{}"
        )
        assert response.status_code == 429


async def test_an_ipv6_address_counts_by_its_network(client):
    hosts = (f"2001:db8:{next(_numbers)}::{number:x}" for number in count(1))
    network = next(hosts).rpartition("::")[0]

    def send():
        headers = behind_proxy(f"{network}::{next(_numbers):x}")
        return client.post("/api/v1/enrollments", headers=headers, content=b"{}")

    done, _ = await until_refused(send, 40, 30)
    assert done <= 35


async def test_exempt_clients_are_never_limited(client):
    responses = [await client.post("/api/v1/enrollments", content=b"{}") for _ in range(40)]
    assert {response.status_code for response in responses} == {400}


async def test_after_ten_failed_logins_an_account_has_to_wait(client, behind, new_user):
    user = await new_user()
    wrong = user | {"password": "wrong"}

    async def send():
        return await client.post(LOGIN, json=wrong, headers=behind)

    done, response = await until_refused(send, 12)
    assert done == 10
    refused(response, 429, "RATE_LIMITED", MESSAGE)
    assert response.headers["retry-after"] == "1"
    # The right password also has to wait, from any address, and is accepted then.
    other = behind_proxy(f"203.0.113.{next(_numbers)}")
    assert (await client.post(LOGIN, json=user, headers=other)).status_code == 429
    await asyncio.sleep(1)
    assert (await client.post(LOGIN, json=user, headers=behind)).status_code == 200


async def test_unknown_accounts_have_to_wait_as_well(client, behind):
    nobody = ADMIN | {"username": f"nobody-{next(_numbers)}"}
    done, response = await until_refused(
        lambda: client.post(LOGIN, json=nobody, headers=behind), 12
    )
    assert done == 10
    refused(response, 429, "RATE_LIMITED", MESSAGE)


async def test_the_log_has_the_client_address_behind_the_proxy(service, client):
    await client.get("/health/live", headers=behind_proxy("203.0.113.250"))
    log = service.data_dir / "logs/api.log"

    async def is_named() -> bool:
        return '"client":"203.0.113.250"' in log.read_text()

    await eventually(is_named)


async def test_the_document_describes_the_limits(client):
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
