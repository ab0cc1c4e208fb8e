"""CORS: pages of the listed origins may call. An origin is matched whole, or not at all."""

from sanic import Request
from sanic.response import BaseHTTPResponse

ANY = "*"
MAX_AGE_SECONDS = 600
_EXPOSED = ", ".join(
    (
        *("ETag", "Idempotency-Replayed", "Link", "Location", "RateLimit-Limit"),
        *("RateLimit-Remaining", "RateLimit-Reset", "Retry-After", "X-Request-ID", "X-Total-Count"),
    )
)
_TAKEN = ", ".join(
    (
        *("Authorization", "Content-Type", "Idempotency-Key", "If-None-Match", "Last-Event-ID"),
        "X-Request-ID",
    )
)


def answer(request: Request, response: BaseHTTPResponse, origins: tuple[str, ...]) -> None:
    """Tell the browser whether a page of the request's origin may read the response."""
    if not origins:
        return
    # Also on what goes to no page: a cache would hand that out to a page later.
    _vary(response, "Origin")
    given = request.headers.getall("origin", [])
    if len(given) != 1 or not (given[0] in origins or ANY in origins):
        return
    response.headers["Access-Control-Allow-Origin"] = given[0]
    if request.method == "OPTIONS" and "access-control-request-method" in request.headers:
        _vary(response, "Access-Control-Request-Method", "Access-Control-Request-Headers")
        response.headers["Access-Control-Allow-Methods"] = response.headers.get("allow", "")
        response.headers["Access-Control-Allow-Headers"] = _TAKEN
        response.headers["Access-Control-Max-Age"] = str(MAX_AGE_SECONDS)
    else:
        response.headers["Access-Control-Expose-Headers"] = _EXPOSED


def _vary(response: BaseHTTPResponse, *names: str) -> None:
    already = response.headers.get("vary")
    response.headers["Vary"] = ", ".join([already, *names] if already else names)
