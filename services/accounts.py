"""Accounts: who may log in."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar
from uuid import UUID

from passlib.context import CryptContext

from models import Role, User
from services.errors import InvalidCredentials, ServiceError, UserNotFound

# bcrypt reads no further than this: a longer password would match by its beginning alone.
MAX_PASSWORD_BYTES = 72
BCRYPT_COST = 12

T = TypeVar("T")

_passwords = CryptContext(schemes=["bcrypt"], bcrypt__rounds=BCRYPT_COST)
# Hashing takes a quarter of a second of a core: two at a time leave one for everybody else.
_hashers = ThreadPoolExecutor(max_workers=2, thread_name_prefix="bcrypt")


class PasswordRefused(ServiceError):
    """A password must have 1 to 72 bytes in UTF-8 and no NUL character"""


async def authenticate(username: str, password: str) -> User:
    """Return the user whose name and password these are, in the same time if there is none.

    Raises:
        InvalidCredentials: no such user, or another password.

    """
    user = await User.get_or_none(username=username) if "\0" not in username else None
    stored = user.password_hash if user else None
    matches = await _in_thread(_verify, password, stored)
    if not matches or user is None or user.disabled_at is not None:
        raise InvalidCredentials
    return user


async def get(user_id: UUID) -> User:
    """Return a user.

    Raises:
        UserNotFound: there is none of this id.

    """
    user = await User.get_or_none(id=user_id)
    if user is None:
        raise UserNotFound
    return user


async def ensure_admin(username: str, password: str) -> bool:
    """Create the admin unless there is a user of this name; tell whether one was created.

    Raises:
        PasswordRefused: the password is empty, longer than bcrypt reads, or has a NUL.

    """
    if await User.exists(username=username):
        return False
    if not _is_hashable(password):
        raise PasswordRefused
    password_hash = await _in_thread(_passwords.hash, password)
    user = User(username=username, password_hash=password_hash, role=Role.ADMIN)
    # Another instance that starts at the same time may have been first.
    await User.bulk_create([user], ignore_conflicts=True)
    return True


def _verify(password: str, stored: str | None) -> bool:
    if stored is None or not _is_hashable(password):
        _passwords.dummy_verify()
        return False
    return bool(_passwords.verify(password, stored))


def _is_hashable(password: str) -> bool:
    return 0 < len(password.encode()) <= MAX_PASSWORD_BYTES and "\0" not in password


async def _in_thread(function: Callable[..., T], *args: object) -> T:
    return await asyncio.get_running_loop().run_in_executor(_hashers, function, *args)
