"""The requests that the fast path accepts, and those that it leaves to the normal path."""

import asyncio
from functools import partial
from types import SimpleNamespace

import pytest
from sanic.http import Stage

from api.endpoint.cached import headers_of
from api.endpoint.etags import etag
from api.protocol.fast_path import (
    MAX_BODY_BYTES,
    MAX_COPIED_BYTES,
    FastPath,
    FastPathProtocol,
    Fields,
    parse,
)
from api.protocol.header_templates import Declaration, Head, HeaderTemplates
from api.security.cors import MAX_ORIGINS
from infra.cache import Entry, Page
from infra.observability import access_log

PLAIN = b"GET /api/v1/courses?page=2 HTTP/1.1\r\nHost: a\r\n%s\r\n"
TRACE = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331"
OTHERS = [
    b"POST /api/v1/courses HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /api/v1/courses HTTP/1.0\r\nHost: a\r\n\r\n",
    b"GET /api/v1/courses HTTP/1.1\r\nHost: a\r\n",
    b"GET /api/v1/courses  HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET http://a/api/v1/courses HTTP/1.1\r\nHost: a\r\n\r\n",
    PLAIN % b"" + PLAIN % b"",
    PLAIN % b"Origin: https://a.example.org\r\nOrigin: https://b.example.org\r\n",
    PLAIN % b"Origin: https://\xe9.example.org\r\n",
    PLAIN % (b"traceparent: " + TRACE + b"-01\r\n"),
    PLAIN % (b"traceparent: " + TRACE + b"-03\r\n"),
    PLAIN % (b"traceparent: " + TRACE + b"-0\r\n"),
    PLAIN % (b"traceparent: 01" + TRACE[2:] + b"-00\r\n"),
    PLAIN % b"traceparent: \r\n",
    PLAIN % (b"traceparent: " + TRACE + b"-00\r\ntraceparent: " + TRACE + b"-00\r\n"),
    PLAIN % b"Connection: close\r\n",
    PLAIN % b"Connection: keep-alive, Upgrade\r\n",
    PLAIN % b"Connection: keep-alive \r\n",
    PLAIN % b"Connection: keep-alive\t\r\n",
    PLAIN % b"Connection:\tkeep-alive\r\n",
    PLAIN % b"Connection:  keep-alive\r\n",
    PLAIN % b"Host: b\r\n",
    PLAIN.replace(b"Host: a\r\n", b"") % b"",
    PLAIN % b": empty name\r\n",
    PLAIN % b"Accept : */*\r\n",
    PLAIN % b"X-Request-ID: mine \r\n",
    PLAIN % b"X-Request-ID: \xff\r\n",
    PLAIN % b"If-None-Match: \xc2\xa0*\r\n",
    PLAIN % b"If-None-Match: *\t\r\n",
    PLAIN % b"Content-Length: 0\r\n",
    PLAIN % b"Transfer-Encoding: chunked\r\n",
    PLAIN % b"Expect: 100-continue\r\n",
    PLAIN % b"Range: bytes=0-1\r\n",
    PLAIN % b"Something: new\r\n",
    PLAIN % b"no colon\r\n",
    PLAIN % b"Accept\r\n",
    PLAIN % b"If-None-Match\r\n",
    PLAIN % b"Accept: a\0b\r\n",
    PLAIN % b"Accept: a\nb: c\r\n",
    PLAIN % b"Accept: a\rb\r\n",
    PLAIN % b"Accept: \x7f\r\n",
    PLAIN % (b"Accept: a\r\n" * 100),
    PLAIN % b" folded: line\r\n",
    PLAIN % b'If-None-Match: "a"\r\nIf-None-Match: "b"\r\n',
    PLAIN % (b"Cookie: " + b"x" * 8192 + b"\r\n"),
]


