"""The contract of the limits in Redis and in memory, and the fallback between the two."""

import asyncio
import socket
import time
from itertools import count
from types import SimpleNamespace

import asyncpg
import pytest
from redis.exceptions import RedisError
from tortoise.exceptions import DBConnectionError
from uuid_utils.compat import uuid7

from api.security.rate_limits import Limits
from deploy.embedded.servers import running
from infra import rate_limits
from infra.rate_limits.buckets import (
    FallbackBuckets,
    MemoryBuckets,
    Rate,
    RateClass,
    RedisBuckets,
    TokenRequest,
)
from infra.rate_limits.logins import COUNT_TTL_SECONDS, FallbackLogins, MemoryLogins, login_keys
from infra.rate_limits.logins_redis import RedisLogins
from infra.settings import Settings
from services.auth.passwords import HashersBusy
from services.errors import InvalidCredentials, RateLimited
from tests.factories import free_ports

RATES = {
    RateClass.READS: Rate(60),
    RateClass.WRITES: Rate(6_000),
    RateClass.UPLOADS: Rate(600),
    RateClass.LOGINS: Rate(600),
}


@pytest.fixture
async def redis(service, monkeypatch):
    """The broker's Redis of the service."""
    monkeypatch.setattr("infra.rate_limits.TIMEOUT_SECONDS", 5.0)
    opened = rate_limits.connect(service.env["BROKER_URL"])
    yield opened
    await opened.aclose()


@pytest.fixture(params=["memory", "redis"])
def buckets(request, redis):
    """Each kind of buckets."""
    return MemoryBuckets(RATES) if request.param == "memory" else RedisBuckets(redis, RATES)


@pytest.fixture(params=["memory", "redis"])
def logins(request, redis):
    """Each kind of login throttle."""
    return MemoryLogins() if request.param == "memory" else RedisLogins(redis)


@pytest.fixture
def client():
    """A new client's key."""
    return uuid7().hex


async def test_a_burst_of_one_minutes_tokens_is_allowed(buckets, client):
    [first, second] = await buckets.take(
        [TokenRequest(RateClass.READS, client, 59), TokenRequest(RateClass.READS, client, 5)]
    )
    assert (first.granted, first.left) == (59, 1)
    assert (second.granted, second.left) == (1, 0)
    assert 0.8 < second.wait_seconds <= 1.0
    assert 58 < second.full_seconds <= 60
    [third] = await buckets.take([TokenRequest(RateClass.READS, client)])
    assert third.granted == 0


async def test_tokens_are_refilled_continuously(buckets, client):
    await buckets.take([TokenRequest(RateClass.WRITES, client, 6_000)])
    started = time.monotonic()
    await asyncio.sleep(0.1)
    [grant] = await buckets.take([TokenRequest(RateClass.WRITES, client, 1_000)])
    elapsed = time.monotonic() - started
    assert 10 <= grant.granted <= elapsed * 100 + 2


async def test_each_client_and_rate_class_has_its_own_bucket(buckets, client):
    await buckets.take([TokenRequest(RateClass.READS, client, 60)])
    token_requests = [
        TokenRequest(RateClass.WRITES, client),
        TokenRequest(RateClass.READS, f"{client}-other"),
        TokenRequest(RateClass.READS, client),
    ]
    assert [grant.granted for grant in await buckets.take(token_requests)] == [1, 1, 0]


async def test_concurrent_requests_share_one_bucket(buckets, client):
    grants = await asyncio.gather(
        *(buckets.take([TokenRequest(RateClass.READS, client, 3)]) for _ in range(40))
    )
    assert 60 <= sum(grant.granted for [grant] in grants) <= 61


@pytest.mark.parametrize(("failed", "seconds"), [(9, 1), (10, 2), (12, 8), (15, 60), (90, 60)])
async def test_redis_doubles_the_wait_after_each_failed_login(redis, client, failed, seconds):
    account = login_keys(client, "192.0.2.1")[0]
    await redis.hset(account, "attempts", failed)
    logins = RedisLogins(redis)
    assert (await logins.attempt(client, "192.0.2.1")).wait == 0
    wait = (await logins.attempt(client, "192.0.2.1")).wait
    assert seconds - 0.5 < wait <= seconds
    assert COUNT_TTL_SECONDS - 5 < await redis.pttl(account) / 1000 <= COUNT_TTL_SECONDS


