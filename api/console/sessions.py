"""The console's session: an access token in a cookie, and what proves that a form is ours.

The token is one of the API's, so what ends its session ends this one. The API does not read the
cookie.
"""

import hashlib
import hmac
import re
from datetime import UTC, datetime

from sanic import HTTPResponse, Request

from api.security.logins import LoggedIn
from infra.settings import Environment
from services.errors import Forbidden

COOKIE = "console_session"
PATH = "/console"
# Values of Sec-Fetch-Site for the console's own forms.
_OWN = "same-origin"


class ForeignForm(Forbidden):
    """This form is not from a page of this session: open the page again"""


def token_of(request: Request) -> str | None:
    """Return the token of the cookie."""
    return request.cookies.get(COOKIE)


def set_token(request: Request, response: HTTPResponse, logged_in: LoggedIn) -> None:
    """Keep the token in the browser for as long as it is valid."""
    seconds = (logged_in.expires_at - datetime.now(UTC)).total_seconds()
    _set(request, response, logged_in.token, max(0, int(seconds)))


def clear_token(request: Request, response: HTTPResponse) -> None:
    """Remove the cookie from the browser."""
    _set(request, response, "", 0)


def _set(request: Request, response: HTTPResponse, value: str, seconds: int) -> None:
    response.add_cookie(
        COOKIE,
        value,
        path=PATH,
        max_age=seconds,
        httponly=True,
        samesite="Strict",
        # In development browsers reach the service without TLS.
        secure=request.app.ctx.settings.environment is Environment.PRODUCTION,
    )


def csrf_of(token: str) -> str:
    """Return what the forms of a session carry; only the pages of the session have it."""
    return hmac.new(token.encode(), b"console form", hashlib.sha256).hexdigest()


def check_form(token: str, given: str) -> None:
    """Check that a form is from a page of the session.

    Raises:
        ForeignForm: it is not.

    """
    if not hmac.compare_digest(csrf_of(token).encode(), given.encode(errors="replace")):
        raise ForeignForm


def check_origin(request: Request) -> None:
    """Check that no page of another origin sent a form, as far as the browser says.

    Raises:
        ForeignForm: another origin's page sent it.

    """
    site = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin")
    if site is not None:
        is_ours = site.lower() == _OWN
    else:
        # Without ports, for a proxy passes the host alone.
        is_ours = origin is None or _host(origin.partition("://")[2]) == _host(request.host)
    if not is_ours:
        raise ForeignForm


def _host(authority: str) -> str:
    return re.sub(r":\d+$", "", authority)
