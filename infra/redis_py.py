"""redis-py, imported without OpenTelemetry: all other modules take its names from here.

Where OpenTelemetry is installed, redis-py imports the whole SDK for metrics of its own. A process
without tracing would pay for that at its start, in time and memory.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_OPENTELEMETRY = "opentelemetry"


@contextmanager
def _without_opentelemetry() -> Iterator[None]:
    modules: dict[str, Any] = sys.modules
    if _OPENTELEMETRY in modules:
        yield
        return
    modules[_OPENTELEMETRY] = None  # an import of it fails, as if it were not installed
    try:
        yield
    finally:
        del modules[_OPENTELEMETRY]


with _without_opentelemetry():
    from redis.asyncio import Redis
    from redis.asyncio.connection import BlockingConnectionPool
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff
    from redis.exceptions import NoScriptError, RedisError

__all__ = ["NoBackoff", "NoScriptError", "Redis", "RedisError", "Retry", "connect"]


def connect(url: str, seconds: float, *, connections: int, **options: Any) -> Redis:
    """Return a client with a bounded pool; each of its waits ends within `seconds`."""
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=connections,
        timeout=seconds,
        socket_timeout=seconds,
        socket_connect_timeout=seconds,
        **options,
    )
    return Redis.from_pool(pool)