async def test_a_full_bucket_leaves_no_key_in_redis(redis, client):
    await RedisBuckets(redis, RATES).take([TokenRequest(RateClass.WRITES, client)])
    assert 0 < await redis.pttl(f"limit:writes:{client}") <= 12


async def test_the_script_is_loaded_again_after_redis_lost_it(redis, client):
    buckets = RedisBuckets(redis, RATES)
    for _ in range(2):
        await redis.script_flush()
        [grant] = await buckets.take([TokenRequest(RateClass.READS, client)])
        assert grant.granted == 1
        await redis.script_flush()
        assert (await RedisLogins(redis).attempt(client, "192.0.2.1")).wait == 0


async def wait_of(logins, username, address):
    """Record a failed login, or return the seconds to wait."""
    return (await logins.attempt(username, address)).wait


async def log_in(logins, username, address):
    """Record a successful login."""
    attempt = await logins.attempt(username, address)
    assert attempt.wait == 0
    await logins.succeed(username, address, attempt)


async def test_ten_failed_logins_are_free_and_then_the_wait_doubles(client):
    now = [0.0]
    logins = MemoryLogins(clock=lambda: now[0])
    waits = []
    for number in range(20):
        assert await wait_of(logins, client, f"192.0.2.{number}") == 0
        wait = await wait_of(logins, client, "192.0.2.99") if number >= 9 else 0
        waits.append(wait)
        now[0] += wait
    assert waits == [0] * 9 + [1, 2, 4, 8, 16, 32] + [60] * 5
    now[0] += rate_limits.logins.COUNT_TTL_SECONDS + 61
    for number in range(10):
        assert await wait_of(logins, client, f"192.0.2.{number}") == 0


async def test_each_of_several_concurrent_attempts_counts(logins, client):
    waits = await asyncio.gather(*(wait_of(logins, client, "192.0.2.1") for _ in range(30)))
    assert sum(wait == 0 for wait in waits) == 10
    assert all(0 <= wait <= 1 for wait in waits)


async def test_an_address_that_tries_many_accounts_has_to_wait(logins, client):
    for number in range(50):
        assert await wait_of(logins, f"{client}-{number}", f"address-{client}") == 0
    assert 0 < await wait_of(logins, f"{client}-50", f"address-{client}") <= 1
    assert await wait_of(logins, f"{client}-50", f"another-{client}") == 0


async def test_a_success_clears_the_failures_of_the_account(logins, client):
    for _ in range(3):
        for _ in range(9):
            assert await wait_of(logins, client, f"address-{client}") == 0
        await log_in(logins, client, f"address-{client}")


async def test_successes_do_not_count_against_an_address(logins, client):
    for number in range(60):
        await log_in(logins, f"{client}-{number}", f"address-{client}")


async def test_an_attackers_own_logins_do_not_reset_the_address(logins, client):
    address = f"address-{client}"
    await log_in(logins, client, address)
    for number in range(50):
        assert await wait_of(logins, f"{client}-{number}", address) == 0
        await log_in(logins, client, address)
    assert await wait_of(logins, f"{client}-50", address) > 0


async def test_logins_of_many_own_accounts_do_not_reset_the_address(logins, client):
    address = f"address-{client}"
    for number in range(49):
        assert await wait_of(logins, f"{client}-{number}", address) == 0
        await log_in(logins, f"own-{client}-{number}", address)
    assert await wait_of(logins, f"{client}-49", address) == 0
    assert await wait_of(logins, f"{client}-50", address) > 0


async def test_a_success_does_not_clear_a_later_failure(logins, client):
    address = f"address-{client}"
    slow = await logins.attempt(f"own-{client}", address)
    for number in range(49):
        assert await wait_of(logins, f"{client}-{number}", address) == 0
    assert await wait_of(logins, f"{client}-49", address) > 0
    await logins.succeed(f"own-{client}", address, slow)
    assert await wait_of(logins, f"{client}-49", address) > 0


async def test_a_refunded_attempt_does_not_count(logins, client):
    address = f"address-{client}"
    for _ in range(9):
        assert await wait_of(logins, client, address) == 0
    for _ in range(60):
        attempt = await logins.attempt(client, address)
        assert attempt.wait == 0
        await logins.release(attempt)
    assert await wait_of(logins, client, address) == 0
    assert await wait_of(logins, client, address) > 0


async def test_an_attempt_is_refunded_once(logins, client):
    address = f"address-{client}"
    attempt = await logins.attempt(client, address)
    for _ in range(20):
        await logins.release(attempt)
    for _ in range(10):
        assert await wait_of(logins, client, address) == 0
    assert await wait_of(logins, client, address) > 0


