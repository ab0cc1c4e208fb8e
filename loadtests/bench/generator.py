"""A load generator in place of wrk: the same arguments as `load.lua`, the same line of figures.

python -m loadtests.bench.generator URL CONNECTIONS SECONDS [--header LINE] MODE [ARGUMENTS]
"""

import argparse
import asyncio
import itertools
import json
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from urllib.parse import urlsplit

import uvloop

HEAD_END = b"\r\n\r\n"
ERROR_STATUS = 400


def _requests(options: argparse.Namespace) -> Iterator[bytes]:
    parts = urlsplit(options.url)
    path = parts.path + (f"?{parts.query}" if parts.query else "")
    lines = "".join(f"{line}\r\n" for line in options.header)
    head = f"HTTP/1.1\r\nHost: {parts.netloc}\r\n{lines}"
    random = Random(1)  # noqa: S311  repeatable, not secret
    known = Path(options.rest[0]).read_text("ascii").split() if options.mode in FILES else []
    for number in itertools.count():
        if options.mode == "enroll":
            body = json.dumps(
                {
                    "student_email": f"s{number}.{options.rest[1]}@example.org",
                    "course_id": random.choice(known),
                }
            )
            length = f"Content-Length: {len(body)}\r\n"
            if "content-type:" not in head.lower():
                length += "Content-Type: application/json\r\n"
            yield f"POST {path} {head}{length}\r\n{body}".encode()
        elif options.mode == "details":
            yield f"GET {path}/{random.choice(known)} {head}\r\n".encode()
        elif options.mode == "pages":
            yield f"GET {path}&page={random.randint(1, int(options.rest[0]))} {head}\r\n".encode()
        else:
            yield f"GET {path} {head}\r\n".encode()


FILES = frozenset({"enroll", "details"})


class Client(asyncio.Protocol):
    """One connection that sends the next request after each response."""

    def __init__(self, requests: Iterator[bytes], times: list[float], errors: list[str]) -> None:
        self._requests, self._times, self._errors = requests, times, errors
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the first request."""
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]
        self._ask()

    def _ask(self) -> None:
        self._began = time.perf_counter()
        self._transport.write(next(self._requests))

    def data_received(self, data: bytes) -> None:
        """Count a whole response, and send the next request."""
        self._buffer += data
        head, found, body = self._buffer.partition(HEAD_END)
        if not found:
            return
        status = int(head[9:12])
        lengths = [
            line[15:] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")
        ]
        if lengths and len(body) < int(lengths[0]):
            return
        self._times.append(time.perf_counter() - self._began)
        if status >= ERROR_STATUS:
            self._errors.append(str(status))
        self._buffer = b""
        self._ask()

    def connection_lost(self, _error: Exception | None) -> None:
        """Count the lost connection."""
        self._errors.append("lost")


async def _main(options: argparse.Namespace) -> None:
    parts = urlsplit(options.url)
    times: list[float] = []
    errors: list[str] = []
    requests = _requests(options)
    loop = asyncio.get_running_loop()
    began = time.perf_counter()
    for _ in range(options.connections):
        await loop.create_connection(
            lambda: Client(requests, times, errors), parts.hostname, parts.port
        )
    await asyncio.sleep(options.seconds)
    seconds = time.perf_counter() - began
    cuts = [1000 * cut for cut in statistics.quantiles(times, n=100)]
    figures = {"requests": len(times), "seconds": seconds, "errors": len(errors)}
    figures |= {"p50": cuts[49], "p95": cuts[94], "p99": cuts[98], "longest": 1000 * max(times)}
    sys.stdout.write(json.dumps(figures))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="generator")
    parser.add_argument("url")
    parser.add_argument("connections", type=int)
    parser.add_argument("seconds", type=float)
    parser.add_argument("--header", action="append", default=[])
    parser.add_argument("mode")
    parser.add_argument("rest", nargs="*")
    uvloop.run(_main(parser.parse_args()))
