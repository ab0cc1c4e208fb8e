"""The fast path: responses from memory are sent inside `data_received`.

Sanic wakes a task, makes a request, matches the route, runs the middleware and renders the
headers. The fast path skips these steps for a plain GET or HEAD of a response in memory. It
applies the same rate limits, metrics and access log. All other requests take the normal path,
through Sanic. Heads are rendered from operations' declarations (api.protocol.header_templates),
never copied from a response to another client.
"""

import re
import time
from functools import lru_cache
from typing import Any, NamedTuple

from sanic.http import Stage

from api.endpoint.etags import matches
from api.middleware import MAX_HEADERS, TEXT, new_request_id, sane_request_id
from api.protocol.flow_control import FlowControlProtocol
from api.protocol.header_templates import HeaderTemplates
from api.security.cors import Origins
from api.security.rate_limits import Limits
from infra.cache import Entry, ResponseCache
from infra.observability import access_log, metrics
from infra.storage import MEDIA_PATH
from infra.storage.object_cache import ObjectCache

LONGEST = 8192
WORDS_OF_LINE = 3
MAX_BLOCKS = 256
# A larger body is written separately, which saves copying it behind the head.
MAX_COPIED_BYTES = 16 * 1024
# A larger body takes the normal path, which writes it as fast as the client reads.
MAX_BODY_BYTES = 512 * 1024
_END = b"\r\n\r\n"
_MEDIA = f"{MEDIA_PATH}/".encode()
# Headers that do not change a public response; `host` must occur once.
_PLAIN = frozenset(
    b"accept accept-encoding accept-language authorization baggage cache-control content-type "
    b"cookie dnt downlink ect host if-modified-since pragma priority purpose referer rtt save-data "
    b"sec-ch-prefers-color-scheme sec-ch-prefers-reduced-motion sec-ch-ua sec-ch-ua-arch "
    b"sec-ch-ua-bitness sec-ch-ua-form-factors sec-ch-ua-full-version "
    b"sec-ch-ua-full-version-list sec-ch-ua-mobile sec-ch-ua-model sec-ch-ua-platform "
    b"sec-ch-ua-platform-version sec-ch-ua-wow64 sec-fetch-dest sec-fetch-mode sec-fetch-site "
    b"sec-fetch-storage-access sec-fetch-user sec-gpc sec-purpose sentry-trace te tracestate "
    b"upgrade-insecure-requests user-agent x-forwarded-host x-forwarded-port x-forwarded-proto "
    b"x-real-ip x-requested-with".split()
)
# Headers whose values matter; a request that repeats one is not plain.
_READ = {
    b"if-none-match": "tags",
    b"origin": "origin",
    b"traceparent": "traceparent",
    b"x-forwarded-for": "forwarded",
    b"x-request-id": "request_id",
}
# W3C Trace Context, with the flag of a caller that does not record the trace.
_UNSAMPLED = re.compile("00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f][02468ace]")


class Fields(NamedTuple):
    """The headers of a plain request; None stands for a missing header."""

    tags: str | None = None
    request_id: str | None = None
    forwarded: str | None = None
    origin: str | None = None
    traceparent: str | None = None


class ParsedRequest(NamedTuple):
    """A plain request."""

    method: str
    target: bytes
    fields: Fields
    request_id: str


def parse(data: bytes) -> ParsedRequest | None:
    """Return the request if the bytes are exactly one plain request; None: use the normal path."""
    if len(data) > LONGEST or not data.startswith((b"GET /", b"HEAD /")) or data[-4:] != _END:
        return None
    line, _, block = data.partition(b"\r\n")
    words = line.split(b" ")
    if len(words) != WORDS_OF_LINE or words[2] != b"HTTP/1.1" or line.translate(None, TEXT):
        return None
    fields = fields_of(block)
    if fields is None:
        return None
    method = "GET" if words[0] == b"GET" else "HEAD"
    return ParsedRequest(method, words[1], fields, fields.request_id or new_request_id())


# A client repeats the same headers on each request.
@lru_cache(maxsize=MAX_BLOCKS)
def fields_of(block: bytes) -> Fields | None:
    """Return the values of a block of headers, if all of them are plain.

    A value that matters is plain if Sanic parses it in the same way: it is ASCII, without
    surrounding blanks except for one after the colon.
    """
    lines = block[:-4].split(b"\r\n")
    if len(lines) > MAX_HEADERS or block.translate(None, TEXT) != b"\r\n" * (len(lines) + 1):
        return None
    hosts = 0
    values: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(b":")
        name = name.lower()
        if name in _PLAIN and colon:
            hosts += name == b"host"
            continue
        value = value.removeprefix(b" ")
        known = _READ.get(name)
        if known and colon and known not in values and value.isascii() and value == value.strip():
            values[known] = value.decode()
        elif name != b"connection" or value.lower() != b"keep-alive":
            return None
    fields = Fields(**values)
    trace = fields.traceparent
    if hosts != 1 or (trace is not None and not _UNSAMPLED.fullmatch(trace)):
        return None
    return fields._replace(request_id=sane_request_id(fields.request_id or ""))


