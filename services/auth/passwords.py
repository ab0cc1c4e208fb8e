"""Passwords: kept as argon2id; the old service's bcrypt hashes verify, and are replaced at a login.

A refused login costs the same whether the account exists, is disabled, or has an old hash: one
verification of every kind of hash that some account still has, of a made-up one where it has none.
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
# bcrypt reads no further than this: a longer password would match by its beginning alone.
MAX_BCRYPT_BYTES = 72
# The kind of a bcrypt hash is its first characters, `$2a$12$`: variant and cost.
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
    """Return what to keep of a new password.

    Raises:
        PasswordRefused: it is too short, too long, or has a NUL.
        HashersBusy: too many passwords are being hashed.

    """
    if not MIN_CHARACTERS <= len(password) <= MAX_CHARACTERS or "\0" in password:
        raise PasswordRefused
    return await _hashers.run(_context.hash, password)


async def check(password: str, stored: str | None) -> tuple[bool, str | None]:
    """Tell whether a password is that of a stored hash; none is of nobody.

    Returns:
        Whether it is, and what to keep instead if the hash is of an old kind.

    Raises:
        HashersBusy: too many passwords are being hashed.

    """
    kinds = await _kinds.known()
    return await _hashers.run(_check, password, stored, kinds)


async def is_hash_of(password: str, stored: str) -> bool:
    """Tell whether a stored hash is of a password; for start-up checks, not for logins.

    Its time depends on the hash. It leaves no thread behind, so that a process may fork after it.
    """
    if not _context.identify(stored):
        return False
    return bool(await asyncio.to_thread(_context.verify, password, stored))


def _check(password: str, stored: str | None, kinds: frozenset[str]) -> tuple[bool, str | None]:
    # The same steps for nobody as for somebody: a few more, of code that has left the processor's
    # caches by then, can be measured.
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
    """Return what to verify, and whether it is the password itself: not if it is refused."""
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
    """Return a hash of a kind, of a password that nobody has."""
    password = os.urandom(16).hex()
    if kind == ARGON2:
        return str(_context.hash(password))
    _, ident, cost, _ = kind.split("$")
    old = CryptContext(schemes=["bcrypt"], bcrypt__rounds=int(cost), bcrypt__ident=ident)
    return str(old.hash(password))


class _Kinds:
    """Which kinds of hashes there are, asked for once a minute."""

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
    """A few threads that yield to all others, and a bounded queue in front of them."""

    def __init__(self, threads: int, max_waiting: int) -> None:
        self._pool = ThreadPoolExecutor(
            threads, thread_name_prefix="passwords", initializer=_be_nice
        )
        self._most = threads + max_waiting
        self._inside = 0

    async def run(self, function: Callable[..., T], *args: object) -> T:
        """Run a function in one of the threads.

        Raises:
            HashersBusy: too many wait already.

        """
        if self._inside >= self._most:
            raise HashersBusy
        self._inside += 1
        try:
            work = partial(function, *args)
            return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        finally:
            self._inside -= 1


def _be_nice() -> None:
    # On Linux niceness is a thread's own: the event loop goes first when both want the core.
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)


_kinds = _Kinds()
_hashers = Hashers(HASHERS, MAX_WAITING)
