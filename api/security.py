"""Tokens: issued at login, checked on every call that needs one."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import jwt
from sanic import Request
from uuid_utils.compat import uuid7

from infra.settings import Settings
from models import Role, User
from services.errors import Code, Forbidden, Unauthenticated

ALGORITHM = "HS256"
LEEWAY_SECONDS = 30


class MissingToken(Unauthenticated):
    """Authorization header is required"""

    code = Code.MISSING_TOKEN


class MalformedToken(Unauthenticated):
    """Invalid token format"""

    code = Code.INVALID_TOKEN


class InvalidToken(Unauthenticated):
    """JWT token is invalid or expired"""

    code = Code.INVALID_TOKEN


class ExpiredToken(InvalidToken):
    """JWT token is invalid or expired"""

    code = Code.TOKEN_EXPIRED


class AdminsOnly(Forbidden):
    """Only an admin may do this"""


@dataclass(frozen=True)
class Identity:
    """Who is calling, by their token."""

    user_id: UUID
    role: Role


def issue_token(user: User, settings: Settings) -> tuple[str, datetime]:
    """Return a signed token for the user and when it expires."""
    now = datetime.now(UTC).replace(microsecond=0)
    expires_at = now + timedelta(seconds=settings.token_lifetime_seconds)
    claims = {
        "sub": str(user.id),
        "username": user.username,
        "role": user.role.value,
        "iat": now,
        "exp": expires_at,
        "jti": str(uuid7()),
    }
    return jwt.encode(claims, settings.jwt_secret.get_secret_value(), ALGORITHM), expires_at


def authorize(request: Request, *, admin: bool) -> Identity:
    """Return who is calling.

    Raises:
        Unauthenticated: no token, or not one of ours, or it has expired.
        AdminsOnly: a student's token where an admin's is needed.

    """
    header = request.headers.get("authorization")
    if not header:
        raise MissingToken
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise MalformedToken
    identity = _identity(token.strip(), request.app.ctx.settings)
    if admin and identity.role is not Role.ADMIN:
        raise AdminsOnly
    return identity


def identify(request: Request) -> Identity | None:
    """Return who is calling where a token is optional; none, if there is none that holds."""
    try:
        return authorize(request, admin=False)
    except Unauthenticated:
        return None


def _identity(token: str, settings: Settings) -> Identity:
    try:
        claims: dict[str, Any] = jwt.decode(
            token,
            settings.jwt_secret.get_secret_value(),
            algorithms=[ALGORITHM],
            leeway=LEEWAY_SECONDS,
            options={"require": ["sub", "role", "exp", "iat", "jti"]},
        )
        return Identity(UUID(claims["sub"]), Role(claims["role"]))
    except jwt.ExpiredSignatureError:
        raise ExpiredToken from None
    except (jwt.InvalidTokenError, ValueError):
        raise InvalidToken from None
