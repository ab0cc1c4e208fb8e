"""Login, token refresh, logout and profile."""

from sanic import Blueprint, HTTPResponse, Request
from sanic.response import empty

from api.endpoint.operation import API_PREFIX, Access, operation
from api.endpoint.replies import reply
from api.schemas.requests import LoginIn, RefreshIn
from api.schemas.responses import LoginOut, UserOut
from api.security import logins
from api.security.logins import LoggedIn
from api.security.tokens import InvalidToken
from infra.rate_limits.buckets import RateClass
from services.auth import accounts
from services.auth.passwords import HashersBusy
from services.errors import (
    InvalidCredentials,
    InvalidRefreshToken,
    RefreshTokenExpired,
    UserNotFound,
)

auth = Blueprint("auth", url_prefix=f"{API_PREFIX}/auth")


@operation(
    auth,
    "POST /login",
    responses={200: LoginOut},
    errors=(InvalidCredentials, HashersBusy),
    kind=RateClass.LOGINS,
)
async def login(request: Request, body: LoginIn) -> HTTPResponse:
    """Log in

    The token goes with later calls as `Authorization: Bearer <token>`. After some that failed, each
    attempt has to wait longer than the one before.
    """
    return _reply(await logins.log_in(request, body.username, body.password))


@operation(
    auth,
    "POST /refresh",
    responses={200: LoginOut},
    errors=(InvalidRefreshToken, RefreshTokenExpired),
    kind=RateClass.LOGINS,
)
async def refresh(request: Request, body: RefreshIn) -> HTTPResponse:
    """Get the next token

    A refresh token is good for one call; calls that cross get the same next refresh token. A use
    later than that ends the session, for one of the two who have it is a thief.
    """
    return _reply(await logins.refresh(request, body.refresh_token))


@operation(auth, "POST /logout", access=Access.USER, responses={204: None})
async def logout(request: Request) -> HTTPResponse:
    """Log out

    All tokens that came of this login are dead, on every instance within a second.
    """
    await logins.log_out(request, request.ctx.identity.session_id)
    return empty()


@operation(auth, "GET /profile", access=Access.USER, responses={200: UserOut})
async def profile(request: Request) -> HTTPResponse:
    """Show who is logged in"""
    try:
        user = await accounts.get(request.ctx.identity.user_id)
    except UserNotFound:
        raise InvalidToken from None
    return reply(UserOut.model_validate(user, from_attributes=True))


def _reply(logged_in: LoggedIn) -> HTTPResponse:
    opened = logged_in.opened
    content = LoginOut(
        token=logged_in.token,
        expires_at=logged_in.expires_at,
        refresh_token=opened.refresh_token,
        user=UserOut.model_validate(opened.user, from_attributes=True),
    )
    # No cache between the service and the client may store tokens.
    return reply(content, headers={"Cache-Control": "no-store"})
