"""A stopping instance goes on answering, and its listener and idle connections close last."""

import asyncio
import json
import time

import pytest

from tests import photos
from tests.factories import eventually, new_email
from tests.security.servers import own_api
from tests.steady_load import Connection

SETTINGS = {"RATE_LIMIT_EXEMPT": "127.0.0.1"}
DRAIN_SECONDS = 3.0


async def ask(server, method, path, body=b"", **headers):
    """Send one request on a connection of its own."""
    connection = await Connection.open(server.address)
    try:
        return await connection.exchange(method, path, body, **headers)
    finally:
        connection.close()


def an_enrollment(course):
    return json.dumps({"student_email": new_email(), "course_id": course["id"]}).encode()


async def test_a_stopping_instance_answers_for_the_grace_period(service, tmp_path, api):
    course = await api.pictured(photos.jpeg(64, 64))
    path = f"/api/v1/courses/{course['id']}"
    media = "/media/" + course["image_url"].partition("/media/")[2]
    async with own_api(service, tmp_path, DRAIN_SECONDS=str(DRAIN_SECONDS), **SETTINGS) as server:
        tag = (await ask(server, "GET", path)).headers["etag"]
        await ask(server, "GET", media)
        # What is asked, and the status of the response.
        requests = {
            "fast": (("GET", path), 200),
            "not modified": (("GET", path), 304),
            "head": (("HEAD", path), 200),
            "media": (("GET", media), 200),
            "list": (("GET", "/api/v1/courses?limit=3"), 200),
            "normal": (("GET", "/api/v1/courses?limit=3&page=1"), 200),
            "post": (("POST", "/api/v1/enrollments", an_enrollment(course)), 201),
            "error": (("GET", "/api/v1/nothing"), 404),
            "invalid": (("POST", "/api/v1/enrollments", b"{}"), 400),
            "live": (("GET", "/health/live"), 200),
        }
        headers = {"not modified": {"If_None_Match": tag}}
        kept = {name: await Connection.open(server.address) for name in requests}
        for name, connection in kept.items():
            answer = await connection.exchange("GET", path)
            assert answer.lasts, name
        idle, slow = await Connection.open(server.address), await Connection.open(server.address)
        assert (await idle.exchange("GET", path)).lasts
        body = an_enrollment(course)
        slow.write(
            b"POST /api/v1/enrollments HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b"Content-Length: %d\r\n\r\n" % len(body)
        )

        stopped_at = time.monotonic()
        server.process.terminate()

        async def is_not_ready():
            answer = await ask(server, "GET", "/health/ready")
            assert answer.lasts == (answer.status == 200)
            return answer if answer.status == 503 else None

        answer = await eventually(is_not_ready, within=2)
        assert answer.headers["retry-after"]
        for name, (request, status) in requests.items():
            answer = await kept[name].exchange(*request, **headers.get(name, {}))
            shown = (name, answer.status, answer.headers.get("connection"))
            assert shown == (name, status, "close")
            # As on a new connection.
            if name != "post":
                answer = await ask(server, *request, **headers.get(name, {}))
                assert (answer.status, answer.lasts) == (status, False), name
        slow.write(body)
        answer = await slow.answer()
        assert (answer.status, answer.lasts) == (201, False)
        assert not idle.is_closed
        with pytest.raises(ConnectionRefusedError):
            while True:
                assert (await ask(server, "GET", path)).status == 200
                await asyncio.sleep(0.1)
        assert time.monotonic() - stopped_at >= DRAIN_SECONDS

        async def is_closed():
            return idle.is_closed

        await eventually(is_closed, within=10)
        for connection in (*kept.values(), idle, slow):
            connection.close()
        await asyncio.to_thread(server.process.wait, 15)


async def test_a_first_request_in_the_last_moment_is_answered(service, tmp_path):
    """The connection is accepted before the listener closes, its request comes after."""
    async with own_api(service, tmp_path, DRAIN_SECONDS="1", **SETTINGS) as server:
        server.process.terminate()
        last = None
        while True:
            try:
                newer = await Connection.open(server.address)
            except (ConnectionRefusedError, ConnectionResetError):
                # Refused, or reset while the listener closed.
                break
            if last:
                last.close()
            last = newer
            await asyncio.sleep(0.002)
        answer = await last.exchange("GET", "/health/live")
        last.close()
        assert (answer.status, answer.lasts) == (200, False)
        await asyncio.to_thread(server.process.wait, 15)
