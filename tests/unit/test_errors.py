"""What is for a moment is 503 with the time to come back, whoever says so."""

import asyncpg
import pytest
from redis.exceptions import TimeoutError as RedisTimeout
from sanic.exceptions import ServiceUnavailable
from tortoise.exceptions import TransactionManagementError

from api import errors


def wrapped() -> Exception:
    """Return an error of the driver as Tortoise raises it."""
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
async def test_a_timeout_says_when_to_come_back(error):
    answer = await errors.render(None, error)
    assert answer.status == 503
    assert b'"code":"UNAVAILABLE"' in answer.body
    assert answer.headers["retry-after"] == "2"
