"""When a task's body began, told by way of a Valkey list; every system's task does the same."""

import os
import time
from functools import cache

import redis

KEY = "bench:stamps"


def push(number: int) -> None:
    """Tell that the task of this number began just now."""
    now = time.time()
    _client().rpush(KEY, f"{number} {now}")


@cache
def _client() -> redis.Redis:
    return redis.Redis.from_url(os.environ["BENCH_STAMPS_URL"])
