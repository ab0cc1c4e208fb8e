"""Sessions: what a login opens, refresh tokens continue, and a logout ends everywhere.

A refresh token is good for one use. A use beyond the overlap means that it was stolen, by either
of the two who use it: the whole session ends.
"""

import base64
import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from uuid_utils.compat import uuid7

from infra.db.sql import rows
from infra.db.transactions import transaction
from infra.observability import logs, metrics
from infra.observability.events import Event
from models import User
from services.audit import trail
from services.audit.trail import Action
from services.errors import (
    InvalidCredentials,
    InvalidRefreshToken,
    RefreshTokenExpired,
    RefreshTokenReused,
)

TOKEN_BYTES = 32
OVERLAP_SECONDS = 10

security = logs.get_logger("security")


@dataclass(frozen=True)
class Lifetimes:
    """The lifetimes in seconds of an access token, an unused refresh token, and a session."""

    token: int
    refresh: int
    session: int


@dataclass(frozen=True)
class Opened:
    """An open session, its end, and its refresh token, of which only a hash is stored."""

    session_id: UUID
    user: User
    refresh_token: str
    expires_at: datetime


async def open_session(user: User, lifetimes: Lifetimes) -> Opened:
    """Open a session for an authenticated user.

    Raises:
        InvalidCredentials: the password was changed or the account disabled in between.

    """
    token, session_id = _new_token(), uuid7()
    async with transaction():
        if (expires_at := await _open(user, lifetimes, session_id, _digest(token))) is None:
            raise InvalidCredentials
        await trail.record(Action.LOGIN, session_id, by=user)
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
    """Exchange a refresh token for a new one.

    A use within ten seconds of the first one, as by two tabs, gets the session's current token. A
    session has one chain of tokens, so the later use of a copied token is detected.

    Raises:
        RefreshTokenExpired: it or the session has expired.
        InvalidRefreshToken: it is unknown, or its session has ended.
        RefreshTokenReused: it was used before, so the session has ended now.

    """
    async with transaction():
        found = await _find(token)
        if not found["is_spent"]:
            if found["has_expired"]:
                metrics.login_failures.inc(labels=("refresh_expired",))
                raise RefreshTokenExpired
            while found["successor_nonce"]:
                token = _successor(token, found["successor_nonce"])
                found = await _find(token)
                if found["used_at"] is None:
                    return await _continue(found, token, lifetimes)
            nonce = secrets.token_hex(TOKEN_BYTES)
            successor = _successor(token, nonce)
            await _spend(found, nonce, successor, lifetimes)
            return await _continue(found, successor, lifetimes)
    security.warning(Event.REFRESH_TOKEN_REUSED, session_id=str(found["session_id"]))
    metrics.login_failures.inc(labels=("refresh_reused",))
    # A token that is used twice was stolen.
    await end(found["session_id"], Action.END_SESSION)
    raise RefreshTokenReused(found["session_id"])


async def _find(token: str) -> dict[str, Any]:
    """Return and lock a refresh token's row, so that parallel uses run one after the other."""
    known = await rows(
        """
        SELECT digest, session_id, user_id, used_at, successor_nonce,
            used_at < clock_timestamp() - make_interval(secs => $2) AS is_spent,
            refresh_tokens.expires_at < clock_timestamp()
                OR sessions.expires_at < clock_timestamp() AS has_expired
        FROM refresh_tokens JOIN sessions ON sessions.id = session_id
        WHERE digest = $1 AND revoked_at IS NULL FOR UPDATE OF refresh_tokens
        """,
        _digest(token),
        OVERLAP_SECONDS,
    )
    if not known:
        metrics.login_failures.inc(labels=("refresh_invalid",))
        raise InvalidRefreshToken
    return known[0]


async def _spend(found: dict[str, Any], nonce: str, successor: str, lifetimes: Lifetimes) -> None:
    await rows(
        """
        WITH spent AS (
            UPDATE refresh_tokens
            SET used_at = coalesce(used_at, clock_timestamp()), successor_nonce = $2
            WHERE digest = $1 RETURNING session_id
        )
        INSERT INTO refresh_tokens (digest, session_id, expires_at)
        SELECT $3, sessions.id, least(expires_at, now() + make_interval(secs => $4))
        FROM spent JOIN sessions ON sessions.id = session_id
        """,
        found["digest"],
        nonce,
        _digest(successor),
        lifetimes.refresh,
    )


async def _continue(found: dict[str, Any], token: str, lifetimes: Lifetimes) -> Opened:
    """Return the session with its next refresh token."""
    session_id = found["session_id"]
    continued = await rows(
        """
        UPDATE sessions
        SET tokens_until = greatest(tokens_until, now() + make_interval(secs => $2))
        WHERE id = $1 AND revoked_at IS NULL RETURNING expires_at
        """,
        session_id,
        lifetimes.token,
    )
    user = await User.get_or_none(id=found["user_id"], disabled_at=None)
    if not continued or user is None:
        metrics.login_failures.inc(labels=("refresh_invalid",))
        raise InvalidRefreshToken
    return Opened(session_id, user, token, continued[0]["expires_at"])


async def end(session_id: UUID, action: Action = Action.LOGOUT) -> None:
    """End a session: every instance refuses its tokens of both kinds within a second."""
    query = (
        "UPDATE sessions SET revoked_at = clock_timestamp() "
        "WHERE id = $1 AND revoked_at IS NULL RETURNING id"
    )
    async with transaction():
        if await rows(query, session_id):
            await trail.record(action, session_id)


async def end_all(user_id: UUID) -> list[UUID]:
    """End the sessions of a user; return which were open."""
    ended = await rows(
        "UPDATE sessions SET revoked_at = clock_timestamp() "
        "WHERE user_id = $1 AND revoked_at IS NULL RETURNING id, expires_at",
        user_id,
    )
    return [each["id"] for each in ended]


async def is_revoked(session_id: UUID) -> bool:
    """Return whether the database has the session as ended."""
    return bool(
        await rows("SELECT FROM sessions WHERE id = $1 AND revoked_at IS NOT NULL", session_id)
    )


async def prune() -> int:
    """Delete expired sessions and refresh tokens; return how many sessions.

    A revoked session stays until its last access token has expired.
    """
    over = await rows(
        "DELETE FROM sessions WHERE expires_at < now() "
        "AND tokens_until < now() - interval '1 hour' RETURNING id"
    )
    await rows("DELETE FROM refresh_tokens WHERE expires_at < now() RETURNING digest")
    return len(over)


def _new_token() -> str:
    return secrets.token_urlsafe(TOKEN_BYTES)


def _successor(token: str, nonce: str) -> str:
    """Return the next token, which takes both the token and the stored nonce to compute."""
    digest = hmac.digest(token.encode(), nonce.encode(), "sha256")
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def _digest(token: str) -> str:
    # 256 random bits need neither a salt nor a slow hash.
    return hashlib.sha256(token.encode()).hexdigest()
