"""How much of what a client may do: token buckets of the generic cell rate algorithm (GCRA)."""

from redis.asyncio import Redis
from redis.asyncio.connection import BlockingConnectionPool

from infra.rate_limits.buckets import (
    Buckets,
    FallbackBuckets,
    Kind,
    MemoryBuckets,
    Rate,
    RedisBuckets,
    TokenGrant,
    TokenRequest,
    whole_seconds,
)
from infra.rate_limits.leasing import TokenLeaser
from infra.rate_limits.logins import (
    FREE_OF_ACCOUNT,
    Attempt,
    FallbackLogins,
    LoginThrottle,
    MemoryLogins,
)
from infra.rate_limits.logins_redis import RedisLogins

__all__ = [
    "FREE_OF_ACCOUNT",
    "Attempt",
    "Buckets",
    "FallbackBuckets",
    "FallbackLogins",
    "Kind",
    "LoginThrottle",
    "MemoryBuckets",
    "MemoryLogins",
    "Rate",
    "RedisBuckets",
    "RedisClient",
    "RedisLogins",
    "TokenGrant",
    "TokenLeaser",
    "TokenRequest",
    "connect",
    "whole_seconds",
]

# A request waits for it: rather count alone than wait.
TIMEOUT_SECONDS = 0.25
MAX_CONNECTIONS = 16


# What holders of the connection need to name.
RedisClient = Redis


def connect(url: str) -> RedisClient:
    """Return a Redis that answers soon or fails."""
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=MAX_CONNECTIONS,
        timeout=TIMEOUT_SECONDS,
        socket_timeout=TIMEOUT_SECONDS,
        socket_connect_timeout=TIMEOUT_SECONDS,
    )
    return Redis.from_pool(pool)
