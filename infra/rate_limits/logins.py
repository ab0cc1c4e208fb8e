"""Failed logins: each makes the next one of the account, and of the address, wait longer.

An attempt counts as failed until it succeeds, so a hundred at once are a hundred. After some that
are free the wait doubles from a second to a minute and stays there: nobody is locked out for good.
Where an account was logged in from before, it has a count of its own: strangers who guess at it
do not make its owner wait.
"""

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Protocol

from infra.rate_limits.breaker import Breaker
from infra.rate_limits.buckets import MAX_KEYS

PREFIX = "login"
FREE_OF_ACCOUNT = 10
FREE_OF_ADDRESS = 50
FIRST_WAIT_SECONDS = 1.0
LONGEST_WAIT_SECONDS = 60.0
FORGET_SECONDS = 15 * 60
KNOWN_SECONDS = 30 * 24 * 60 * 60


@dataclass(frozen=True)
class Attempt:
    """An attempt to log in.

    It has to wait so many seconds; if none, it is counted: `counted` has the keys of its counts,
    with until when it lets nobody else try (0 if it does), on the clock of who counted. `alone` it
    was counted by this process while Redis was away.
    """

    wait: float = 0.0
    counted: dict[str, float] = field(default_factory=dict)
    alone: bool = False


NOT_COUNTED = Attempt()


class LoginThrottle(Protocol):
    """Counts attempts to log in."""

    async def attempt(self, username: str, address: str) -> Attempt:
        """Count an attempt, unless it has to wait first."""

    async def succeed(self, username: str, address: str, attempt: Attempt) -> None:
        """Take the attempt back, and remember where the account is at home."""

    async def release(self, attempt: Attempt) -> None:
        """Take the attempt back: it was neither a success nor a failure."""


@dataclass
class _Count:
    attempts: int = 0
    until: float = 0.0
    forget_at: float = 0.0


class MemoryLogins:
    """This process's own counts; the oldest of too many are forgotten."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._counts: dict[str, _Count] = {}

    async def attempt(self, username: str, address: str) -> Attempt:
        """Count an attempt, unless it has to wait first."""
        account, place, both, home = keys_of(username, address)
        now = self._clock()
        counts = [(account, FREE_OF_ACCOUNT), (place, FREE_OF_ADDRESS)]
        if self._count(home, now).attempts:
            counts = [(both, FREE_OF_ACCOUNT)]
        wait = max(self._count(key, now).until - now for key, _ in counts)
        if wait > 0:
            return Attempt(wait)
        return Attempt(counted={key: self._add(key, now, free) for key, free in counts})

    async def succeed(self, username: str, address: str, attempt: Attempt) -> None:
        """Take the attempt back, and remember where the account is at home."""
        account, _, both, home = keys_of(username, address)
        await self.release(attempt)
        for key in (account, both):
            self._counts.pop(key, None)
        self._keep(home, _Count(1, 0.0, self._clock() + KNOWN_SECONDS))

    async def release(self, attempt: Attempt) -> None:
        """Take the attempt back: it was neither a success nor a failure."""
        for key, until in attempt.counted.items():
            if count := self._counts.get(key):
                count.attempts = max(0, count.attempts - 1)
                if count.until == until:
                    count.until = 0.0

    def _count(self, key: str, now: float) -> _Count:
        found = self._counts.get(key)
        return found if found and found.forget_at > now else _Count()

    def _add(self, key: str, now: float, free: int) -> float:
        count = self._count(key, now)
        over = count.attempts + 1 - free
        until = now + _wait(over) if over >= 0 else 0.0
        self._keep(key, _Count(count.attempts + 1, until, now + FORGET_SECONDS))
        return until

    def _keep(self, key: str, count: _Count) -> None:
        self._counts.pop(key, None)
        self._counts[key] = count
        if len(self._counts) > MAX_KEYS:
            del self._counts[next(iter(self._counts))]


class FallbackLogins:
    """Redis's counts while it answers; while it doesn't, this process's own still throttle."""

    def __init__(self, shared: LoginThrottle, own: MemoryLogins) -> None:
        self._shared = shared
        self._own = own
        self._breaker = Breaker()

    async def attempt(self, username: str, address: str) -> Attempt:
        """Count an attempt, unless it has to wait first."""
        return await self._breaker.ask(
            lambda: self._shared.attempt(username, address),
            lambda: self._attempt_alone(username, address),
        )

    async def succeed(self, username: str, address: str, attempt: Attempt) -> None:
        """Take the attempt back, and remember where the account is at home."""
        if attempt.alone:
            await self._own.release(attempt)
            attempt = NOT_COUNTED
        await self._breaker.ask(
            lambda: self._shared.succeed(username, address, attempt),
            lambda: self._own.succeed(username, address, NOT_COUNTED),
        )

    async def release(self, attempt: Attempt) -> None:
        """Take the attempt back: it was neither a success nor a failure."""
        if attempt.alone:
            await self._own.release(attempt)
        else:
            await self._breaker.ask(lambda: self._shared.release(attempt), _nothing)

    async def _attempt_alone(self, username: str, address: str) -> Attempt:
        return replace(await self._own.attempt(username, address), alone=True)


async def _nothing() -> None:
    """Leave what Redis counted to be forgotten."""


def _wait(over: int) -> float:
    return float(min(FIRST_WAIT_SECONDS * 2 ** min(over, 30), LONGEST_WAIT_SECONDS))


def keys_of(username: str, address: str) -> tuple[str, str, str, str]:
    """Return the keys of the account, the address, both, and the mark that this is a home."""
    # A hash: names are of any length and hold any character.
    name = hashlib.sha256(username.encode(errors="surrogatepass")).hexdigest()[:32]
    return (
        f"{PREFIX}:account:{name}",
        f"{PREFIX}:address:{address}",
        f"{PREFIX}:both:{name}:{address}",
        f"{PREFIX}:home:{name}:{address}",
    )
