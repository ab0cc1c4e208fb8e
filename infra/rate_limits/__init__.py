"""Rate limits of clients: token buckets by the generic cell rate algorithm (GCRA)."""

from infra import redis_py
from infra.redis_py import Redis

# Requests wait for Redis, so the fallback takes over soon.
TIMEOUT_SECONDS = 0.25
MAX_CONNECTIONS = 16


def connect(url: str) -> Redis:
    """Return a Redis client whose calls end within `TIMEOUT_SECONDS`."""
    return redis_py.connect(url, TIMEOUT_SECONDS, connections=MAX_CONNECTIONS)
