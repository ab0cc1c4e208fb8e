"""A circuit breaker for Redis: after a failure, calls use the fallback for a second."""

import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from infra.observability import logs, metrics
from infra.observability.events import Event
from infra.redis_py import RedisError

BREAK_SECONDS = 1.0

T = TypeVar("T")

log = logs.get_logger(__name__)


class Breaker:
    """Calls Redis while it is available. After a failure one call a second pays its timeout."""

    def __init__(self) -> None:
        self._broken_until = 0.0

    async def call(
        self, redis: Callable[[], Awaitable[T]], fallback: Callable[[], Awaitable[T]]
    ) -> T:
        """Return the result of Redis, or that of the fallback."""
        if time.monotonic() >= self._broken_until:
            try:
                return await redis()
            except (RedisError, OSError, TimeoutError) as error:
                self._broken_until = time.monotonic() + BREAK_SECONDS
                log.warning(Event.RATE_LIMIT_REDIS_UNAVAILABLE, error=str(error))
        metrics.rate_limit_fallbacks.inc()
        return await fallback()


async def no_fallback() -> None:
    """Do nothing without Redis."""
