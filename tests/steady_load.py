"""Clients that send requests at a steady rate, on kept and on new connections, and never retry."""

import asyncio
import itertools
import re
import ssl
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import orjson
from httptools import HttpParserError, HttpResponseParser

from loadtests.steady import Requests, sending
from tests.factories import new_email

FAILURES = (OSError, EOFError, HttpParserError)
ANSWER_SECONDS = 30
_LENGTH = rb"content-length: \d+"


class Answer:
    """A response; `lasts` tells whether its connection may be used again."""

    def __init__(self) -> None:
        self.status = 0
        self.is_complete = self.lasts = False
        self.headers: dict[str, str] = {}
        self.body = b""
        self._parser = HttpResponseParser(self)

    def feed(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.decode().lower()] = value.decode()

    def on_body(self, data: bytes) -> None:
        self.body += data

    def on_message_complete(self) -> None:
        self.status = self._parser.get_status_code()
        self.lasts = self._parser.should_keep_alive()
        self.is_complete = True


class Connection:
    """A connection of HTTP/1.1."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str
    ) -> None:
        self._reader, self._writer, self._host = reader, writer, host

    @classmethod
    async def open(cls, base_url: str, tls: ssl.SSLContext | None = None) -> "Connection":
        parts = urlsplit(base_url)
        streams = await asyncio.open_connection(parts.hostname, parts.port, ssl=tls)
        return cls(*streams, parts.netloc)

    @property
    def is_closed(self) -> bool:
        """Whether the server has closed it, as far as this client has heard."""
        return self._reader.at_eof()

    async def exchange(self, method: str, path: str, body: bytes = b"", **headers: str) -> Answer:
        """Send a request and return the whole response.

        Raises:
            OSError, EOFError, HttpParserError: these are `FAILURES`.

        """
        lines = [f"{method} {path} HTTP/1.1", f"Host: {self._host}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        if body:
            lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
        self.write("\r\n".join((*lines, "", "")).encode() + body)
        return await self.answer(is_head=method == "HEAD")

    def write(self, data: bytes) -> None:
        """Send some bytes."""
        self._writer.write(data)

    async def answer(self, *, is_head: bool = False) -> Answer:
        """Return the next response."""
        answer = Answer()
        async with asyncio.timeout(ANSWER_SECONDS):
            while not answer.is_complete:
                data = await self._reader.read(1 << 16)
                if not data:
                    raise EOFError("the connection was closed in place of a response")
                # The parser would wait for the body that the head declares.
                answer.feed(re.sub(_LENGTH, b"content-length: 0", data) if is_head else data)
        return answer

    def close(self) -> None:
        self._writer.close()


@dataclass
class Kept:
    """Idle connections of a client that keeps them."""

    idle: list[Connection] = field(default_factory=list)

    def take(self) -> Connection | None:
        """Return a connection that the server has not closed, the longest idle one."""
        while self.idle:
            connection = self.idle.pop(0)
            if not connection.is_closed:
                return connection
            connection.close()
        return None

    def close(self) -> None:
        for connection in self.idle:
            connection.close()


@dataclass
class SteadyLoad:
    """Requests of four kinds in turn: GET and POST, each on kept and on new connections."""

    base_url: str
    course_id: str
    sent: Counter[str] = field(default_factory=Counter)
    closing: int = 0
    failed: list[str] = field(default_factory=list)
    enrolled: set[str] = field(default_factory=set)
    # When each response came, and how many seconds after its request.
    times: list[tuple[float, float]] = field(default_factory=list)
    kept: Kept = field(default_factory=Kept)
    _tag: str = ""

    def requests(self) -> Requests:
        """Yield the requests, for `sending`."""
        kinds = itertools.cycle(itertools.product(("GET", "POST"), (True, False)))
        for number, (method, is_kept) in enumerate(kinds):
            yield self._send(method, number, is_kept=is_kept)

    async def _send(self, method: str, number: int, *, is_kept: bool) -> None:
        kind = f"{method} on a {'kept' if is_kept else 'new'} connection"
        self.sent[kind] += 1
        now = asyncio.get_running_loop().time
        began = now()
        connection = self.kept.take() if is_kept else None
        try:
            connection = connection or await Connection.open(self.base_url)
            answer = await (
                self._get(connection, number) if method == "GET" else self._enroll(connection)
            )
        except FAILURES as error:
            self.failed.append(f"{kind}: {error!r}")
            if connection:
                connection.close()
            return
        self.times.append((now(), now() - began))
        self.closing += not answer.lasts
        if is_kept and answer.lasts:
            self.kept.idle.append(connection)
        else:
            connection.close()

    async def _get(self, connection: Connection, number: int) -> Answer:
        path = f"/api/v1/courses/{self.course_id}"
        if number % 8 >= 4 and self._tag:
            answer = await connection.exchange("GET", path, If_None_Match=self._tag)
            self._expect(answer, 304)
            return answer
        answer = await connection.exchange("GET", path)
        self._tag = answer.headers.get("etag", "")
        self._expect(answer, 200)
        return answer

    async def _enroll(self, connection: Connection) -> Answer:
        email = new_email()
        body = orjson.dumps({"student_email": email, "course_id": self.course_id})
        answer = await connection.exchange("POST", "/api/v1/enrollments", body)
        if self._expect(answer, 201):
            self.enrolled.add(email)
        return answer

    def _expect(self, answer: Answer, status: int) -> bool:
        if answer.status != status:
            self.failed.append(f"{answer.status} in place of {status}")
        return answer.status == status


@asynccontextmanager
async def steady_load(base_url: str, course_id: str, rate: float) -> AsyncIterator[SteadyLoad]:
    """Send requests during the block; all have their outcome after it."""
    load = SteadyLoad(base_url, course_id)
    with closing(load.kept):
        async with sending(load.requests(), rate):
            yield load
