"""What to do about a Redis that is away: leave it alone for a second, and do without."""

import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from redis.exceptions import RedisError

from infra.observability import logs, metrics

BREAK_SECONDS = 1.0

T = TypeVar("T")

log = logs.get_logger(__name__)


class Breaker:
    """Asks Redis while it answers. After a failure one request a second pays its timeout."""

    def __init__(self) -> None:
        self._broken_until = 0.0

    async def ask(self, redis: Callable[[], Awaitable[T]], alone: Callable[[], Awaitable[T]]) -> T:
        """Return what Redis answers, or what there is without it."""
        if time.monotonic() >= self._broken_until:
            try:
                return await redis()
            except (RedisError, OSError, TimeoutError) as error:
                self._broken_until = time.monotonic() + BREAK_SECONDS
                log.warning("limits_lost_redis", error=str(error))
        metrics.count_limits_alone()
        return await alone()
