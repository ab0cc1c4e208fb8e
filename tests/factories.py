"""Test data and common assertions: courses, students, an admin's session."""

from __future__ import annotations

import asyncio
import re
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

import httpx
import jwt
from uuid_utils.compat import uuid7

from api.middleware import FLUSH_SECONDS
from deploy.embedded.ports import FIRST, LAST, is_free
from infra.key_ring import settings_kid
from infra.settings import DEFAULT_JWT_SECRET, METRICS_PORT_OFFSET, default_metrics_port

# Longer than any wait takes on a slow and busy machine; what is promised has a limit of its own.
WAIT_SECONDS = 120.0
ADMIN = {"username": "admin", "password": "admin!dev"}
COURSE = {
    "title": "Advanced React Development",
    "description": "Master React hooks, context, and performance optimization",
    "difficulty": "Advanced",
}
SECRET = DEFAULT_JWT_SECRET.get_secret_value()
KID = settings_kid(SECRET)
NO_ID = "019aae3c-5f00-7cc0-8000-3f1bb9a3c001"
NIL_ID = "00000000-0000-0000-0000-000000000000"
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
TITLES = {
    400: "Validation failed",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not found",
    405: "Method not allowed",
    409: "Conflict",
    412: "Precondition failed",
    413: "Payload too large",
    415: "Unsupported media type",
    429: "Too many requests",
    503: "Service unavailable",
}

T = TypeVar("T")


def free_ports(count: int) -> list[int]:
    """Return free ports of the loopback address whose metrics ports are free as well.

    They are below those of outgoing connections, which could take one before its server starts.
    """
    found: list[int] = []
    taken: set[int] = set()
    while len(found) < count:
        port = FIRST + secrets.randbelow(LAST - FIRST - METRICS_PORT_OFFSET)
        pair = {port, default_metrics_port(port)}
        if not pair & taken and all(is_free(each) for each in pair):
            found.append(port)
            taken |= pair
    return found


async def scrape(client: httpx.AsyncClient) -> str:
    """Return the metrics of a client's API, including all requests answered so far."""
    await asyncio.sleep(1.5 * FLUSH_SECONDS)  # each process has flushed its metrics by then
    url = client.base_url.copy_with(
        port=default_metrics_port(client.base_url.port), path="/metrics"
    )
    response = await client.get(url)
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/plain")
    return response.text


def new_email() -> str:
    """Return the address of a new student."""
    return f"student-{uuid7().hex}@example.org"


def token(
    secret: str = SECRET, *, kid: str | None = KID, algorithm: str = "HS256", **claims
) -> str:
    """Return a student's token with other claims, without those that are None."""
    now = int(time.time())
    known = {
        "typ": "access",
        "iss": "course-enrollment-service",
        "aud": "course-enrollment-api",
        "sub": str(uuid7()),
        "username": "somebody",
        "role": "student",
        "sid": str(uuid7()),
        "iat": now,
        "nbf": now,
        # Parameters are created at collection, long before their tests run.
        "exp": now + 3600,
        "jti": str(uuid7()),
    }
    kept = {name: value for name, value in (known | claims).items() if value is not None}
    return jwt.encode(kept, secret, algorithm, headers={"kid": kid} if kid else None)


def table_of(output: str) -> list[dict[str, str]]:
    """Return the rows of a table that `enroll` has printed, each by its columns."""
    header, *rows = (
        [cell.strip() for cell in line.strip("┃│").split("┃" if "┃" in line else "│")]
        for line in output.splitlines()
        if "┃" in line or "│" in line
    )
    return [dict(zip(header, row, strict=True)) for row in rows]


def bearer(token: str) -> dict[str, str]:
    """Return the headers that carry a token."""
    return {"Authorization": f"Bearer {token}"}


def refused(
    response: httpx.Response, status: int, code: str, message: str, field: str | None = None
) -> None:
    """Assert that the response is this error in the contract's envelope, and nothing else."""
    details = {"code": code} if field is None else {"code": code, "field": field}
    envelope = {"error": TITLES[status], "message": message, "details": details}
    assert (response.status_code, response.json()) == (status, envelope), response.text
    assert response.headers["content-type"] == "application/json"
    assert response.headers["x-request-id"]


def refused_for(response: httpx.Response, *faults: tuple[str, str, str]) -> None:
    """Assert that the response is a 400 with exactly these faults: (field, code, message)."""
    if len(faults) == 1:
        (field, code, message) = faults[0]
        refused(response, 400, code, message, field)
        return
    errors = [dict(zip(("field", "code", "message"), fault, strict=True)) for fault in faults]
    first = errors[0]
    details = {"code": first["code"], "field": first["field"], "errors": errors}
    envelope = {"error": TITLES[400], "message": first["message"], "details": details}
    assert (response.status_code, response.json()) == (400, envelope), response.text


async def eventually(probe: Callable[[], Awaitable[T]], within: float = WAIT_SECONDS) -> T:
    """Return the first true result of the probe."""
    deadline = time.monotonic() + within
    while not (found := await probe()):
        assert time.monotonic() < deadline, f"not within {within} s"
        await asyncio.sleep(0.01)
    return found


async def everywhere(base_url: str, token: str) -> set[int]:
    """Request the profile over many new connections to reach all processes; return statuses."""
    limits = httpx.Limits(max_keepalive_connections=0)
    async with httpx.AsyncClient(base_url=base_url, timeout=30, limits=limits) as client:
        path = "/api/v1/auth/profile"
        asked = [client.get(path, headers=bearer(token)) for _ in range(12)]
        return {response.status_code for response in await asyncio.gather(*asked)}


async def dies_everywhere(base_url: str, token: str) -> None:
    """Assert that every process refuses the token in requests of a second from now, or later."""
    deadline = time.monotonic() + 1
    while True:
        asked_at = time.monotonic()
        if await everywhere(base_url, token) == {401}:
            return
        assert asked_at < deadline, "it still holds after a second"


@dataclass
class Api:
    """A client with an admin's token."""

    client: httpx.AsyncClient
    headers: dict[str, str]

    @classmethod
    async def log_in(cls, client: httpx.AsyncClient) -> Api:
        """Log in as the admin of development."""
        response = await client.post("/api/v1/auth/login", json=ADMIN)
        return cls(client, bearer(response.json()["token"]))

    async def call(self, method: str, path: str, **request) -> httpx.Response:
        """Call an endpoint below /api/v1 as the admin."""
        return await self.client.request(method, f"/api/v1{path}", headers=self.headers, **request)

    async def new_course(self, **fields) -> dict:
        """Create a course and return it."""
        response = await self.call("POST", "/courses", json=COURSE | fields)
        assert response.status_code == 201, response.text
        return response.json()

    async def upload(self, image: bytes, name: str = "photo.jpg", **fields) -> httpx.Response:
        """Create a course with an image; return the response."""
        return await self.call(
            "POST", "/courses/upload", data=COURSE | fields, files={"image": (name, image)}
        )

    async def settled(self, course_id: str, within: float = WAIT_SECONDS) -> dict:
        """Return the course when its image is no longer processing."""
        deadline = time.monotonic() + within
        while True:
            course = (await self.client.get(f"/api/v1/courses/{course_id}")).json()
            if course.get("image", {}).get("status") != "processing":
                return course
            assert time.monotonic() < deadline, f"still processing after {within} s: {course}"
            await asyncio.sleep(0.05)

    async def pictured(self, image: bytes) -> dict:
        """Create a course and return it when its image is ready."""
        course = await self.settled((await self.upload(image)).json()["id"])
        assert course["image"]["status"] == "ready", course
        return course
