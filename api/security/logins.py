"""Opens and ends sessions for clients of the API and for the console, in the same way."""

from collections.abc import Coroutine
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self
from uuid import UUID

from sanic import Request

from api.security import audit
from api.security.rate_limits import Limits
from api.security.tokens import AdminsOnly, issue_token
from infra.aio.shield import finish
from infra.settings import Settings
from models import Role
from services.auth import accounts, sessions
from services.auth.sessions import Lifetimes, Opened
from services.errors import RefreshTokenReused


@dataclass(frozen=True)
class LoggedIn:
    """An open session with an access token, and when that token expires."""

    opened: Opened
    token: str
    expires_at: datetime

    @classmethod
    def of(cls, request: Request, opened: Opened) -> Self:
        """Issue a token of a session."""
        lifetime = request.app.ctx.settings.token_lifetime_seconds
        return cls(opened, *issue_token(opened, request.app.ctx.keys, lifetime))


async def log_in(
    request: Request, username: str, password: str, *, admins_only: bool = False
) -> LoggedIn:
    """Open a session; failed attempts are counted, throttled and recorded.

    Raises:
        InvalidCredentials: no such user, a wrong password, or a disabled account.
        AdminsOnly: only an admin may log in here, and the user is a student.
        HashersBusy: too many log in at once.
        RateLimited: too many earlier attempts failed.

    """
    limits: Limits = request.app.ctx.limits
    request.ctx.claimed = username
    audit.set_caller(request, None)
    async with limits.login(request, username):
        user = await accounts.authenticate(username, password)
    if admins_only and user.role is not Role.ADMIN:
        raise AdminsOnly
    opening = sessions.open_session(user, _lifetimes(request.app.ctx.settings))
    return LoggedIn.of(request, await _finished(request, opening))


async def refresh(request: Request, refresh_token: str) -> LoggedIn:
    """Continue a session.

    Raises:
        InvalidRefreshToken, RefreshTokenExpired: the token is of no use.

    """
    audit.set_caller(request, None)
    opening = sessions.refresh(refresh_token, _lifetimes(request.app.ctx.settings))
    return LoggedIn.of(request, await _finished(request, opening))


async def log_out(request: Request, session_id: UUID) -> None:
    """End a session; every instance refuses its tokens within a second."""
    await finish(_end(request, session_id))


async def _end(request: Request, session_id: UUID) -> None:
    await sessions.end(session_id)
    await _forget(request, session_id)


async def _forget(request: Request, session_id: UUID) -> None:
    """Refuse the tokens of an ended session in this process at once, and list it no more."""
    request.app.ctx.revocations.add(session_id)
    await request.app.ctx.sessions.drop([session_id])


def _lifetimes(settings: Settings) -> Lifetimes:
    return Lifetimes(
        token=settings.token_lifetime_seconds,
        refresh=settings.refresh_lifetime_seconds,
        session=settings.session_lifetime_seconds,
    )


async def _finished(request: Request, opening: Coroutine[Any, Any, Opened]) -> Opened:
    # Runs to its end if the client disconnects: an open session is always listed, and a session
    # with a stolen token always ends.
    return await finish(_listed(request, opening))


async def _listed(request: Request, opening: Coroutine[Any, Any, Opened]) -> Opened:
    try:
        opened = await opening
    except RefreshTokenReused as reused:
        await _forget(request, reused.ended)
        raise
    about = {
        "username": opened.user.username,
        "role": opened.user.role.value,
        "address": request.app.ctx.limits.clients.address(request),
        "at": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
    }
    await request.app.ctx.sessions.put(opened.session_id, about)
    return opened
