"""A connection of HTTP/1.1 that is kept alive, with as little work a request as there can be.

No cookies, no redirects, no decoding: on a machine that is shared with the service, what Locust
uses the service lacks.
"""

import select
import ssl
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from gevent import monkey, socket
from httptools import HttpParserError, HttpResponseParser

CONNECT_SECONDS = 10.0
ANSWER_SECONDS = 30.0
_BLOCK = 262_144
# After so long the server may have closed it; before, looking would be a system call for nothing.
_DOUBTFUL_SECONDS = 2.0
_PORTS = {"http": 80, "https": 443}
# The system's own, for it waits for nothing; gevent's makes watchers for each call.
_Poll = monkey.get_original("select", "poll")

FAILURES = (OSError, HttpParserError)


class ConnectionEndedError(OSError):
    """The server closed the connection in place of an answer"""


class Response:
    """An answer; `feed` it with what the socket gives, until it is `complete`.

    Then it has its `status`, and `lasts` tells whether the connection may be used again.
    """

    def __init__(self) -> None:
        self.body = b""
        self.complete = self.lasts = False
        self.status = 0
        self._headers: list[tuple[bytes, bytes]] = []
        self._parser: HttpResponseParser | None = HttpResponseParser(self)

    def feed(self, data: bytes) -> None:
        """Take what has come."""
        if self._parser:
            self._parser.feed_data(data)

    def header(self, name: str) -> str | None:
        """Return a header; names in lower case."""
        wanted = name.encode()
        found = (value for field, value in self._headers if field.lower() == wanted)
        return next((value.decode("latin-1") for value in found), None)

    # What the parser calls.

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header."""
        self._headers.append((name, value))

    def on_body(self, data: bytes) -> None:
        """Keep a part of the body, which is mostly all of it."""
        self.body = self.body + data if self.body else data

    def on_message_complete(self) -> None:
        """Note that nothing more comes."""
        # A moment later the parser is at the next message, of which it knows nothing. It holds on
        # to who it calls, and so is let go.
        parser, self._parser = self._parser, None
        if parser:
            self.status, self.lasts = parser.get_status_code(), parser.should_keep_alive()
        self.complete = True


class Connection:
    """A connection to one origin, made when it is first needed and again after a failure."""

    def __init__(self, origin: str, headers: Mapping[str, str]) -> None:
        parts = urlsplit(origin)
        self._host = parts.hostname or ""
        self._port = parts.port or _PORTS[parts.scheme]
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None
        self._head = " HTTP/1.1\r\n" + _lines({"Host": parts.netloc, **headers})
        self._socket: Any = None
        self._used_at = 0.0

    def exchange(
        self, method: str, path: str, body: bytes, headers: Mapping[str, str] | None
    ) -> Response:
        """Send a request and return the whole answer.

        Raises:
            OSError, HttpParserError: these are `FAILURES`; the next request connects anew.

        """
        head = f"{method} {path}{self._head}{_lines(headers) if headers else ''}"
        if body:
            head += f"Content-Length: {len(body)}\r\n"
        try:
            connected = self._connect()
            response = _exchange(connected, head.encode("latin-1") + b"\r\n" + body)
        except FAILURES:
            self.close()
            raise
        self._used_at = time.monotonic()
        if not response.lasts:
            self.close()
        return response

    def _connect(self) -> Any:
        is_doubtful = time.monotonic() - self._used_at > _DOUBTFUL_SECONDS
        if self._socket and is_doubtful and _has_news(self._socket):
            self.close()  # nothing was asked: this is its end
        if self._socket is None:
            made = socket.create_connection((self._host, self._port), CONNECT_SECONDS)
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            made.settimeout(ANSWER_SECONDS)
            self._socket = (
                self._tls.wrap_socket(made, server_hostname=self._host) if self._tls else made
            )
        return self._socket

    def close(self) -> None:
        """Close the connection."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def _has_news(connected: socket.socket) -> bool:
    # Not `select`, which knows no descriptor above 1,023: a thousand users have two each.
    waiting = _Poll()
    waiting.register(connected.fileno(), select.POLLIN)
    return bool(waiting.poll(0))


def _lines(headers: Mapping[str, str]) -> str:
    return "".join(f"{name}: {value}\r\n" for name, value in headers.items())


def _exchange(connected: Any, request: bytes) -> Response:
    # Mostly one call: `sendall` would make a timer for it first.
    sent = connected.send(request)
    if sent < len(request):
        connected.sendall(memoryview(request)[sent:])
    response = Response()
    while not response.complete:
        data = connected.recv(_BLOCK)
        if not data:
            raise ConnectionEndedError(ConnectionEndedError.__doc__)
        response.feed(data)
    return response
