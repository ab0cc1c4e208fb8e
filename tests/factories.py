"""What tests make: courses, students, an admin's session."""

from __future__ import annotations

import asyncio
import socket
import time
from contextlib import ExitStack
from dataclasses import dataclass

import httpx
from uuid_utils.compat import uuid7

ADMIN = {"username": "admin", "password": "admin!dev"}
COURSE = {
    "title": "Advanced React Development",
    "description": "Master React hooks, context, and performance optimization",
    "difficulty": "Advanced",
}
NO_ID = "019aae3c-5f00-7cc0-8000-3f1bb9a3c001"


def free_ports(count: int) -> list[int]:
    """Return ports of the loopback address that nobody listens on."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def new_email() -> str:
    """Return the address of a student nobody has seen yet."""
    return f"student-{uuid7().hex}@example.org"


@dataclass
class Api:
    """A client with an admin's token."""

    client: httpx.AsyncClient
    headers: dict[str, str]

    @classmethod
    async def log_in(cls, client: httpx.AsyncClient) -> Api:
        """Log in as the admin of development."""
        answer = await client.post("/api/v1/auth/login", json=ADMIN)
        return cls(client, {"Authorization": f"Bearer {answer.json()['token']}"})

    async def call(self, method: str, path: str, **request) -> httpx.Response:
        """Call an endpoint below /api/v1 as the admin."""
        return await self.client.request(method, f"/api/v1{path}", headers=self.headers, **request)

    async def new_course(self, **fields) -> dict:
        """Create a course and return it."""
        answer = await self.call("POST", "/courses", json=COURSE | fields)
        assert answer.status_code == 201, answer.text
        return answer.json()

    async def upload(self, image: bytes, name: str = "photo.jpg", **fields) -> httpx.Response:
        """Create a course with an image; return the answer."""
        return await self.call(
            "POST", "/courses/upload", data=COURSE | fields, files={"image": (name, image)}
        )

    async def settled(self, course_id: str, within: float = 20) -> dict:
        """Return the course when its image is no longer processing."""
        deadline = time.monotonic() + within
        while True:
            course = (await self.client.get(f"/api/v1/courses/{course_id}")).json()
            if course.get("image", {}).get("status") != "processing":
                return course
            assert time.monotonic() < deadline, f"still processing after {within} s: {course}"
            await asyncio.sleep(0.05)
