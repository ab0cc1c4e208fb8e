"""The short way: a read whose answer is in memory goes back the moment its bytes are here.

Sanic would wake a task, make a request, ask the router, run the middleware and render the headers,
to send bytes that were all there before. Here a plain GET or HEAD of such an answer is parsed and
answered inside `data_received`; it is limited, measured and logged as every other. Anything that
is not plain goes the long way, which is also where the heads come from: they are taken from what
the long way has sent, so the two can't differ.
"""

import re
import time
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Self

from sanic.http import Stage

from api.cached import headers_of
from api.etags import matches_weakly
from api.limits import Limits
from api.middleware import MAX_HEADERS, TEXT, new_request_id, sane_request_id
from api.patience import PatientProtocol
from api.replies import PAGE_HEADERS
from infra import access, metrics
from infra.cache import Entry
from infra.cache.hot import Hot
from infra.storage import MEDIA_PATH
from infra.storage.recent import Recent

LONGEST = 8192
# What the objects around the bytes of heads take.
HEADS_BYTES = 256
_END = b"\r\n\r\n"
_ID = b"x-request-id: "
_MEDIA = f"{MEDIA_PATH}/".encode()
_LENGTH = re.compile(rb"(?<=\r\ncontent-length: )\d+", re.IGNORECASE)
# What makes no difference to a public answer. Every other header takes the long way.
_PLAIN = frozenset(
    b"accept accept-encoding accept-language authorization cache-control cookie dnt host "
    b"if-modified-since pragma priority referer sec-ch-ua sec-ch-ua-mobile sec-ch-ua-platform "
    b"sec-fetch-dest sec-fetch-mode sec-fetch-site sec-fetch-user sec-gpc te "
    b"upgrade-insecure-requests user-agent x-forwarded-host x-forwarded-port x-forwarded-proto "
    b"x-real-ip".split()
)
# Their values matter; given twice they are not plain.
_READ = {b"if-none-match": "tags", b"x-request-id": "request_id", b"x-forwarded-for": "forwarded"}


class Asked(NamedTuple):
    """A plain request."""

    method: str
    target: bytes
    tags: str | None
    request_id: str
    forwarded: str | None


@dataclass(slots=True)
class Heads:
    """The heads that the long way sent with an entry for a path, without the request's id."""

    route: str
    path: bytes
    full: bytes | None = None
    unchanged: bytes | None = None

    @property
    def size(self) -> int:
        """How many bytes they take, about."""
        return len(self.path) + len(self.full or b"") + len(self.unchanged or b"") + HEADS_BYTES

    def renewed(self, old: str, new: Entry) -> Self:
        """Return the heads of another entry: what differs is its tag, its length and its links."""
        tags = old.encode(), new.digest.encode()
        lines = [
            (re.compile(rb"(?<=\r\n%s: )[^\r]*" % name.lower().encode(), re.IGNORECASE), value)
            for name, value in headers_of(new, self.path.decode("latin-1")).items()
            if name in PAGE_HEADERS
        ]

        def renew(head: bytes | None) -> bytes | None:
            if head is None:
                return None
            head = head.replace(*tags)
            for pattern, value in lines:
                head = pattern.sub(value.encode().replace(b"\\", rb"\\"), head)
            return head

        full = renew(self.full)
        full = full and _LENGTH.sub(b"%d" % len(new.body), full)
        return replace(self, full=full, unchanged=renew(self.unchanged))


def parse(data: bytes) -> Asked | None:
    """Return what is asked, if it is one whole plain request; None sends it the long way."""
    if len(data) > LONGEST or not data.startswith((b"GET /", b"HEAD /")) or data[-4:] != _END:
        return None
    line, *fields = data[:-4].split(b"\r\n")
    if len(fields) > MAX_HEADERS or data.translate(None, TEXT) != b"\r\n" * (len(fields) + 2):
        return None
    words = line.split(b" ")
    if len(words) != len(Asked._fields) - 2 or words[2] != b"HTTP/1.1":
        return None
    values: dict[str, str] = {}
    for field in fields:
        name, colon, value = field.partition(b":")
        name = name.lower()
        if name in _PLAIN and colon:
            continue
        known = _READ.get(name)
        if known and colon and known not in values:
            values[known] = value.strip().decode("latin-1")
        elif name != b"connection" or value.strip().lower() != b"keep-alive":
            return None
    return Asked(
        "GET" if words[0] == b"GET" else "HEAD",
        words[1],
        values.get("tags"),
        sane_request_id(values.get("request_id", "")) or new_request_id(),
        values.get("forwarded"),
    )


