"""Rate limits of clients: token buckets by the generic cell rate algorithm (GCRA)."""

from redis.asyncio import Redis
from redis.asyncio.connection import BlockingConnectionPool

from infra.rate_limits.buckets import (
    Buckets,
    FallbackBuckets,
    MemoryBuckets,
    Rate,
    RateClass,
    RedisBuckets,
    TokenGrant,
    TokenRequest,
    whole_seconds,
)
from infra.rate_limits.leasing import TokenLeaser
from infra.rate_limits.logins import (
    FREE_PER_ACCOUNT,
    Attempt,
    FallbackLogins,
    LoginThrottle,
    MemoryLogins,
)
from infra.rate_limits.logins_redis import RedisLogins

__all__ = [
    "FREE_PER_ACCOUNT",
    "Attempt",
    "Buckets",
    "FallbackBuckets",
    "FallbackLogins",
    "LoginThrottle",
    "MemoryBuckets",
    "MemoryLogins",
    "Rate",
    "RateClass",
    "RedisBuckets",
    "RedisClient",
    "RedisLogins",
    "TokenGrant",
    "TokenLeaser",
    "TokenRequest",
    "connect",
    "whole_seconds",
]

# Requests wait for Redis, so the fallback takes over soon.
TIMEOUT_SECONDS = 0.25
MAX_CONNECTIONS = 16


# For modules that hold the connection but must not import redis.
RedisClient = Redis


def connect(url: str) -> RedisClient:
    """Return a Redis client whose calls end within `TIMEOUT_SECONDS`."""
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=MAX_CONNECTIONS,
        timeout=TIMEOUT_SECONDS,
        socket_timeout=TIMEOUT_SECONDS,
        socket_connect_timeout=TIMEOUT_SECONDS,
    )
    return Redis.from_pool(pool)
