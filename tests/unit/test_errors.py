"""A temporary error is a 503 with Retry-After, whichever part raises it."""

import asyncpg
import pytest
from redis.exceptions import TimeoutError as RedisTimeout
from sanic.exceptions import ServiceUnavailable
from tortoise.exceptions import TransactionManagementError

from api import errors


def wrapped() -> Exception:
    """Return a driver's error as Tortoise raises it."""
    error = TransactionManagementError("idle")
    error.__cause__ = asyncpg.IdleInTransactionSessionTimeoutError("idle")
    return error


@pytest.mark.parametrize(
    "error",
    [
        ServiceUnavailable("Response Timeout"),
        TimeoutError(),
        asyncpg.QueryCanceledError("statement timeout"),
        asyncpg.LockNotAvailableError("lock timeout"),
        asyncpg.TransactionTimeoutError("transaction timeout"),
        asyncpg.DeadlockDetectedError("deadlock"),
        wrapped(),
        RedisTimeout("no answer"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_a_timeout_is_503_with_retry_after(error):
    response = await errors.render(None, error)
    assert response.status == 503
    assert b'"code":"UNAVAILABLE"' in response.body
    assert response.headers["retry-after"] == "2"