class Shortcut:
    """What the short way needs; one in each server process."""

    def __init__(self, hot: Hot, recent: Recent, limits: Limits) -> None:
        self._hot = hot
        self._recent = recent
        self._limits = limits

    def answer(self, data: bytes, peer: str) -> bytes | None:
        """Return the whole answer, if this is plain and memory has it."""
        began = time.perf_counter()
        asked = parse(data)
        if asked is None:
            return None
        slot = self._hot.get(asked.target) or self._hot.cut(asked.target)
        entry = slot.entry if slot else self._shown(asked.target)
        if entry is None:
            return None
        heads = entry.prepared
        path = asked.target.partition(b"?")[0]
        if not isinstance(heads, Heads) or heads.path != path:
            return None
        is_known = matches_weakly(asked.tags, entry.digest)
        head = heads.unchanged if is_known else heads.full
        clients = self._limits.clients
        client = clients.address_of(peer, [asked.forwarded] if asked.forwarded else [])
        if head is None or not self._limits.reads.take(clients.key_of(client)):
            return None
        # Not before: what goes the long way after all is counted there.
        if slot:
            self._hot.count(slot)
        body = b"" if is_known or asked.method == "HEAD" else entry.body
        whole = b"".join((head, asked.request_id.encode(), _END, body))
        status = 304 if is_known else 200
        seconds = time.perf_counter() - began
        metrics.observe_request(asked.method, heads.route, status, seconds)
        whose = (time.time(), asked.request_id, asked.method, path.decode("latin-1"))
        access.record((*whose, status, seconds, client))
        return whole

    def _shown(self, target: bytes) -> Entry | None:
        """Return the object of the store that is asked for, if it is at hand."""
        if not target.startswith(_MEDIA):
            return None
        # A name that has to be quoted is another one here: no head was learnt for its path.
        shown = self._recent.at_hand(target[len(_MEDIA) :].decode("latin-1"))
        return shown.entry if shown else None


class ShortcutProtocol(PatientProtocol):
    """Sanic's protocol, with a look at the bytes first."""

    __slots__ = ("_is_between", "_shortcut")

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._shortcut: Shortcut = self.app.ctx.shortcut
        # Whether Sanic waits for a new request: nothing of an older one may be under way, neither
        # its answer nor what is left of its body.
        self._is_between = False

    async def receive_more(self) -> None:
        """Wait for bytes, as Sanic asks for them."""
        http = self._http
        self._is_between = http.stage is Stage.IDLE and http.request is None
        await super().receive_more()  # type: ignore[no-untyped-call]

    def data_received(self, data: bytes) -> None:
        """Answer at once, or leave the bytes to Sanic."""
        transport, peer = self.transport, self.conn_info
        if self._is_between and self._can_write.is_set() and transport and peer:
            whole = self._shortcut.answer(data, peer.client_ip)
            if whole is not None:
                self._time = time.monotonic()
                self.keep_alive_timeout = self.app.config.KEEP_ALIVE_TIMEOUT
                transport.write(whole)
                return
        self._is_between = False
        super().data_received(data)

    async def send(self, data: bytes) -> None:
        """Send, as Sanic asks, and remember the head of what is in memory."""
        request = self._http.request
        entry = getattr(request.ctx, "entry", None) if request else None
        if entry is not None:
            _learn(entry, request, data)
        await super().send(data)  # type: ignore[no-untyped-call]


def _learn(entry: Entry, request: Any, sent: bytes) -> None:
    """Keep the head that a plain GET was answered with."""
    asked = parse(request.head + _END)
    if asked is None or asked.method != "GET" or not request.route:
        return
    path = asked.target.partition(b"?")[0]
    lines = sent.partition(_END)[0].split(b"\r\n")
    kept = [line for line in lines if not line.lower().startswith(_ID)]
    head = b"\r\n".join((*kept, _ID))
    heads = entry.prepared
    if not isinstance(heads, Heads) or heads.path != path:
        heads = entry.prepared = Heads(f"/{request.route.path}", path)
    if lines[0].startswith(b"HTTP/1.1 200 "):
        heads.full = head
    elif lines[0].startswith(b"HTTP/1.1 304 "):
        heads.unchanged = head
    request.app.ctx.cache.memory.weigh(asked.target, entry, heads.size)
