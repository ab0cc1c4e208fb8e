"""Tokens: issued at login, checked on every call that needs one."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import jwt
from sanic import Request
from uuid_utils.compat import uuid7

from infra.key_ring import KeyRing
from infra.settings import EnrollmentAccess
from models import Role
from services.auth.sessions import Opened
from services.errors import Code, Forbidden, Unauthenticated

ALGORITHM = "HS256"
KIND = "access"
ISSUER = "course-enrollment-service"
AUDIENCE = "course-enrollment-api"
CLAIMS = ["typ", "iss", "aud", "sub", "role", "sid", "iat", "nbf", "exp", "jti"]
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


class NotYours(Forbidden):
    """A student may do this for themselves only"""


@dataclass(frozen=True)
class Identity:
    """Who is calling, by their token."""

    user_id: UUID
    role: Role
    session_id: UUID
    username: str

    @property
    def is_admin(self) -> bool:
        """Tell whether it is an admin."""
        return self.role is Role.ADMIN

    def may_act_for(self, student_email: str) -> bool:
        """Tell whether this is the student, whose username is their email, or an admin."""
        return self.is_admin or self.username.strip().lower() == student_email


def issue_token(opened: Opened, keys: KeyRing, lifetime: int) -> tuple[str, datetime]:
    """Return a signed token of the session, and when it expires.

    It is good for `lifetime` seconds, but no longer than the session.
    """
    now = datetime.now(UTC).replace(microsecond=0)
    expires_at = min(now + timedelta(seconds=lifetime), opened.expires_at.replace(microsecond=0))
    claims = {
        "typ": KIND,
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": str(opened.user.id),
        "username": opened.user.username,
        "role": opened.user.role.value,
        "sid": str(opened.session_id),
        "iat": now,
        "nbf": now,
        "exp": expires_at,
        "jti": str(uuid7()),
    }
    kid, secret = keys.signing()
    return jwt.encode(claims, secret, ALGORITHM, headers={"kid": kid}), expires_at


async def authorize(request: Request, *, admin: bool) -> Identity:
    """Return who is calling.

    Raises:
        Unauthenticated: no token, or not one of ours, or it has expired, or its session ended.
        AdminsOnly: a student's token where an admin's is needed.

    """
    header = request.headers.get("authorization")
    if not header:
        raise MissingToken
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise MalformedToken
    identity = _identity(token.strip(), request.app.ctx.keys)
    if await request.app.ctx.revocations.has(identity.session_id):
        raise InvalidToken
    # Also of whom is refused, the audit log knows the name.
    request.ctx.caller = identity
    if admin and not identity.is_admin:
        raise AdminsOnly
    return identity


async def greet(request: Request) -> Identity | None:
    """Return who is calling what ENROLLMENT_ACCESS opens.

    Where it opens it to anybody, a token opens nothing more and is not asked for, but an admin is
    an admin there too: what they do is noted.

    Raises:
        Unauthenticated: it opens it to those who are logged in only, and nobody is.

    """
    if request.app.ctx.settings.enrollment_access is not EnrollmentAccess.PUBLIC:
        return await authorize(request, admin=False)
    caller = await identify(request)
    return caller if caller and caller.is_admin else None


def admit(request: Request, student_email: str) -> Identity | None:
    """Return who was greeted, if they may act for this student.

    Raises:
        NotYours: they may not, whether there is such a student or not: nothing was looked up.

    """
    identity: Identity | None = request.ctx.identity
    if identity is not None and not identity.may_act_for(student_email):
        raise NotYours
    return identity


async def identify(request: Request) -> Identity | None:
    """Return who is calling where a token is optional; none, if there is none that holds."""
    if "authorization" not in request.headers:
        return None
    try:
        return await authorize(request, admin=False)
    except Unauthenticated:
        return None


def _identity(token: str, keys: KeyRing) -> Identity:
    try:
        # Nothing of the header is trusted but the name of a key that must be ours.
        secret = keys.find(str(jwt.get_unverified_header(token).get("kid")))
        if secret is None:
            raise InvalidToken
        claims: dict[str, Any] = jwt.decode(
            token,
            secret,
            algorithms=[ALGORITHM],
            issuer=ISSUER,
            audience=AUDIENCE,
            leeway=LEEWAY_SECONDS,
            options={"require": CLAIMS, "strict_aud": True},
        )
        if claims["typ"] != KIND:
            raise InvalidToken
        user_id, session_id = UUID(claims["sub"]), UUID(claims["sid"])
        return Identity(user_id, Role(claims["role"]), session_id, str(claims.get("username", "")))
    except jwt.ExpiredSignatureError:
        raise ExpiredToken from None
    except (jwt.InvalidTokenError, ValueError, TypeError, AttributeError):
        raise InvalidToken from None