def test_a_plain_request_is_parsed():
    parsed = parse(
        PLAIN % b'IF-NONE-MATCH: "a"\r\nx-request-id: mine\r\nConnection: Keep-Alive\r\n'
        b"Accept: */*\r\nX-Forwarded-For: 10.0.0.1, 10.0.0.2\r\n"
    )
    fields = Fields('"a"', "mine", "10.0.0.1, 10.0.0.2")
    assert parsed == ("GET", b"/api/v1/courses?page=2", fields, "mine")
    head = parse(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert head[:3] == ("HEAD", b"/", Fields())


@pytest.mark.parametrize("flags", [b"00", b"02", b"fe"])
def test_another_origin_and_an_unsampled_trace_are_plain(flags):
    given = b"Origin: https://app.example.org\r\ntraceparent: %s-%s\r\ntracestate: a=b\r\n"
    assert parse(PLAIN % (given % (TRACE, flags))).fields.origin == "https://app.example.org"


@pytest.mark.parametrize("given", [b"", b"X-Request-ID: a b\r\n"])
def test_a_request_without_a_valid_id_gets_a_new_one(given):
    made = {parse(PLAIN % given).request_id for _ in range(2)}
    assert [len(each) for each in made] == [36, 36]


@pytest.mark.parametrize("data", OTHERS, ids=lambda data: repr(data[:90]))
def test_any_other_request_takes_the_normal_path(data):
    assert parse(data) is None


def heads(path):
    """Return the header templates of a path."""
    full, unchanged = (Head(b"%d\r\nid: " % each, b"\r\n", b"\r\n") for each in (200, 304))
    declared = Declaration(path, path, "application/json", lambda _: {})
    return HeaderTemplates(declared, None, path.encode(), full, unchanged)


class Wire:
    """A protocol on a transport that records writes, over a memory with one response."""

    def __init__(self, *, granted=True):
        self.written = []
        self.normal_path = []
        self.entry = Entry.of(b"[]")
        self.entry.prepared = heads("/x")
        limits = SimpleNamespace(
            reads=SimpleNamespace(take=lambda _: granted),
            clients=SimpleNamespace(address_of=lambda peer, _: peer, key_of=lambda peer: peer),
        )
        slot = SimpleNamespace(entry=self.entry)
        self.counted = []
        cache = SimpleNamespace(
            find={b"/x": slot, b"/y": slot}.get,
            memory=SimpleNamespace(recut={b"/x?cut": slot}.get),
            count=self.counted.append,
        )
        self.protocol = object.__new__(FastPathProtocol)
        self.shown = Entry.of(b"image")
        self.shown.prepared = heads("/media/a/1.webp")
        object_cache = SimpleNamespace(
            peek={
                "a/1.webp": SimpleNamespace(entry=self.shown),
                "a/%31.webp": SimpleNamespace(entry=self.shown),
            }.get
        )
        origins = SimpleNamespace(lines={"https://a.example.org": b"cors\r\n"}.get)
        self.protocol._fast_path = FastPath(cache, object_cache, limits, origins)
        self.protocol._can_write = asyncio.Event()
        self.protocol._can_write.set()
        self.protocol.transport = SimpleNamespace(write=self.written.append)
        self.protocol.conn_info = SimpleNamespace(client_ip="127.0.0.1")
        self.protocol._is_between = True
        self.protocol._keep_alive_seconds = 75

    def send(self, head, monkeypatch, fields=b""):
        super_class = FastPathProtocol.__mro__[1]
        monkeypatch.setattr(
            super_class, "data_received", lambda _, data: self.normal_path.append(data)
        )
        self.protocol.data_received(
            head + b" HTTP/1.1\r\nHost: a\r\nX-Request-ID: me\r\n" + fields + b"\r\n"
        )
        access_log._lines.clear()
        return self.written, len(self.normal_path)


@pytest.mark.parametrize(
    ("head", "response"),
    [
        (b"GET /x", b"200\r\nid: me\r\n\r\n[]"),
        (b"HEAD /x", b"200\r\nid: me\r\n\r\n"),
        (b"GET /x?cut", b"200\r\nid: me\r\n\r\n[]"),
    ],
)
def test_a_response_in_memory_is_sent_at_once(monkeypatch, head, response):
    wire = Wire()
    assert wire.send(head, monkeypatch) == ([response], 0)
    assert len(wire.counted) == 1


def test_a_response_to_another_origin_has_its_own_cors_headers(monkeypatch):
    wire = Wire()
    response = b"200\r\nid: me\r\ncors\r\n\r\n[]"
    origin = b"Origin: https://a.example.org\r\n"
    assert wire.send(b"GET /x", monkeypatch, origin) == ([response], 0)


def test_the_headers_of_many_origins_use_bounded_memory(app):
    for port in range(1, 2 * MAX_ORIGINS):
        assert b"localhost:%d\r\n" % port in app.ctx.origins.lines(f"http://localhost:{port}")
    assert app.ctx.origins.lines("https://evil.example") == b""
    assert app.ctx.origins.lines.cache_info().currsize == MAX_ORIGINS


def test_an_image_in_memory_is_sent_at_once(monkeypatch):
    wire = Wire()
    response = b"200\r\nid: me\r\n\r\nimage"
    assert wire.send(b"GET /media/a/1.webp", monkeypatch) == ([response], 0)
    # It does not come from the response cache, so it is no hit.
    assert wire.counted == []


@pytest.mark.parametrize(
    "target", [b"/media/a/2.webp", b"/media/a/1.webp?x", b"/media/a/%31.webp", b"/medium/a/1.webp"]
)
def test_an_image_not_in_memory_takes_the_normal_path(monkeypatch, target):
    assert Wire().send(b"GET " + target, monkeypatch) == ([], 1)


def test_an_entry_without_header_templates_takes_the_normal_path(monkeypatch):
    wire = Wire()
    wire.entry.prepared = None
    assert wire.send(b"GET /x", monkeypatch) == ([], 1)
    assert wire.counted == []


def test_a_large_body_is_not_copied_and_a_very_large_one_takes_the_normal_path(monkeypatch):
    wire = Wire()
    wire.entry.body = body = b"x" * (MAX_COPIED_BYTES + 1)
    written, _ = wire.send(b"GET /x", monkeypatch)
    assert written == [b"200\r\nid: me\r\n\r\n", body]
    assert written[1] is wire.protocol.sending is body
    wire.entry.body = b"x" * (MAX_BODY_BYTES + 1)
    assert wire.send(b"GET /x", monkeypatch) == (written, 1)


def test_header_templates_are_rendered_from_the_declaration(app):
    def headers(entry):
        return {"ETag": etag(entry.digest), "Link": f"<{entry.total}>"}

    declared = Declaration("/x", "/x", "text/plain", headers)
    old, new = Entry.of(b"[]", 1), Entry.of(b"[1, 2, 3]", 2)
    rendered = HeaderTemplates.of(app, declared, old)
    assert rendered.full.before.startswith(b"HTTP/1.1 200 OK\r\n")
    assert rendered.full.before.endswith(b"\r\nX-Request-ID: ")
    assert rendered.full.after.startswith(b"content-length: 2\r\n")
    assert b"\r\ncontent-type: text/plain\r\n" in rendered.full.after
    assert rendered.unchanged.before.startswith(b"HTTP/1.1 304 Not Modified\r\n")
    assert b"content-" not in rendered.unchanged.after
    for head in (rendered.full, rendered.unchanged):
        assert f"etag: {etag(old.digest)}\r\nlink: <1>\r\n".encode() in head.before.lower()
        assert b"\r\nVary: Origin\r\n" in head.middle
        assert b"\r\nconnection: keep-alive\r\n" in b"\r\n" + head.after
        assert head.after.endswith(b"\r\n\r\n")
    assert rendered.renewed(new) == HeaderTemplates.of(app, declared, new) != rendered


def test_the_headers_of_a_new_page_have_its_links_and_total(app):
    old, new = (Entry.of(b"[]", total, Page(2, 10, "sort=title")) for total in (20, 31))
    declared = Declaration("/x", "/x", "application/json", partial(headers_of, path="/x"))
    before = HeaderTemplates.of(app, declared, old)
    after = before.renewed(new)
    assert b"page=4" not in before.unchanged.before
    for head in (after.full, after.unchanged):
        assert b"X-Total-Count: 31\r\n" in head.before
        assert b'</x?page=4&limit=10&sort=title>; rel="last"' in head.before


def test_each_path_to_a_response_has_its_own_header_templates(monkeypatch):
    wire = Wire()
    assert wire.send(b"GET /y", monkeypatch) == ([], 1)
    assert wire.counted == []


def test_a_client_over_its_limit_gets_429_by_the_normal_path(monkeypatch):
    wire = Wire(granted=False)
    assert wire.send(b"GET /x", monkeypatch) == ([], 1)
    assert wire.counted == []


def test_the_fast_path_does_not_write_to_a_slow_reader(monkeypatch):
    wire = Wire()
    wire.protocol._can_write.clear()
    assert wire.send(b"GET /x", monkeypatch) == ([], 1)


@pytest.mark.parametrize(
    ("stage", "request_", "between"),
    [
        (Stage.IDLE, None, True),
        # The response is sent, but the rest of the request's body has not been read.
        (Stage.IDLE, object(), False),
        (Stage.HANDLER, object(), False),
        (Stage.REQUEST, None, False),
    ],
)
async def test_bytes_in_the_middle_of_a_request_are_not_a_new_request(stage, request_, between):
    wire = Wire()
    wire.protocol._http = SimpleNamespace(stage=stage, request=request_)
    wire.protocol.transport = SimpleNamespace(resume_reading=lambda: None)
    wire.protocol._data_received = asyncio.Event()
    waiting = asyncio.create_task(wire.protocol.receive_more())
    await asyncio.sleep(0)
    waiting.cancel()
    assert wire.protocol._is_between is between
