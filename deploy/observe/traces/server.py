"""The receiver over HTTP: `POST /v1/traces` by OTLP, `GET /traces` for people and `enroll trace`.

It listens on the loopback address, and answers only requests that name it: no page of another site
reads traces or sends them.
"""

import gzip
import zlib
from dataclasses import asdict
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import orjson
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from deploy.observe.traces.pages import recent_page, traces_page
from deploy.observe.traces.store import SpanStore
from deploy.observe.traces.tree import Node, tree

HOST = "127.0.0.1"
PROTOBUF = "application/x-protobuf"
MAX_BODY_BYTES = 16 * 1024 * 1024
MAX_SHOWN = 200
IDLE_SECONDS = 60
_NAMES = frozenset({"127.0.0.1", "localhost"})
_SAFE = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


def open_server(port: int, store: SpanStore) -> ThreadingHTTPServer:
    """Return the server of a store, bound to a port."""

    class Handler(_Handler):
        spans = store

    server = ThreadingHTTPServer((HOST, port), Handler)
    server.daemon_threads = True
    return server


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = IDLE_SECONDS
    spans: SpanStore

    def do_POST(self) -> None:
        """Take spans."""
        length = int(self.headers.get("Content-Length") or -1)
        if not 0 <= length <= MAX_BODY_BYTES:
            self.close_connection = True
            self._answer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, b"")
            return
        body = self.rfile.read(length)
        if self._is_foreign() or urlsplit(self.path).path != "/v1/traces":
            self._answer(HTTPStatus.NOT_FOUND, b"")
        elif self.headers.get_content_type() != PROTOBUF:
            self._answer(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, b"")
        else:
            self._take(body)

    def do_GET(self) -> None:
        """Show traces: as a page, or as JSON."""
        target = urlsplit(self.path)
        any_id = parse_qs(target.query).get("id", [""])[0].strip()
        if self._is_foreign() or target.path not in {"/", "/traces", "/traces.json"}:
            self._answer(HTTPStatus.NOT_FOUND, b"")
        elif target.path == "/traces.json":
            found = [[_plain(node) for node in tree(spans)] for spans in self.spans.find(any_id)]
            self._answer(HTTPStatus.OK, orjson.dumps(found), "application/json")
        elif any_id:
            self._show(traces_page(any_id, self.spans.find(any_id)))
        else:
            self._show(recent_page(self.spans.recent(MAX_SHOWN)))

    def _take(self, body: bytes) -> None:
        try:
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            self.spans.add(ExportTraceServiceRequest.FromString(body))
        except (DecodeError, OSError, EOFError, zlib.error):
            self._answer(HTTPStatus.BAD_REQUEST, b"")
        else:
            # An empty response message.
            self._answer(HTTPStatus.OK, b"", PROTOBUF)

    def _is_foreign(self) -> bool:
        """Return whether the request names another host, as of a page that rebinds its name."""
        return self.headers.get("Host", "").rpartition(":")[0] not in _NAMES

    def _show(self, page: str) -> None:
        self._answer(HTTPStatus.OK, page.encode(), "text/html; charset=utf-8")

    def _answer(self, status: HTTPStatus, body: bytes, kind: str = "text/plain") -> None:
        self.send_response(status)
        for name, value in {**_SAFE, "Content-Type": kind, "Content-Length": len(body)}.items():
            self.send_header(name, str(value))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Print nothing."""


def _plain(node: Node) -> dict[str, Any]:
    return {
        **asdict(node.span),
        "is_orphan": node.is_orphan,
        "below": [_plain(each) for each in node.below],
    }
