"""One contract over the limits of Redis and of memory, and what happens between the two."""

import asyncio
import socket
import time
from itertools import count

import pytest
from redis.exceptions import RedisError
from uuid_utils.compat import uuid7

from deploy.embedded.servers import running
from infra import limits
from infra.limits import (
    Ask,
    Kind,
    MemoryBuckets,
    MemoryLogins,
    Rate,
    RedisBuckets,
    RedisLogins,
    SafeBuckets,
    SafeLogins,
)
from tests.factories import free_ports

RATES = {
    Kind.READS: Rate(60),
    Kind.WRITES: Rate(6_000),
    Kind.UPLOADS: Rate(600),
    Kind.LOGINS: Rate(600),
}


@pytest.fixture
async def redis(service):
    """The broker's Redis of the service."""
    opened = limits.connect(service.env["BROKER_URL"])
    yield opened
    await opened.aclose()


@pytest.fixture(params=["memory", "redis"])
def buckets(request, redis):
    """Each kind of buckets."""
    return MemoryBuckets(RATES) if request.param == "memory" else RedisBuckets(redis, RATES)


@pytest.fixture(params=["memory", "redis"])
def logins(request, redis):
    """Each kind of counts of logins."""
    return MemoryLogins() if request.param == "memory" else RedisLogins(redis)


@pytest.fixture
def client():
    """A client that nobody has seen yet."""
    return uuid7().hex


async def test_a_minutes_worth_may_come_at_once_and_no_more(buckets, client):
    [first, second] = await buckets.take([Ask(Kind.READS, client, 59), Ask(Kind.READS, client, 5)])
    assert (first.granted, first.left) == (59, 1)
    assert (second.granted, second.left) == (1, 0)
    assert 0.8 < second.wait_seconds <= 1.0
    assert 58 < second.full_seconds <= 60
    [third] = await buckets.take([Ask(Kind.READS, client)])
    assert third.granted == 0


async def test_tokens_come_back_one_by_one(buckets, client):
    await buckets.take([Ask(Kind.WRITES, client, 6_000)])
    started = time.monotonic()
    await asyncio.sleep(0.1)
    [taken] = await buckets.take([Ask(Kind.WRITES, client, 1_000)])
    elapsed = time.monotonic() - started
    assert 10 <= taken.granted <= elapsed * 100 + 2


async def test_each_client_and_each_kind_has_a_bucket(buckets, client):
    await buckets.take([Ask(Kind.READS, client, 60)])
    asks = [Ask(Kind.WRITES, client), Ask(Kind.READS, f"{client}-other"), Ask(Kind.READS, client)]
    assert [taken.granted for taken in await buckets.take(asks)] == [1, 1, 0]


async def test_those_who_ask_at_once_share_one_bucket(buckets, client):
    answers = await asyncio.gather(*(buckets.take([Ask(Kind.READS, client, 3)]) for _ in range(40)))
    assert 60 <= sum(taken.granted for [taken] in answers) <= 61


async def test_a_bucket_that_is_full_again_leaves_nothing_in_redis(redis, client):
    await RedisBuckets(redis, RATES).take([Ask(Kind.WRITES, client)])
    assert 0 < await redis.pttl(f"limit:writes:{client}") <= 12


async def test_redis_that_forgot_the_script_learns_it_again(redis, client):
    buckets = RedisBuckets(redis, RATES)
    for _ in range(2):
        await redis.script_flush()
        [taken] = await buckets.take([Ask(Kind.READS, client)])
        assert taken.granted == 1
        await redis.script_flush()
        assert await RedisLogins(redis).attempt(client, "192.0.2.1") == 0


async def test_ten_failed_logins_are_free_and_then_each_waits_twice_as_long(client):
    now = [0.0]
    logins = MemoryLogins(clock=lambda: now[0])
    waits = []
    for number in range(20):
        assert await logins.attempt(client, f"192.0.2.{number}") == 0
        wait = await logins.attempt(client, "192.0.2.99") if number >= 9 else 0
        waits.append(wait)
        now[0] += wait
    assert waits == [0] * 9 + [1, 2, 4, 8, 16, 32] + [60] * 5
    now[0] += limits.logins.FORGET_SECONDS + 61
    for number in range(10):
        assert await logins.attempt(client, f"192.0.2.{number}") == 0


