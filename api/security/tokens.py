"""Issues tokens at login and checks them on every call that needs one."""

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
    """The caller that a token names."""

    user_id: UUID
    role: Role
    session_id: UUID
    username: str

    @property
    def is_admin(self) -> bool:
        """Return whether the caller is an admin."""
        return self.role is Role.ADMIN

    def may_act_for(self, student_email: str) -> bool:
        """Return whether the caller is an admin or this student, whose username is the email."""
        return self.is_admin or self.username.strip().lower() == student_email


def issue_token(opened: Opened, keys: KeyRing, lifetime: int) -> tuple[str, datetime]:
    """Return a signed token of the session, and its expiry.

    The token expires after `lifetime` seconds, or with the session if that is sooner.
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
    """Return the caller's identity.

    Raises:
        Unauthenticated: the token is missing, invalid or expired, or its session has ended.
        AdminsOnly: the operation needs an admin, and the caller is a student.

    """
    header = request.headers.get("authorization")
    if not header:
        raise MissingToken
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise MalformedToken
    return await verify(request, token.strip(), admin=admin)


async def verify(request: Request, token: str, *, admin: bool) -> Identity:
    """Return the identity that a token of the caller names.

    Raises:
        Unauthenticated: the token is invalid or expired, or its session has ended.
        AdminsOnly: the operation needs an admin, and the caller is a student.

    """
    identity = _identity(token, request.app.ctx.keys)
    if await request.app.ctx.revocations.has(identity.session_id):
        raise InvalidToken
    # Set before the check below, because the audit log also names denied callers.
    request.ctx.caller = identity
    if admin and not identity.is_admin:
        raise AdminsOnly
    return identity


async def greet(request: Request) -> Identity | None:
    """Return the caller of an operation whose access ENROLLMENT_ACCESS decides.

    With public access a token is optional and adds no rights. An admin's identity is still
    returned, because the audit log names the admin.

    Raises:
        Unauthenticated: access is not public, and the caller has no valid token.

    """
    if request.app.ctx.settings.enrollment_access is not EnrollmentAccess.PUBLIC:
        return await authorize(request, admin=False)
    caller = await identify(request)
    return caller if caller and caller.is_admin else None


def admit(request: Request, student_email: str) -> Identity | None:
    """Return the identity that `greet` found, if the caller may act for this student.

    Raises:
        NotYours: the caller may not; the error is the same if no such student exists.

    """
    identity: Identity | None = request.ctx.identity
    if identity is not None and not identity.may_act_for(student_email):
        raise NotYours
    return identity


async def identify(request: Request) -> Identity | None:
    """Return the caller's identity where a token is optional; None without a valid token."""
    if "authorization" not in request.headers:
        return None
    try:
        return await authorize(request, admin=False)
    except Unauthenticated:
        return None


def _identity(token: str, keys: KeyRing) -> Identity:
    try:
        # The unverified header only selects a key, and only one from our key ring.
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
