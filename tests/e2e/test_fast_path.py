"""The fast path sends the same bytes as the normal path, at any state of the connection."""

import asyncio
from urllib.parse import urlsplit

import pytest
from uuid_utils.compat import uuid7

from tests.factories import scrape

LONG = "X-Not-Plain: 1"


class Line:
    """A kept connection on which a test writes raw requests."""

    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer

    async def ask(self, target, *headers, method="GET"):
        """Return the status line, the headers without the request id, and the body."""
        self.send(target, *headers, method=method)
        return await self.read_response(method)

    def send(self, target, *headers, method="GET"):
        lines = "".join(f"{line}\r\n" for line in ("Host: a", *headers))
        self.writer.write(f"{method} {target} HTTP/1.1\r\n{lines}\r\n".encode())

    async def read_response(self, method="GET"):
        async with asyncio.timeout(10):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
            status, *lines = head.strip().split("\r\n")
            pairs = dict(line.lower().split(": ", 1) for line in lines)
            assert pairs.pop("x-request-id")
            length = int(pairs.get("content-length", 0)) if method != "HEAD" else 0
            return status, pairs, await self.reader.readexactly(length)


@pytest.fixture
async def line(service):
    """A new connection."""
    parts = urlsplit(service.base_url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    yield Line(reader, writer)
    writer.close()
    await writer.wait_closed()


@pytest.fixture
async def course(api):
    """A course that was not read before."""
    return await api.new_course(title=uuid7().hex)


@pytest.fixture(params=["list", "page", "search", "course"])
def target(request, course):
    """A URL whose response is cached."""
    return {
        "list": "/api/v1/courses",
        "page": "/api/v1/courses?page=1&limit=3",
        "search": f"/api/v1/courses?search={course['title']}",
        "course": f"/api/v1/courses/{course['id']}",
    }[request.param]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_both_paths_send_the_same_response(line, target, method):
    await line.ask(target)
    short, long, again = [
        await line.ask(target, *headers, method=method) for headers in ((), (LONG,), ())
    ]
    assert short[0] == "HTTP/1.1 200 OK"
    assert short == long == again


async def test_both_paths_send_the_same_304(line, target):
    _, headers, _ = await line.ask(target)
    tag = f"If-None-Match: {headers['etag']}"
    learned, short, long = [await line.ask(target, *more) for more in ((tag,), (tag,), (tag, LONG))]
    assert short[0] == "HTTP/1.1 304 Not Modified"
    assert learned == short == long
    _, _, body = await line.ask(target, 'If-None-Match: "another"')
    assert body


async def test_the_clients_request_id_is_returned(line, target):
    for _ in range(3):
        line.send(target, "X-Request-ID: mine-1")
        head = await line.reader.readuntil(b"\r\n\r\n")
        assert b"x-request-id: mine-1\r\n" in head.lower()
        length = next(
            int(each[15:])
            for each in head.lower().split(b"\r\n")
            if each.startswith(b"content-length")
        )
        await line.reader.readexactly(length)


async def test_pipelined_requests_are_answered_in_order(line, course):
    target = f"/api/v1/courses/{course['id']}"
    _, _, body = await line.ask(target)
    await line.ask(target)
    for path in (target, "/health/live", target, target, "/nothing", target):
        line.send(path)
    bodies = [(await line.read_response())[2] for _ in range(6)]
    assert [bodies[0], bodies[2], bodies[3], bodies[5]] == [body] * 4
    assert bodies[1] == b'{"status":"live"}'
    assert b"There is nothing at /nothing" in bodies[4]


async def test_a_request_in_several_packets_is_one_request(line, course):
    target = f"/api/v1/courses/{course['id']}"
    _, _, body = await line.ask(target)
    for piece in (f"GET {target} HT", "TP/1.1\r\nHos", "t: a\r\n\r", "\n"):
        line.writer.write(piece.encode())
        await line.writer.drain()
        await asyncio.sleep(0.02)
    assert (await line.read_response())[2] == body
    assert (await line.ask(target))[2] == body


async def test_a_body_is_not_taken_for_a_request(line, course):
    target = f"/api/v1/courses/{course['id']}"
    await line.ask(target)
    smuggled = f"GET {target} HTTP/1.1\r\nHost: a\r\n\r\n"
    # A request without a route is answered before its body has come.
    line.send("/nothing", f"Content-Length: {len(smuggled)}", method="POST")
    status, _, _ = await line.read_response()
    assert status == "HTTP/1.1 404 Not Found"
    line.writer.write(smuggled.encode())
    await asyncio.sleep(0.05)
    assert (await line.ask("/health/live"))[2] == b'{"status":"live"}'


async def test_a_page_sliced_from_a_new_block_is_the_same_on_both_paths(line, api):
    target = "/api/v1/courses?page=1&limit=4"
    _, headers, _ = await line.ask(target)
    await line.ask(target, f"If-None-Match: {headers['etag']}")
    created = await api.new_course(title="longer, so that the length is another: " + "x" * 100)
    # This reads the block into memory again.
    await line.ask("/api/v1/courses?page=2&limit=4")
    short, long = await line.ask(target), await line.ask(target, LONG)
    assert short == long
    assert created["id"].encode() in short[2]
    tag = f"If-None-Match: {short[1]['etag']}"
    short, long = await line.ask(target, tag), await line.ask(target, tag, LONG)
    assert short == long
    assert short[0] == "HTTP/1.1 304 Not Modified"


async def test_the_fast_path_shows_each_write(line, api, course):
    target = f"/api/v1/courses/{course['id']}"
    for number in range(5):
        await line.ask(target)
        await line.ask(target)
        fields = {"title": f"T{number}", "description": "D", "difficulty": "Beginner"}
        assert (await api.call("PUT", f"/courses/{course['id']}", json=fields)).status_code == 200
        _, _, body = await line.ask(target)
        assert f'"title":"T{number}"'.encode() in body


async def test_the_fast_path_is_counted_in_the_metrics(line, client, course):
    target = f"/api/v1/courses/{course['id']}"
    labels = '{method="GET",route="/api/v1/courses/<course_id:str>",status="200"}'

    async def count():
        text = await scrape(client)
        name = f"http_request_duration_seconds_count{labels} "
        return next((float(each.split()[-1]) for each in text.splitlines() if name in each), 0.0)

    before = await count()
    for _ in range(50):
        await line.ask(target)
    assert await count() - before == 50