async def test_attempts_at_once_are_counted_each(logins, client):
    answers = await asyncio.gather(*(logins.attempt(client, "192.0.2.1") for _ in range(30)))
    assert sum(wait == 0 for wait in answers) == 10
    assert all(0 <= wait <= 1 for wait in answers)


async def test_an_address_that_guesses_at_many_accounts_waits(logins, client):
    for number in range(50):
        assert await logins.attempt(f"{client}-{number}", f"address-{client}") == 0
    assert 0 < await logins.attempt(f"{client}-50", f"address-{client}") <= 1
    assert await logins.attempt(f"{client}-50", f"another-{client}") == 0


async def test_a_success_takes_the_failures_of_the_account_back(logins, client):
    for _ in range(3):
        for _ in range(10):
            assert await logins.attempt(client, f"address-{client}") == 0
        await logins.succeed(client, f"address-{client}")


async def test_successes_do_not_use_up_an_address(logins, client):
    for number in range(60):
        assert await logins.attempt(f"{client}-{number}", f"address-{client}") == 0
        await logins.succeed(f"{client}-{number}", f"address-{client}")


async def test_strangers_do_not_make_the_owner_wait_at_home(logins, client):
    home = f"home-{client}"
    await logins.attempt(client, home)
    await logins.succeed(client, home)
    strangers = (f"stranger-{client}-{number}" for number in count())
    while not await logins.attempt(client, next(strangers)):
        pass
    assert await logins.attempt(client, next(strangers)) > 0
    assert await logins.attempt(client, home) == 0
    # Nor may everything be tried from there.
    for _ in range(9):
        await logins.attempt(client, home)
    assert await logins.attempt(client, home) > 0


async def test_while_redis_is_away_a_process_counts_alone(client):
    [port] = free_ports(1)
    away = limits.connect(f"redis://127.0.0.1:{port}/0")
    buckets = SafeBuckets(RedisBuckets(away, RATES), MemoryBuckets(RATES))
    granted = [(await buckets.take([Ask(Kind.READS, client)]))[0].granted for _ in range(61)]
    assert granted == [1] * 60 + [0]
    logins = SafeLogins(RedisLogins(away), MemoryLogins())
    waits = [await logins.attempt(client, "192.0.2.1") for _ in range(11)]
    assert waits[:10] == [0] * 10
    assert waits[10] > 0
    await logins.succeed(client, "192.0.2.1")
    assert await logins.attempt(client, "192.0.2.1") == 0


async def test_redis_that_comes_back_counts_again(tmp_path, client):
    async with running(tmp_path / "servers", {"broker"}) as servers:
        redis = limits.connect(servers.environment["BROKER_URL"])
        buckets = SafeBuckets(RedisBuckets(redis, RATES), MemoryBuckets(RATES))
        await buckets.take([Ask(Kind.READS, client, 50)])
        await servers.stop("broker")
        [alone] = await buckets.take([Ask(Kind.READS, client, 50)])
        assert alone.granted == 50
        await servers.start("broker")
        deadline = time.monotonic() + 10
        while (await buckets.take([Ask(Kind.READS, client, 30)]))[0].granted == 30:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.05)


async def test_redis_that_hangs_costs_one_request_a_second_its_patience(client):
    # The kernel takes connections, and nobody ever answers.
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        redis = RedisBuckets(limits.connect(f"redis://127.0.0.1:{port}/0"), RATES)
        with pytest.raises((RedisError, TimeoutError)):
            await redis.take([Ask(Kind.READS, client)])
        buckets = SafeBuckets(redis, MemoryBuckets(RATES))
        await buckets.take([Ask(Kind.READS, client)])
        started = time.monotonic()
        for _ in range(100):
            await buckets.take([Ask(Kind.READS, client)])
        assert time.monotonic() - started < 0.2
