"""Throttles failed logins: each one makes the next of its account and of its address wait longer.

An attempt counts as failed until it succeeds, so concurrent attempts count, too. After some free
attempts the wait doubles from a second to a minute, and no account is locked for good. An account
at an address from which it has logged in before has a separate count, so that guesses from other
addresses don't make its owner wait.
"""

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Protocol

from infra.rate_limits.breaker import Breaker, no_fallback
from infra.rate_limits.buckets import MAX_KEYS

PREFIX = "login"
FREE_PER_ACCOUNT = 10
FREE_PER_ADDRESS = 50
FIRST_WAIT_SECONDS = 1.0
MAX_WAIT_SECONDS = 60.0
COUNT_TTL_SECONDS = 15 * 60
KNOWN_TTL_SECONDS = 30 * 24 * 60 * 60


@dataclass(frozen=True)
class Attempt:
    """An attempt to log in.

    `wait` is the seconds that it has to wait. If 0, it is counted: `counted` has the keys of its
    counts, each with the time until which it blocks other attempts (0: it doesn't), on the clock of
    the counter. `is_fallback`: this process counted it while Redis was unavailable.
    """

    wait: float = 0.0
    counted: dict[str, float] = field(default_factory=dict)
    is_fallback: bool = False


NOT_COUNTED = Attempt()


class LoginThrottle(Protocol):
    """Counts attempts to log in."""

    async def attempt(self, username: str, address: str) -> Attempt:
        """Count an attempt, unless it has to wait first."""

    async def succeed(self, username: str, address: str, attempt: Attempt) -> None:
        """Undo the attempt, and record that the account logged in from this address."""

    async def release(self, attempt: Attempt) -> None:
        """Undo an attempt that was neither a success nor a failure."""


@dataclass
class _Count:
    attempts: int = 0
    until: float = 0.0
    expires_at: float = 0.0


class MemoryLogins:
    """The counts of this process; beyond `MAX_KEYS` the oldest are dropped."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._counts: dict[str, _Count] = {}

    async def attempt(self, username: str, address: str) -> Attempt:
        """Count an attempt, unless it has to wait first."""
        account, address_key, pair, known = login_keys(username, address)
        now = self._clock()
        counts = [(account, FREE_PER_ACCOUNT), (address_key, FREE_PER_ADDRESS)]
        if self._count(known, now).attempts:
            counts = [(pair, FREE_PER_ACCOUNT)]
        wait = max(self._count(key, now).until - now for key, _ in counts)
        if wait > 0:
            return Attempt(wait)
        return Attempt(counted={key: self._add(key, now, free) for key, free in counts})

    async def succeed(self, username: str, address: str, attempt: Attempt) -> None:
        """Undo the attempt, and record that the account logged in from this address."""
        account, _, pair, known = login_keys(username, address)
        await self.release(attempt)
        for key in (account, pair):
            self._counts.pop(key, None)
        self._store(known, _Count(1, 0.0, self._clock() + KNOWN_TTL_SECONDS))

    async def release(self, attempt: Attempt) -> None:
        """Undo an attempt that was neither a success nor a failure."""
        for key, until in attempt.counted.items():
            if count := self._counts.get(key):
                count.attempts = max(0, count.attempts - 1)
                if count.until == until:
                    count.until = 0.0

    def _count(self, key: str, now: float) -> _Count:
        count = self._counts.get(key)
        return count if count and count.expires_at > now else _Count()

    def _add(self, key: str, now: float, free: int) -> float:
        count = self._count(key, now)
        over = count.attempts + 1 - free
        until = now + _wait(over) if over >= 0 else 0.0
        self._store(key, _Count(count.attempts + 1, until, now + COUNT_TTL_SECONDS))
        return until

    def _store(self, key: str, count: _Count) -> None:
        self._counts.pop(key, None)
        self._counts[key] = count
        if len(self._counts) > MAX_KEYS:
            del self._counts[next(iter(self._counts))]


class FallbackLogins:
    """The counts in Redis, and while it is unavailable those of this process."""

    def __init__(self, shared: LoginThrottle, own: MemoryLogins) -> None:
        self._shared = shared
        self._own = own
        self._breaker = Breaker()

    async def attempt(self, username: str, address: str) -> Attempt:
        """Count an attempt, unless it has to wait first."""
        return await self._breaker.call(
            lambda: self._shared.attempt(username, address),
            lambda: self._attempt_fallback(username, address),
        )

    async def succeed(self, username: str, address: str, attempt: Attempt) -> None:
        """Undo the attempt, and record that the account logged in from this address."""
        if attempt.is_fallback:
            await self._own.release(attempt)
            attempt = NOT_COUNTED
        await self._breaker.call(
            lambda: self._shared.succeed(username, address, attempt),
            lambda: self._own.succeed(username, address, NOT_COUNTED),
        )

    async def release(self, attempt: Attempt) -> None:
        """Undo an attempt that was neither a success nor a failure."""
        if attempt.is_fallback:
            await self._own.release(attempt)
        else:
            await self._breaker.call(lambda: self._shared.release(attempt), no_fallback)

    async def _attempt_fallback(self, username: str, address: str) -> Attempt:
        return replace(await self._own.attempt(username, address), is_fallback=True)


def _wait(over: int) -> float:
    return float(min(FIRST_WAIT_SECONDS * 2 ** min(over, 30), MAX_WAIT_SECONDS))


def login_keys(username: str, address: str) -> tuple[str, str, str, str]:
    """Return the keys of the account, the address, the pair, and the mark of a known pair."""
    # A hash, because names have any length and any characters.
    name = hashlib.sha256(username.encode(errors="surrogatepass")).hexdigest()[:32]
    return (
        f"{PREFIX}:account:{name}",
        f"{PREFIX}:address:{address}",
        f"{PREFIX}:pair:{name}:{address}",
        f"{PREFIX}:known:{name}:{address}",
    )