async def test_a_login_that_raises_is_not_counted_as_a_failure(logins, client):
    gate = Limits(Settings(_env_file=None), MemoryBuckets(RATES), logins)
    request = SimpleNamespace(ip=f"address-{client}", ctx=SimpleNamespace())

    async def fails(error):
        with pytest.raises(type(error)):
            async with gate.login(request, client):
                raise error

    for error in (HashersBusy(), DBConnectionError("away"), asyncpg.InterfaceError("closed")):
        for _ in range(30):
            await fails(error)
    for _ in range(10):
        await fails(InvalidCredentials())
    with pytest.raises(RateLimited):
        async with gate.login(request, client):
            pytest.fail("it did not have to wait")


async def test_failures_from_other_addresses_do_not_lock_the_owner_out(logins, client):
    home = f"home-{client}"
    await log_in(logins, client, home)
    strangers = (f"stranger-{client}-{number}" for number in count())
    while not await wait_of(logins, client, next(strangers)):
        pass
    assert await wait_of(logins, client, next(strangers)) > 0
    assert await wait_of(logins, client, home) == 0
    # The owner's own address is limited as well.
    for _ in range(9):
        await wait_of(logins, client, home)
    assert await wait_of(logins, client, home) > 0


async def test_while_redis_is_down_each_process_counts_by_itself(client):
    [port] = free_ports(1)
    unavailable = rate_limits.connect(f"redis://127.0.0.1:{port}/0")
    buckets = FallbackBuckets(RedisBuckets(unavailable, RATES), MemoryBuckets(RATES))
    granted = [
        (await buckets.take([TokenRequest(RateClass.READS, client)]))[0].granted for _ in range(61)
    ]
    assert granted == [1] * 60 + [0]
    logins = FallbackLogins(RedisLogins(unavailable), MemoryLogins())
    waits = [await wait_of(logins, client, "192.0.2.1") for _ in range(9)]
    assert waits == [0] * 9
    tenth = await logins.attempt(client, "192.0.2.1")
    assert await wait_of(logins, client, "192.0.2.1") > 0
    await logins.succeed(client, "192.0.2.1", tenth)
    assert await wait_of(logins, client, "192.0.2.1") == 0


async def test_tokens_counted_by_a_process_are_not_taken_from_redis(redis, client):
    address = f"address-{client}"
    shared, own = RedisLogins(redis), MemoryLogins()
    for number in range(50):
        assert await wait_of(shared, f"{client}-{number}", address) == 0
    [port] = free_ports(1)
    unavailable = FallbackLogins(
        RedisLogins(rate_limits.connect(f"redis://127.0.0.1:{port}/0")), own
    )
    alone = await unavailable.attempt(f"own-{client}", address)
    assert alone.wait == 0
    await FallbackLogins(shared, own).succeed(f"own-{client}", address, alone)
    assert await wait_of(shared, f"{client}-50", address) > 0


async def test_counting_in_redis_resumes_when_it_is_back(tmp_path, client):
    async with running(tmp_path / "servers", {"broker"}) as servers:
        redis = rate_limits.connect(servers.environment["BROKER_URL"])
        buckets = FallbackBuckets(RedisBuckets(redis, RATES), MemoryBuckets(RATES))
        await buckets.take([TokenRequest(RateClass.READS, client, 50)])
        await servers.stop("broker")
        [alone] = await buckets.take([TokenRequest(RateClass.READS, client, 50)])
        assert alone.granted == 50
        await servers.start("broker")
        deadline = time.monotonic() + 10
        while (await buckets.take([TokenRequest(RateClass.READS, client, 30)]))[0].granted == 30:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.05)


async def test_a_hanging_redis_delays_one_request_a_second_by_its_timeout(client):
    # The kernel accepts connections, but there is never a response.
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        redis = RedisBuckets(rate_limits.connect(f"redis://127.0.0.1:{port}/0"), RATES)
        with pytest.raises((RedisError, TimeoutError)):
            await redis.take([TokenRequest(RateClass.READS, client)])
        buckets = FallbackBuckets(redis, MemoryBuckets(RATES))
        await buckets.take([TokenRequest(RateClass.READS, client)])
        started = time.monotonic()
        for _ in range(100):
            await buckets.take([TokenRequest(RateClass.READS, client)])
        assert time.monotonic() - started < 0.2
