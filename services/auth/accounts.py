"""The accounts that can log in."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from tortoise.exceptions import IntegrityError

from infra.db.sql import rows
from infra.db.transactions import transaction
from infra.observability import metrics
from models import Role, User
from services.audit import trail
from services.audit.trail import Action
from services.auth import passwords, sessions
from services.errors import InvalidCredentials, ServiceError, UserNotFound

MAX_USERNAME = 255
_STORED = """
    SELECT (
        SELECT password_hash FROM users WHERE username = $1 AND disabled_at IS NULL
    ) AS hash
"""


class UsernameTaken(ServiceError):
    """There is a user of this name already"""


class UsernameRefused(ServiceError):
    """A user's name must have 1 to 255 characters, none of them a control character"""


class LastAdmin(ServiceError):
    """This is the last admin who may log in"""


class KnownPassword(ServiceError):
    """The password is the default one, which everybody knows"""


@dataclass(frozen=True)
class Account:
    """A user and the number of their open sessions."""

    user: User
    sessions: int


async def authenticate(username: str, password: str) -> User:
    """Return the user of this name and password; a denial takes the same time without a user.

    Raises:
        InvalidCredentials: no such user, a wrong password, or a disabled account.
        HashersBusy: too many log in at once.

    """
    # Repeated if another login or an operator changes the hash meanwhile.
    while True:
        stored = await _stored(username)
        try:
            matches, better = await passwords.check(password, stored)
        except passwords.HashersBusy:
            metrics.login_failures.inc(labels=("busy",))
            raise
        if not matches:
            reason = "unknown_account" if stored is None else "wrong_password"
            metrics.login_failures.inc(labels=(reason,))
            raise InvalidCredentials
        user = await User.get_or_none(username=username, password_hash=stored, disabled_at=None)
        if user is None:
            continue
        if better is None:
            return user
        if await User.filter(id=user.id, password_hash=stored).update(password_hash=better):
            user.password_hash = better
            return user


async def _stored(username: str) -> str | None:
    """Return the hash of an enabled account; the query always returns one row."""
    if "\0" in username:
        return None
    (found,) = await rows(_STORED, username)
    return None if found["hash"] is None else str(found["hash"])


async def get(user_id: UUID) -> User:
    """Return a user.

    Raises:
        UserNotFound: no user has this id.

    """
    user = await User.get_or_none(id=user_id)
    if user is None:
        raise UserNotFound
    return user


async def add(username: str, password: str, role: Role) -> User:
    """Create a user.

    Raises:
        UsernameRefused, UsernameTaken: the name is invalid or in use.
        PasswordRefused: the password is invalid.

    """
    if not 0 < len(username) <= MAX_USERNAME or not username.isprintable():
        raise UsernameRefused
    password_hash = await passwords.hashed(password)
    try:
        async with transaction():
            user = await User.create(username=username, password_hash=password_hash, role=role)
            await trail.record(Action.ADD_USER, username, {"role": role.value})
    except IntegrityError:
        raise UsernameTaken from None
    return user


async def set_password(username: str, password: str) -> list[UUID]:
    """Set a user's password and end their sessions; return those that were open.

    Raises:
        UserNotFound: no user has this name.
        PasswordRefused: it is too short, too long, or has a NUL.

    """
    password_hash = await passwords.hashed(password)
    return await _change(Action.CHANGE_PASSWORD, username, password_hash=password_hash)


async def disable(username: str, *, even_last_admin: bool = False) -> list[UUID]:
    """Disable a user and end their sessions; return those that were open.

    Raises:
        UserNotFound: no user has this name.
        LastAdmin: no other admin is enabled, and `even_last_admin` is not set.

    """
    now = datetime.now(UTC)
    return await _change(
        Action.DISABLE_USER, username, keep_an_admin=not even_last_admin, disabled_at=now
    )


async def enable(username: str, *, refused_password: str | None = None) -> None:
    """Enable a disabled user.

    Raises:
        UserNotFound: no user has this name.
        KnownPassword: it is an admin whose password is `refused_password`.

    """
    async with transaction():
        if refused_password is not None:
            admin = await User.get_or_none(username=username, role=Role.ADMIN)
            if admin and await passwords.is_hash_of(refused_password, admin.password_hash):
                raise KnownPassword
        if not await User.filter(username=username).update(disabled_at=None):
            raise UserNotFound
        await trail.record(Action.ENABLE_USER, username)


async def accounts(limit: int, offset: int = 0) -> Sequence[Account]:
    """Return at most `limit` users after the first `offset`, by name."""
    users = await User.all().order_by("username").offset(offset).limit(limit)
    found = await rows(
        "SELECT user_id, count(*) AS sessions FROM sessions "
        "WHERE revoked_at IS NULL AND expires_at > now() AND user_id = ANY($1::uuid[]) "
        "GROUP BY user_id",
        [user.id for user in users],
    )
    counts = {each["user_id"]: int(each["sessions"]) for each in found}
    return [Account(user, counts.get(user.id, 0)) for user in users]


async def ensure_admin(username: str, password: str) -> bool:
    """Create the admin unless a user has this name; return whether one was created.

    Raises:
        PasswordRefused: the password is too short, too long, or has a NUL.

    """
    if await User.exists(username=username):
        return False
    password_hash = await passwords.hashed(password)
    user = User(username=username, password_hash=password_hash, role=Role.ADMIN)
    # Another instance that starts at the same time may have created it.
    await User.bulk_create([user], ignore_conflicts=True)
    return True


async def admins_with_password(password: str) -> list[str]:
    """Return the names of the enabled admins whose stored hash is of this password."""
    admins = await User.filter(role=Role.ADMIN, disabled_at=None).order_by("username")
    return [
        admin.username
        for admin in admins
        if await passwords.is_hash_of(password, admin.password_hash)
    ]


async def _change(
    action: Action, username: str, *, keep_an_admin: bool = False, **fields: object
) -> list[UUID]:
    async with transaction():
        user = await User.get_or_none(username=username)
        if user is None:
            raise UserNotFound
        if keep_an_admin and await _enabled_admins() == [username]:
            raise LastAdmin
        # Sessions first: those that the trigger of `users` ends are not returned.
        await User.filter(id=user.id).select_for_update().first()
        ended = await sessions.end_all(user.id)
        await User.filter(id=user.id).update(**fields)
        await trail.record(action, username)
        return ended


async def _enabled_admins() -> list[str]:
    """Lock the enabled admins in one order and return their names.

    If two admins are disabled at the same time, the second waits for the first commit.
    """
    admins = User.filter(role=Role.ADMIN, disabled_at=None).order_by("id").select_for_update()
    return [admin.username for admin in await admins]
