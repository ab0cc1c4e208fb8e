"""Passwords: stored as argon2id; bcrypt hashes of the old service verify until their next login.

A denied login costs the same for an existing, a disabled, an old and a missing account: one
verification of each kind of hash that is in use, of a dummy hash for the kinds that do not apply.
"""

import asyncio
import os
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache, partial
from typing import TypeVar

from passlib.context import CryptContext

from infra.db.sql import rows
from infra.observability import logs
from services.errors import ServiceError, Unavailable

MIN_CHARACTERS = 8
MAX_CHARACTERS = 1024
# bcrypt ignores what follows: a longer password would match by its beginning.
MAX_BCRYPT_BYTES = 72
# The first characters of a bcrypt hash, `$2a$12$`, are its variant and cost.
BCRYPT_KIND = 7
ARGON2 = "$argon2"

HASHERS = 2
MAX_WAITING = 64
NICENESS = 10
KINDS_SECONDS = 60.0

T = TypeVar("T")

# The parameters are OWASP's: 2 passes over 19 MiB, one lane.
_context = CryptContext(
    schemes=["argon2", "bcrypt"],
    deprecated=["bcrypt"],
    argon2__type="ID",
    argon2__time_cost=2,
    argon2__memory_cost=19 * 1024,
    argon2__parallelism=1,
)

log = logs.get_logger(__name__)


class PasswordRefused(ServiceError):
    """A password must have 8 to 1024 characters and no NUL character"""


class HashersBusy(Unavailable):
    """Too many are logging in at once; try again soon"""


async def hashed(password: str) -> str:
    """Return the hash of a new password.

    Raises:
        PasswordRefused: it is too short, too long, or has a NUL.
        HashersBusy: too many passwords are being hashed.

    """
    if not MIN_CHARACTERS <= len(password) <= MAX_CHARACTERS or "\0" in password:
        raise PasswordRefused
    return await _hashers.run(_context.hash, password)


async def check(password: str, stored: str | None) -> tuple[bool, str | None]:
    """Verify a password against the stored hash of an account; None: no account.

    Returns:
        Whether it matches, and a new hash if the stored one is of an old kind.

    Raises:
        HashersBusy: too many passwords are being hashed.

    """
    kinds = await _kinds.known()
    return await _hashers.run(_check, password, stored, kinds)


async def is_hash_of(password: str, stored: str) -> bool:
    """Return whether a stored hash is of a password; for checks at start, not for logins.

    Its time depends on the hash. It leaves no thread behind, so a process can fork after it.
    """
    if not _context.identify(stored):
        return False
    return bool(await asyncio.to_thread(_context.verify, password, stored))


def _check(password: str, stored: str | None, kinds: frozenset[str]) -> tuple[bool, str | None]:
    # The same steps with and without an account: even a few more calls are measurable.
    known = stored or _dummy(ARGON2)
    kind = _kind(known)
    if kind is None:
        known, kind = _dummy(ARGON2), ARGON2
    candidate, fits = _candidate(password, kind)
    matches, better = _context.verify_and_update(candidate, known)
    if matches and fits and known is stored:
        return True, better
    for other in kinds - {kind}:
        _context.verify(_candidate(password, other)[0], _dummy(other))
    return False, None


def _candidate(password: str, kind: str) -> tuple[str, bool]:
    """Return what to verify, and whether it is the password itself: an invalid one is replaced."""
    size = len(password.encode(errors="surrogatepass"))
    fits = "\0" not in password and (kind == ARGON2 or size <= MAX_BCRYPT_BYTES)
    fits = fits and size <= MAX_CHARACTERS * 4
    return (password, True) if fits else ("refused", False)


def _kind(stored: str) -> str | None:
    if stored.startswith(ARGON2):
        return ARGON2
    return stored[:BCRYPT_KIND] if _context.identify(stored) else None


@lru_cache(maxsize=64)
def _dummy(kind: str) -> str:
    """Return a hash of this kind, of a random password."""
    password = os.urandom(16).hex()
    if kind == ARGON2:
        return str(_context.hash(password))
    _, ident, cost, _ = kind.split("$")
    old = CryptContext(schemes=["bcrypt"], bcrypt__rounds=int(cost), bcrypt__ident=ident)
    return str(old.hash(password))


class _Kinds:
    """The kinds of hashes in use, read once a minute."""

    def __init__(self) -> None:
        self._known = frozenset[str]()
        self._until = 0.0

    async def known(self) -> frozenset[str]:
        if time.monotonic() >= self._until:
            old = await rows(
                'SELECT DISTINCT "left"(password_hash, 7) AS kind FROM users '
                "WHERE password_hash LIKE '$2%'"
            )
            self._known = frozenset({ARGON2, *(each["kind"] for each in old)})
            self._until = time.monotonic() + KINDS_SECONDS
        return self._known


class Hashers:
    """A few threads of low priority with a bounded queue."""

    def __init__(self, threads: int, max_waiting: int) -> None:
        self._pool = ThreadPoolExecutor(
            threads, thread_name_prefix="passwords", initializer=_lower_priority
        )
        self._most = threads + max_waiting
        self._inside = 0

    async def run(self, function: Callable[..., T], *args: object) -> T:
        """Run a function in one of the threads.

        Raises:
            HashersBusy: the queue is full.

        """
        if self._inside >= self._most:
            raise HashersBusy
        self._inside += 1
        try:
            work = partial(function, *args)
            return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        finally:
            self._inside -= 1


def _lower_priority() -> None:
    # On Linux each thread has its own niceness: the event loop runs before the hashers.
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)


_kinds = _Kinds()
_hashers = Hashers(HASHERS, MAX_WAITING)
