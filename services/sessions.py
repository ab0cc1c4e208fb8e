"""Sessions: what a login opens, refresh tokens continue, and a logout ends everywhere.

A refresh token is good for one use. Used again later than two tabs of a browser could, it was
stolen, from us or by us nobody knows: the whole session ends.
"""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from uuid_utils.compat import uuid7

from infra import logs
from infra.database import transaction
from models import User
from services import audit
from services.audit import Action
from services.errors import InvalidCredentials, InvalidRefreshToken, RefreshTokenExpired
from services.tasks import rows

TOKEN_BYTES = 32
OVERLAP_SECONDS = 10

log = logs.get_logger(__name__)


@dataclass(frozen=True)
class Lifetimes:
    """How long, in seconds: an access token; a refresh token that is not used; a session."""

    token: int
    refresh: int
    session: int


@dataclass(frozen=True)
class Opened:
    """A session that was opened or continued, and its end; nobody will see the token again."""

    session_id: UUID
    user: User
    refresh_token: str
    expires_at: datetime


async def open_session(user: User, lifetimes: Lifetimes) -> Opened:
    """Open a session for a user whose password was right.

    Raises:
        InvalidCredentials: the password was changed or the account disabled in between.

    """
    token, session_id = _new_token(), uuid7()
    async with transaction():
        if (expires_at := await _open(user, lifetimes, session_id, _digest(token))) is None:
            raise InvalidCredentials
        await audit.record(Action.LOGIN, session_id, by=user)
    return Opened(session_id, user, token, expires_at)


async def _open(user: User, lifetimes: Lifetimes, session_id: UUID, digest: str) -> datetime | None:
    opened = await rows(
        """
        WITH account AS (
            SELECT id FROM users
            WHERE id = $2 AND password_hash = $3 AND disabled_at IS NULL FOR SHARE
        ), opened AS (
            INSERT INTO sessions (id, user_id, expires_at, tokens_until)
            SELECT $1, id, now() + make_interval(secs => $4), now() + make_interval(secs => $5)
            FROM account RETURNING id, expires_at
        )
        INSERT INTO refresh_tokens (digest, session_id, expires_at)
        SELECT $6, id, now() + make_interval(secs => $7) FROM opened
        RETURNING (SELECT expires_at FROM opened) AS session_end
        """,
        session_id,
        user.id,
        user.password_hash,
        lifetimes.session,
        lifetimes.token,
        digest,
        min(lifetimes.refresh, lifetimes.session),
    )
    return opened[0]["session_end"] if opened else None


async def refresh(token: str, lifetimes: Lifetimes) -> Opened:
    """Spend a refresh token for a new one.

    Two tabs may use one within ten seconds: each gets a successor of its own.

    Raises:
        RefreshTokenExpired: its time, or the session's, is over.
        InvalidRefreshToken: it is not one of ours, its session has ended, or it was used before;
            in that case the session ends now.

    """
    digest = _digest(token)
    async with transaction():
        known = await rows(
            """
            SELECT session_id, user_id,
                used_at < clock_timestamp() - make_interval(secs => $2) AS is_spent,
                refresh_tokens.expires_at < clock_timestamp()
                    OR sessions.expires_at < clock_timestamp() AS has_expired
            FROM refresh_tokens JOIN sessions ON sessions.id = session_id
            WHERE digest = $1 AND revoked_at IS NULL FOR UPDATE OF refresh_tokens
            """,
            digest,
            OVERLAP_SECONDS,
        )
        if not known:
            raise InvalidRefreshToken
        [found] = known
        if not found["is_spent"]:
            if found["has_expired"]:
                raise RefreshTokenExpired
            return await _continue(found["session_id"], found["user_id"], digest, lifetimes)
    log.warning("refresh_token_reused", session_id=str(found["session_id"]))
    # Used twice, it was stolen.
    await end(found["session_id"], Action.END_SESSION)
    raise InvalidRefreshToken


async def _continue(session_id: UUID, user_id: UUID, digest: str, lifetimes: Lifetimes) -> Opened:
    token = _new_token()
    continued = await rows(
        """
        WITH continued AS (
            UPDATE sessions
            SET tokens_until = greatest(tokens_until, now() + make_interval(secs => $2))
            WHERE id = $1 AND revoked_at IS NULL RETURNING id, expires_at
        ), spent AS (
            UPDATE refresh_tokens SET used_at = clock_timestamp()
            WHERE digest = $3 AND used_at IS NULL
        )
        INSERT INTO refresh_tokens (digest, session_id, expires_at)
        SELECT $4, id, least(expires_at, now() + make_interval(secs => $5)) FROM continued
        RETURNING (SELECT expires_at FROM continued) AS session_end
        """,
        session_id,
        lifetimes.token,
        digest,
        _digest(token),
        lifetimes.refresh,
    )
    user = await User.get_or_none(id=user_id, disabled_at=None)
    if not continued or user is None:
        raise InvalidRefreshToken
    return Opened(session_id, user, token, continued[0]["session_end"])


async def end(session_id: UUID, action: Action = Action.LOGOUT) -> None:
    """End a session: its tokens of both kinds are dead, on every instance within a second."""
    query = (
        "UPDATE sessions SET revoked_at = clock_timestamp() "
        "WHERE id = $1 AND revoked_at IS NULL RETURNING id"
    )
    async with transaction():
        if await rows(query, session_id):
            await audit.record(action, session_id)


async def end_all(user_id: UUID) -> list[UUID]:
    """End the sessions of a user; return which were open."""
    ended = await rows(
        "UPDATE sessions SET revoked_at = clock_timestamp() "
        "WHERE user_id = $1 AND revoked_at IS NULL RETURNING id, expires_at",
        user_id,
    )
    return [each["id"] for each in ended]


async def is_revoked(session_id: UUID) -> bool:
    """Ask the database whether a session was ended."""
    return bool(
        await rows("SELECT FROM sessions WHERE id = $1 AND revoked_at IS NOT NULL", session_id)
    )


async def prune() -> int:
    """Forget sessions and refresh tokens that are over; return how many sessions.

    A revoked session is remembered as long as a token of it may be in somebody's hands.
    """
    over = await rows(
        "DELETE FROM sessions WHERE expires_at < now() "
        "AND tokens_until < now() - interval '1 hour' RETURNING id"
    )
    await rows("DELETE FROM refresh_tokens WHERE expires_at < now() RETURNING digest")
    return len(over)


def _new_token() -> str:
    return secrets.token_urlsafe(TOKEN_BYTES)


def _digest(token: str) -> str:
    # 256 random bits can't be guessed back from a plain hash: no salt, no slow function.
    return hashlib.sha256(token.encode()).hexdigest()
