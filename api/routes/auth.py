"""Login, token refresh, logout and profile."""

from collections.abc import Coroutine
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sanic import Blueprint, HTTPResponse, Request
from sanic.response import empty

from api.endpoint.operation import API_PREFIX, Access, operation
from api.endpoint.replies import reply
from api.schemas.requests import LoginIn, RefreshIn
from api.schemas.responses import LoginOut, UserOut
from api.security import audit
from api.security.rate_limits import Limits
from api.security.tokens import InvalidToken, issue_token
from infra.aio.shield import finish
from infra.rate_limits import RateClass
from infra.settings import Settings
from services.auth import accounts, sessions
from services.auth.passwords import HashersBusy
from services.auth.sessions import Lifetimes, Opened
from services.errors import (
    InvalidCredentials,
    InvalidRefreshToken,
    RefreshTokenExpired,
    UserNotFound,
)

auth = Blueprint("auth", url_prefix=f"{API_PREFIX}/auth")


@operation(
    auth,
    "POST",
    "/login",
    body=LoginIn,
    responses={200: LoginOut},
    errors=(InvalidCredentials, HashersBusy),
    kind=RateClass.LOGINS,
)
async def login(request: Request, body: LoginIn) -> HTTPResponse:
    """Log in

    The token goes with later calls as `Authorization: Bearer <token>`. After some that failed, each
    attempt has to wait longer than the one before.
    """
    limits: Limits = request.app.ctx.limits
    request.ctx.claimed = body.username
    audit.set_caller(request, None)
    async with limits.login(request, body.username):
        user = await accounts.authenticate(body.username, body.password)
    opening = sessions.open_session(user, _lifetimes(request.app.ctx.settings))
    return await _logged_in(request, opening)


@operation(
    auth,
    "POST",
    "/refresh",
    body=RefreshIn,
    responses={200: LoginOut},
    errors=(InvalidRefreshToken, RefreshTokenExpired),
    kind=RateClass.LOGINS,
)
async def refresh(request: Request, body: RefreshIn) -> HTTPResponse:
    """Get the next token

    A refresh token is good for one call; calls that cross get the same next refresh token. A use
    later than that ends the session, for one of the two who have it is a thief.
    """
    audit.set_caller(request, None)
    lifetimes = _lifetimes(request.app.ctx.settings)
    return await _logged_in(request, sessions.refresh(body.refresh_token, lifetimes))


@operation(auth, "POST", "/logout", access=Access.USER, responses={204: None})
async def logout(request: Request) -> HTTPResponse:
    """Log out

    All tokens that came of this login are dead, on every instance within a second.
    """
    await finish(_end(request, request.ctx.identity.session_id))
    return empty()


async def _end(request: Request, session_id: UUID) -> None:
    await sessions.end(session_id)
    request.app.ctx.revocations.add(session_id)
    await request.app.ctx.sessions.drop([session_id])


@operation(auth, "GET", "/profile", access=Access.USER, responses={200: UserOut})
async def profile(request: Request) -> HTTPResponse:
    """Show who is logged in"""
    try:
        user = await accounts.get(request.ctx.identity.user_id)
    except UserNotFound:
        raise InvalidToken from None
    return reply(UserOut.of(user))


def _lifetimes(settings: Settings) -> Lifetimes:
    return Lifetimes(
        token=settings.token_lifetime_seconds,
        refresh=settings.refresh_lifetime_seconds,
        session=settings.session_lifetime_seconds,
    )


async def _logged_in(request: Request, opening: Coroutine[Any, Any, Opened]) -> HTTPResponse:
    # Runs to its end if the client disconnects: an open session is always listed, and a session
    # with a stolen token always ends.
    opened = await finish(_listed(request, opening))
    lifetime = request.app.ctx.settings.token_lifetime_seconds
    token, expires_at = issue_token(opened, request.app.ctx.keys, lifetime)
    user = UserOut.of(opened.user)
    content = LoginOut(
        token=token, expires_at=expires_at, refresh_token=opened.refresh_token, user=user
    )
    # No cache between the service and the client may store tokens.
    return reply(content, headers={"Cache-Control": "no-store"})


async def _listed(request: Request, opening: Coroutine[Any, Any, Opened]) -> Opened:
    opened = await opening
    about = {
        "username": opened.user.username,
        "role": opened.user.role.value,
        "address": request.app.ctx.limits.clients.address(request),
        "at": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
    }
    await request.app.ctx.sessions.put(opened.session_id, about)
    return opened
