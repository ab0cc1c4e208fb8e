"""What each part of a cached read costs: the parts one by one, so many times over, in one process.

python -m loadtests.bench.profile.costs
"""

import asyncio
import os
import sys
import time
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack, redirect_stderr
from functools import partial
from math import inf
from types import SimpleNamespace
from typing import Any

from sanic.compat import Header
from sanic.response import HTTPResponse

from api import middleware
from api.app import create_app
from api.context import Application
from api.endpoint.cached import headers_of
from api.endpoint.etags import matches
from api.endpoint.replies import JSON
from api.protocol.fast_path import FastPath, parse
from api.protocol.header_templates import Declaration, HeaderTemplates
from api.security.rate_limits import Limits
from infra.cache import Entry, Key, ResponseCache, SecondLevel
from infra.observability import access_log, metrics
from infra.rate_limits.buckets import RateClass
from infra.settings import Settings
from infra.storage import open_storage
from infra.storage.object_cache import ObjectCache

TIMES = 20_000
BODY_BYTES = 10_000
CLIENT = "127.0.0.1"
ROUTE = "/api/v1/courses"
TARGET = b"/api/v1/courses?limit=20"
ASKED = b"GET " + TARGET + b" HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nAccept: */*\r\n\r\n"

Costs = dict[str, float]


async def costs() -> tuple[Costs, Costs]:
    """Return the microseconds of the fast path's parts, and of the normal path's middleware."""
    # More than is asked here, but limited: exempt clients cost less.
    settings = Settings(_env_file=None, rate_limit_reads=100_000_000, storage_url="memory://")
    app = create_app(settings)
    async with AsyncExitStack() as resources:
        limits = app.ctx.limits = await Limits.open(settings, None, app.ctx.streams, resources)
        limits.reads.take(CLIENT)
        await limits.reads.lease_tokens()
        with open(os.devnull, "w") as nowhere, redirect_stderr(nowhere):  # noqa: ASYNC230, PTH123  nothing else runs
            return await _fast(app), _normal(app)


async def _fast(app: Application) -> Costs:
    cache = ResponseCache(SecondLevel("memory://"), memory_bytes=1 << 24)
    cache.trust.until = inf
    entry, key = Entry.of(b"x" * BODY_BYTES), Key("costs")

    async def make() -> Entry:
        return entry

    await cache.get(key, make)
    cache.memory.remember(TARGET, key.name)
    if slot := cache.memory.get(key.name):
        slot.expires = inf
    declared = Declaration(ROUTE, ROUTE, JSON, partial(headers_of, path=ROUTE))
    heads = entry.prepared = HeaderTemplates.of(app, declared, entry)
    fast_path, limits, tag = fast_path_of(app, cache), app.ctx.limits, f'"{entry.digest}"'
    line: access_log.Line = (time.time(), "an-id", "GET", ROUTE, 200, 0.001, CLIENT, None)
    whole = _time(lambda: fast_path.respond(ASKED, CLIENT))
    if fast_path.respond(ASKED, CLIENT) is None:
        raise RuntimeError("the fast path was not taken to the end")
    return {
        "all of it": whole,
        "parsing, the id below included": _time(lambda: parse(ASKED)),
        "request id": _time(middleware.new_request_id),
        "finding the answer": _time(lambda: cache.find(TARGET)),
        "comparing the ETag, where one is given": _time(
            lambda: matches(tag, entry.digest, weak=True)
        ),
        "rate limit": _time(lambda: limits.reads.take(CLIENT)),
        "security headers: they are in the head, which is joined with the body": _time(
            lambda: b"".join((*heads.full, b"an-id", entry.body))
        ),
        "metrics": _time(lambda: metrics.requests.observe(0.001, ("GET", ROUTE, "200"))),
        "access log, the writing included": _time(lambda: access_log.record(line)),
    }


def fast_path_of(app: Application, cache: ResponseCache) -> FastPath:
    """Return the fast path to a cache, without images."""
    recent = ObjectCache(open_storage(app.ctx.settings), 0, 0.0)
    return FastPath(cache, recent, app.ctx.limits, app.ctx.origins)


def _normal(app: Application) -> Costs:
    headers = Header({"host": "127.0.0.1:8080", "accept": "*/*"})

    def request() -> Any:
        return app.request_class(TARGET, headers, "1.1", "GET", None, app)  # type: ignore[arg-type]

    asked = request()
    _drive(middleware.begin(asked))
    answered = HTTPResponse(b"x" * BODY_BYTES, 200, {"ETag": '"x"'}, "application/json")
    end: Any = app.response_middleware[0].func
    asked.conn_info = SimpleNamespace(client_ip=CLIENT)
    return {
        "request id, the clock, ids for the log": _time(lambda: _drive(middleware.begin(request())))
        - _time(request),
        "rate limit": _time(lambda: _drive(app.ctx.limits.spend(asked, RateClass.READS))),
        "security headers, CORS, metrics and access log, the writing included": _time(
            lambda: _drive(end(asked, answered))
        ),
    }


def _drive(coroutine: Coroutine[Any, Any, Any]) -> None:
    """Run one that waits for nothing."""
    try:
        coroutine.send(None)
    except StopIteration:
        return
    raise RuntimeError("it waits")


def _time(part: Callable[[], object]) -> float:
    """Return the microseconds of processor that a call takes."""

    def once() -> float:
        began = time.process_time()
        for _ in range(TIMES):
            part()
        return (time.process_time() - began) / TIMES * 1e6

    return min(once() for _ in range(3))


def table(fast: Costs, normal: Costs) -> str:
    """Render both ways."""
    lines = ["| part | µs |", "|---|---:|"]
    for way, parts in (("the fast path", fast), ("the normal path's middleware", normal)):
        lines += [f"| **{way}** | |", *(f"| {part} | {cost:.1f} |" for part, cost in parts.items())]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.stdout.write(table(*asyncio.run(costs())) + "\n")
