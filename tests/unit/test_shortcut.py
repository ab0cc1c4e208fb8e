"""What is plain enough for the short way, and when it steps aside."""

import asyncio
import time
from types import SimpleNamespace

import pytest
from sanic.http import Stage

from api.cached import headers_of
from api.shortcut import Heads, Shortcut, ShortcutProtocol, parse
from infra import access
from infra.cache import Entry, Key, Page
from infra.cache.memory import Memory

PLAIN = b"GET /api/v1/courses?page=2 HTTP/1.1\r\nHost: a\r\n%s\r\n"
OTHERS = [
    b"POST /api/v1/courses HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /api/v1/courses HTTP/1.0\r\nHost: a\r\n\r\n",
    b"GET /api/v1/courses HTTP/1.1\r\nHost: a\r\n",
    b"GET /api/v1/courses  HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET http://a/api/v1/courses HTTP/1.1\r\nHost: a\r\n\r\n",
    PLAIN % b"" + PLAIN % b"",
    PLAIN % b"Origin: https://app.example.org\r\n",
    PLAIN % b"Connection: close\r\n",
    PLAIN % b"Connection: keep-alive, Upgrade\r\n",
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


def test_a_plain_request_is_understood():
    asked = parse(
        PLAIN % b'IF-NONE-MATCH: "a"\r\nx-request-id: mine\r\nConnection: Keep-Alive\r\n'
        b"Accept: */*\r\nX-Forwarded-For: 10.0.0.1, 10.0.0.2\r\n"
    )
    assert asked == ("GET", b"/api/v1/courses?page=2", '"a"', "mine", "10.0.0.1, 10.0.0.2")
    head = parse(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert head[:3] == ("HEAD", b"/", None)


@pytest.mark.parametrize("given", [b"", b"X-Request-ID: a b\r\n", b"X-Request-ID: \xff\r\n"])
def test_who_brings_no_sane_id_gets_one(given):
    assert len(parse(PLAIN % given).request_id) == 36


@pytest.mark.parametrize("data", OTHERS, ids=lambda data: repr(data[:90]))
def test_anything_else_goes_the_long_way(data):
    assert parse(data) is None


class Wire:
    """A protocol on a transport that only remembers, in front of a memory of one answer."""

    def __init__(self, *, granted=True):
        self.written = []
        self.long = []
        self.entry = Entry.of(b"[]")
        self.entry.prepared = Heads("/x", b"/x", b"200\r\nx-request-id: ", b"304\r\nx-request-id: ")
        limits = SimpleNamespace(
            reads=SimpleNamespace(take=lambda _: granted),
            clients=SimpleNamespace(address_of=lambda peer, _: peer, key_of=lambda peer: peer),
        )
        slot = SimpleNamespace(entry=self.entry)
        self.counted = []
        hot = SimpleNamespace(
            get={b"/x": slot, b"/y": slot}.get,
            cut={b"/x?cut": slot}.get,
            count=self.counted.append,
        )
        self.protocol = object.__new__(ShortcutProtocol)
        self.shown = Entry.of(b"image")
        self.shown.prepared = Heads("/media", b"/media/a/1.webp", b"200\r\nx-request-id: ")
        recent = SimpleNamespace(
            at_hand={
                "a/1.webp": SimpleNamespace(entry=self.shown),
                "a/%31.webp": SimpleNamespace(entry=self.shown),
            }.get
        )
        self.protocol._shortcut = Shortcut(hot, recent, limits)
        self.protocol._can_write = asyncio.Event()
        self.protocol._can_write.set()
        self.protocol.transport = SimpleNamespace(write=self.written.append)
        self.protocol.conn_info = SimpleNamespace(client_ip="127.0.0.1")
        self.protocol._is_between = True
        self.protocol.app = SimpleNamespace(config=SimpleNamespace(KEEP_ALIVE_TIMEOUT=75))

    def send(self, head, monkeypatch):
        super_class = ShortcutProtocol.__mro__[1]
        monkeypatch.setattr(super_class, "data_received", lambda _, data: self.long.append(data))
        self.protocol.data_received(head + b" HTTP/1.1\r\nX-Request-ID: me\r\n\r\n")
        access._lines.clear()
        return self.written, len(self.long)


@pytest.mark.parametrize(
    ("head", "answer"),
    [
        (b"GET /x", b"200\r\nx-request-id: me\r\n\r\n[]"),
        (b"HEAD /x", b"200\r\nx-request-id: me\r\n\r\n"),
        (b"GET /x?cut", b"200\r\nx-request-id: me\r\n\r\n[]"),
    ],
)
def test_what_memory_has_is_answered_at_once(monkeypatch, head, answer):
    wire = Wire()
    assert wire.send(head, monkeypatch) == ([answer], 0)
    assert len(wire.counted) == 1


def test_an_image_at_hand_is_answered_at_once(monkeypatch):
    wire = Wire()
    answer = b"200\r\nx-request-id: me\r\n\r\nimage"
    assert wire.send(b"GET /media/a/1.webp", monkeypatch) == ([answer], 0)
    # It is no answer of the cache, and no hit of it.
    assert wire.counted == []


@pytest.mark.parametrize(
    "target", [b"/media/a/2.webp", b"/media/a/1.webp?x", b"/media/a/%31.webp", b"/medium/a/1.webp"]
)
def test_another_image_goes_the_long_way(monkeypatch, target):
    assert Wire().send(b"GET " + target, monkeypatch) == ([], 1)


def test_an_answer_that_was_never_sent_the_long_way_is_not_sent_the_short_way(monkeypatch):
    wire = Wire()
    wire.entry.prepared = None
    assert wire.send(b"GET /x", monkeypatch) == ([], 1)
    wire.entry.prepared = Heads("/x", b"/x", None, b"304")
    assert wire.send(b"GET /x", monkeypatch) == ([], 2)
    assert wire.counted == []


def test_heads_of_another_answer_have_its_tag_and_length():
    old, new = Entry.of(b"[]"), Entry.of(b"[1, 2, 3]")
    head = 'HTTP/1.1 %d\r\netag: "%s"\r\n%sx-request-id: '
    heads = Heads(
        "/x",
        b"/x?a=2&content-length: 2",
        (head % (200, old.digest, "content-length: 2\r\n")).encode(),
        (head % (304, old.digest, "")).encode(),
    )
    assert heads.renewed(old.digest, new) == Heads(
        "/x",
        b"/x?a=2&content-length: 2",
        (head % (200, new.digest, "content-length: 9\r\n")).encode(),
        (head % (304, new.digest, "")).encode(),
    )
    assert Heads("/x", b"/x").renewed(old.digest, new) == Heads("/x", b"/x")


def test_heads_of_a_page_have_the_links_and_the_total_of_the_new_one():
    old, new = (Entry.of(b"[]", total, Page(2, 10, "sort=title")) for total in (20, 31))
    head = "HTTP/1.1 304\r\n{}\r\nx-request-id: "

    def of(entry):
        sent = [f"{name}: {value}" for name, value in headers_of(entry, "/x").items()]
        return Heads("/x", b"/x", None, head.format("\r\n".join(sent)).encode())

    assert b"page=4" not in of(old).unchanged
    assert of(old).renewed(old.digest, new) == of(new)


def test_another_path_to_the_same_answer_has_heads_of_its_own(monkeypatch):
    wire = Wire()
    assert wire.send(b"GET /y", monkeypatch) == ([], 1)
    assert wire.counted == []


def test_whoever_reads_too_much_is_told_so_by_the_long_way(monkeypatch):
    wire = Wire(granted=False)
    assert wire.send(b"GET /x", monkeypatch) == ([], 1)
    assert wire.counted == []


async def test_heads_that_are_learnt_are_charged_to_the_answers_room(monkeypatch):
    memory = Memory(100_000)
    memory.put(Key("x", "x"), entry := Entry.of(b"[]"), time.monotonic() + 60)
    memory.remember(b"/x", "x")
    wire, sent = Wire(), []

    async def send(_, data):
        sent.append(data)

    monkeypatch.setattr(ShortcutProtocol.__mro__[1], "send", send)
    wire.protocol._http = SimpleNamespace(
        request=SimpleNamespace(
            head=b"GET /x HTTP/1.1\r\nHost: a",
            route=SimpleNamespace(path="x"),
            ctx=SimpleNamespace(entry=entry),
            app=SimpleNamespace(ctx=SimpleNamespace(cache=SimpleNamespace(memory=memory))),
        )
    )
    before = memory.size
    for status in (b"200", b"304", b"304"):
        head = b"HTTP/1.1 %s \r\nx-pad: %s\r\nx-request-id: 1\r\n\r\n" % (status, b"x" * 600)
        await wire.protocol.send(head)
    assert memory.size - before > 2 * 600
    assert memory.size - before == entry.prepared.size
    assert len(sent) == 3


def test_a_slow_reader_is_not_written_to(monkeypatch):
    wire = Wire()
    wire.protocol._can_write.clear()
    assert wire.send(b"GET /x", monkeypatch) == ([], 1)


@pytest.mark.parametrize(
    ("stage", "request_", "between"),
    [
        (Stage.IDLE, None, True),
        # Its answer is sent, what is left of its body is not read yet: that is no request.
        (Stage.IDLE, object(), False),
        (Stage.HANDLER, object(), False),
        (Stage.REQUEST, None, False),
    ],
)
async def test_bytes_in_the_middle_of_a_request_are_never_taken_for_one(stage, request_, between):
    wire = Wire()
    wire.protocol._http = SimpleNamespace(stage=stage, request=request_)
    wire.protocol.transport = SimpleNamespace(resume_reading=lambda: None)
    wire.protocol._data_received = asyncio.Event()
    waiting = asyncio.create_task(wire.protocol.receive_more())
    await asyncio.sleep(0)
    waiting.cancel()
    assert wire.protocol._is_between is between
