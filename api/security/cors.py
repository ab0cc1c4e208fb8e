"""CORS: pages of allowed origins may call. Only a complete match allows an origin."""

import re
from functools import lru_cache

from sanic import Request
from sanic.response import BaseHTTPResponse

from infra.settings import Environment, Settings
from services.errors import UnsupportedMedia

ANY = "*"
MAX_AGE_SECONDS = 600
MAX_ORIGINS = 64
# Headers that pages may read and send, in addition to those that browsers always allow.
EXPOSED = (
    *("ETag", "Idempotency-Replayed", "Link", "Location", "RateLimit-Limit"),
    *("RateLimit-Remaining", "RateLimit-Reset", "Retry-After", "X-Request-ID", "X-Total-Count"),
)
ALLOWED = (
    *("Authorization", "Content-Type", "Idempotency-Key", "If-Match", "If-None-Match"),
    *("If-Modified-Since", "Last-Event-ID", "X-Request-ID", "X-Requested-With", "Cache-Control"),
    *("Pragma", "traceparent", "tracestate", "baggage", "sentry-trace"),
)
_EXPOSED, _ALLOWED = ", ".join(EXPOSED), ", ".join(ALLOWED)
LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
_LOOPBACK = re.compile(rf"https?://(?:{'|'.join(map(re.escape, LOOPBACK))})(?::[1-9][0-9]{{0,4}})?")
# Values of Sec-Fetch-Site for requests from another origin.
_FOREIGN = frozenset({"cross-site", "same-site"})


class Origins:
    """The allowed origins: those of CORS_ORIGINS, and in development loopback origins."""

    def __init__(self, settings: Settings) -> None:
        self._listed = frozenset(settings.cors_origins)
        self._has_loopback = settings.environment is Environment.DEVELOPMENT
        # Header lines that let an origin's pages read a response; empty for other origins.
        # Bounded because in development each loopback port is an origin.
        self.lines = lru_cache(maxsize=MAX_ORIGINS)(self._lines)

    def __bool__(self) -> bool:
        """Return whether any origin is allowed."""
        return bool(self._listed) or self._has_loopback

    def allow(self, origin: str) -> bool:
        """Return whether a page of this origin may call."""
        if origin in self._listed or ANY in self._listed:
            return True
        return self._has_loopback and _LOOPBACK.fullmatch(origin) is not None

    def _lines(self, origin: str) -> bytes:
        lines = (f"{name}: {value}\r\n" for name, value in _readable_by(origin).items())
        return "".join(lines).encode() if self.allow(origin) else b""


def set_headers(request: Request, response: BaseHTTPResponse, origins: Origins) -> None:
    """Add `Vary`, and the CORS headers if the request's origin is allowed."""
    if not origins:
        return
    # Also without an Origin header: a cache may serve this response to a page later.
    _vary(response, "Origin")
    given = request.headers.getall("origin", [])
    if len(given) != 1 or not origins.allow(given[0]):
        return
    if request.method == "OPTIONS" and "access-control-request-method" in request.headers:
        _vary(response, "Access-Control-Request-Method", "Access-Control-Request-Headers")
        response.headers["Access-Control-Allow-Origin"] = given[0]
        response.headers["Access-Control-Allow-Methods"] = response.headers.get("allow", "")
        response.headers["Access-Control-Allow-Headers"] = _ALLOWED
        response.headers["Access-Control-Max-Age"] = str(MAX_AGE_SECONDS)
    else:
        response.headers.update(_readable_by(given[0]))


def _readable_by(origin: str) -> dict[str, str]:
    return {"Access-Control-Allow-Origin": origin, "Access-Control-Expose-Headers": _EXPOSED}


def check_media_type(request: Request, taken: tuple[str, ...]) -> None:
    """Require one of the media types of a body that a page of another origin sends.

    Browsers send `text/plain` without a preflight, so CORS alone does not stop such a request.
    Requests of other clients need no media type.

    Raises:
        UnsupportedMedia: the media type is missing, not accepted, or repeated.

    """
    headers = request.headers
    is_foreign = "origin" in headers or headers.get("sec-fetch-site", "").lower() in _FOREIGN
    given = headers.getall("content-type", [])
    if is_foreign and [one.partition(";")[0].strip().lower() for one in given] not in (
        [one] for one in taken
    ):
        expected = " or ".join(taken)
        raise UnsupportedMedia(f"A page must send this body with Content-Type: {expected}")


def _vary(response: BaseHTTPResponse, *names: str) -> None:
    already = response.headers.get("vary")
    response.headers["Vary"] = ", ".join([already, *names] if already else names)
