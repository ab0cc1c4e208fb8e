"""Middleware of all requests: request id, access log, metrics, security headers."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import lru_cache
from typing import Any

from sanic import Request, Sanic
from sanic.response import BaseHTTPResponse
from uuid_utils import uuid7

from api import tracing as request_tracing
from api.protocol.slow_clients import hang_up
from api.security import cors
from infra.aio.periodic import periodic
from infra.observability import access_log, logs, metrics, tracing
from infra.settings import Environment, Settings
from services.errors import Code, Fault, Invalid

_SANE_ID = re.compile(r"[A-Za-z0-9._\-]{1,128}")
MAX_HEADERS = 100
# All bytes but control characters; without them only line ends of a valid head remain.
TEXT = b"\t" + bytes(range(0x20, 0x7F)) + bytes(range(0x80, 0x100))
# Size of the cache of checked header blocks.
MAX_BLOCKS = 256
# Matches a header line with an empty or invalid name.
_NO_NAME = re.compile(rb"\n:|\n[!#$%&'*+.^_`|~0-9A-Za-z-]*[^!#$%&'*+.^_`|~0-9A-Za-z:\r-]")
_UNCLEAN = Fault(
    "headers", Code.INVALID_FORMAT, "The headers have a character that no header may have"
)
_SAFE_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "X-Permitted-Cross-Domain-Policies": "none",
}
# Adds the headers of every response; the last argument is the request's id.
Complete = Callable[[Request, BaseHTTPResponse, str], None]
Begin = Callable[[Request], Awaitable[None]]
End = Callable[[Request, BaseHTTPResponse], Awaitable[None]]
_HTTPS_ONLY = {"Strict-Transport-Security": "max-age=31536000; includeSubDomains"}

# Maximum delay of access log lines, and of the metrics that a process sends.
FLUSH_SECONDS = 0.1


def install(app: Sanic[Any, Any], settings: Settings) -> None:
    """Install the middleware in the application."""
    is_production = settings.environment is Environment.PRODUCTION
    origins = app.ctx.origins = cors.Origins(settings)
    safe = _SAFE_HEADERS | (_HTTPS_ONLY if is_production else {})

    def complete(request: Request, response: BaseHTTPResponse, request_id: str) -> None:
        response.headers["X-Request-ID"] = request_id
        response.headers.merge(safe)  # headers already set stay
        headers = response.headers
        if not ("cache-control" in headers or "etag" in headers or "last-modified" in headers):
            response.headers["Cache-Control"] = "no-store"
        cors.set_headers(request, response, origins)

    async def end(request: Request, response: BaseHTTPResponse) -> None:
        request_id = _request_id(request)
        complete(request, response, request_id)
        _record(request, response, request_id)
        request_tracing.end(request, response)

    app.ctx.complete, app.ctx.begin, app.ctx.end = complete, begin, end
    app.middleware(begin, "request", priority=100)
    app.middleware(end, "response", priority=-100)


async def begin(request: Request) -> None:
    """Start the clock, bind the request's id to the log, and validate the headers."""
    request.ctx.started = time.perf_counter()
    request_id = _request_id(request)
    request_tracing.begin(request, request_id)
    # The task of a connection keeps the ids of its last request.
    logs.bind(request_id=request_id, trace_id=tracing.trace_id())
    check_head(request)


def check_head(request: Request) -> None:
    """Refuse headers that another server may parse differently.

    Raises:
        Invalid: there are too many headers, or one has an invalid character.

    """
    line, _, block = request.head.partition(b"\r\n")
    fault = _fault_of(block)
    if fault is None and line.translate(None, TEXT):
        fault = _UNCLEAN
    if fault and not getattr(request.ctx, "is_refused", False):
        request.ctx.is_refused = True  # Sanic runs the middleware again for the error
        hang_up(request)
        raise Invalid(fault)


# Clients repeat the same headers.
@lru_cache(maxsize=MAX_BLOCKS)
def _fault_of(block: bytes) -> Fault | None:
    """Return the fault of a header block: a head without its first line; None if it is valid."""
    if block.count(b"\n") >= MAX_HEADERS:
        return Fault("headers", Code.TOO_LONG, f"There may be at most {MAX_HEADERS} headers")
    ends = block.count(b"\r\n") * b"\r\n"
    if block.translate(None, TEXT) != ends or _NO_NAME.search(b"\n" + block):
        return _UNCLEAN
    return None


def _record(request: Request, response: BaseHTTPResponse, request_id: str) -> None:
    """Record the request in the metrics and the access log."""
    started = getattr(request.ctx, "started", None)
    seconds = time.perf_counter() - started if started else 0.0
    route = f"/{request.route.path}" if request.route else metrics.NO_ROUTE
    metrics.requests.observe(seconds, (request.method, route, str(response.status)))
    client = request.app.ctx.limits.clients.address(request)
    # The route, not the path, because a path may contain an email.
    line = (time.time(), request_id, request.method, route, response.status, seconds, client)
    access_log.record((*line, tracing.trace_id()))


@asynccontextmanager
async def flush_telemetry() -> AsyncIterator[None]:
    """Write the access log and the metrics periodically and at the end."""
    flushing = asyncio.create_task(periodic(FLUSH_SECONDS, _flush))
    try:
        yield
    finally:
        flushing.cancel()
        _flush()


def _flush() -> None:
    access_log.flush()
    metrics.flush()


def _request_id(request: Request) -> str:
    context = request.ctx
    known: str | None = getattr(context, "request_id", None)
    if known is None:
        given = request.headers.get("x-request-id", "")
        known = context.request_id = sane_request_id(given) or new_request_id()
    return known


def sane_request_id(given: str) -> str | None:
    """Return the caller's request id if it is well-formed, else None."""
    return given if given and _SANE_ID.fullmatch(given) else None


def new_request_id() -> str:
    """Return a new unique request id."""
    return str(uuid7())
