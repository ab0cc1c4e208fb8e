"""What happens to every request: an id, a log line, a measurement, safe headers."""

import re
import time
from typing import Any

from sanic import Request, Sanic
from sanic.response import BaseHTTPResponse
from uuid_utils.compat import uuid7

from infra import logs, metrics

_SANE_ID = re.compile(r"[A-Za-z0-9._\-]{1,128}")
_SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}

log = logs.get_logger("access")


def install(app: Sanic[Any, Any]) -> None:
    """Put the middleware on the application."""
    app.middleware(begin, "request", priority=100)
    app.middleware(end, "response", priority=-100)


async def begin(request: Request) -> None:
    """Start the clock and bind the request's id to the log."""
    request.ctx.started = time.perf_counter()
    logs.bind(request_id=_request_id(request))


async def end(request: Request, response: BaseHTTPResponse) -> None:
    """Name the request, measure it, and log it."""
    request_id = _request_id(request)
    response.headers["X-Request-ID"] = request_id
    for name, value in _SECURITY_HEADERS.items():
        response.headers.setdefault(name, value)
    started = getattr(request.ctx, "started", None)
    seconds = time.perf_counter() - started if started else 0.0
    route = f"/{request.route.path}" if request.route else "unknown"
    metrics.observe_request(request.method, route, response.status, seconds)
    log.info(
        "request",
        request_id=request_id,
        method=request.method,
        path=request.path,
        status=response.status,
        milliseconds=round(seconds * 1000, 2),
        client=request.ip,
    )


def _request_id(request: Request) -> str:
    known: str | None = getattr(request.ctx, "request_id", None)
    if known is None:
        given = request.headers.get("x-request-id", "")
        known = given if _SANE_ID.fullmatch(given) else str(uuid7())
        request.ctx.request_id = known
    return known