class FastPath:
    """The fast path of a server process."""

    def __init__(
        self, cache: ResponseCache, recent: ObjectCache, limits: Limits, origins: Origins
    ) -> None:
        self._cache = cache
        self._recut = cache.memory.recut
        self._recent = recent
        self._limits = limits
        self._origins = origins

    def respond(self, data: bytes, peer: str) -> tuple[bytes, bytes] | None:
        """Return the response, if the request is plain and memory has the entry.

        The result is the head with a small body and b"", or the head and a large body.
        """
        began = time.perf_counter()
        parsed = parse(data)
        if parsed is None:
            return None
        slot = self._cache.find(parsed.target) or self._recut(parsed.target)
        entry = slot.entry if slot else self._shown(parsed.target)
        if entry is None:
            return None
        heads = entry.prepared
        path = parsed.target.partition(b"?")[0]
        if not isinstance(heads, HeaderTemplates) or heads.path != path:
            return None
        if len(entry.body) > MAX_BODY_BYTES:
            return None
        is_known = matches(parsed.fields.tags, entry.digest, weak=True)
        head = heads.unchanged if is_known else heads.full
        clients = self._limits.clients
        client = clients.address_of(
            peer, [parsed.fields.forwarded] if parsed.fields.forwarded else []
        )
        if not self._limits.reads.take(clients.key_of(client)):
            return None
        # Counted only here: the normal path counts the requests that it serves.
        if slot:
            self._cache.count(slot)
        body = b"" if is_known or parsed.method == "HEAD" else entry.body
        is_small = len(body) <= MAX_COPIED_BYTES
        cors = b"" if parsed.fields.origin is None else self._origins.lines(parsed.fields.origin)
        parts = (head.before, parsed.request_id.encode(), head.middle, cors, head.after)
        status = 304 if is_known else 200
        seconds = time.perf_counter() - began
        route = heads.declared.route
        metrics.requests.observe(seconds, (parsed.method, route, str(status)))
        line = (time.time(), parsed.request_id, parsed.method, route)
        access_log.record((*line, status, seconds, client, None))
        return b"".join((*parts, body if is_small else b"")), b"" if is_small else body

    def close(self) -> None:
        """Leave all requests to the normal path, which ends the connections of a draining process.

        A flag would cost each request a comparison.
        """
        self.respond = lambda _data, _peer: None  # type: ignore[assignment]

    def _shown(self, target: bytes) -> Entry | None:
        """Return the entry of a stored object, if memory has it."""
        if not target.startswith(_MEDIA):
            return None
        # The target is not unquoted: no header template has the path of a quoted name.
        shown = self._recent.peek(target[len(_MEDIA) :].decode("latin-1"))
        return shown.entry if shown else None


class FastPathProtocol(FlowControlProtocol):
    """Sanic's protocol, which tries the fast path before Sanic parses the bytes."""

    __slots__ = ("_fast_path", "_is_between")

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._fast_path: FastPath = self.app.ctx.fast_path
        # True while Sanic waits for a new request: the response to the last one has been sent, and
        # its body has been read.
        self._is_between = False

    async def receive_more(self) -> None:
        """Wait for bytes; Sanic calls this between reads."""
        http = self._http
        self._is_between = http.stage is Stage.IDLE and http.request is None
        # The same as Sanic's own, with one coroutine less.
        transport: Any = self.transport
        transport.resume_reading()
        self._data_received.clear()
        await self._data_received.wait()

    def data_received(self, data: bytes) -> None:
        """Send a response from memory, or pass the bytes to Sanic."""
        transport, peer = self.transport, self.conn_info
        if self._is_between and self._can_write.is_set() and transport and peer:
            response = self._fast_path.respond(data, peer.client_ip)
            if response is not None:
                head, body = response
                self._time = time.monotonic()
                self.keep_alive_timeout = self._keep_alive_seconds
                transport.write(head)
                if body:
                    self.sending = body
                    transport.write(body)
                return
        self._is_between = False
        super().data_received(data)
