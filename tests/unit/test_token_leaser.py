"""The limits of reads and writes: leases of tokens keep the rate."""

import asyncio
import time

import pytest

from infra.rate_limits.buckets import MemoryBuckets, Rate, RateClass, TokenGrant, TokenRequest
from infra.rate_limits.leasing import TokenLeaser

PER_MINUTE = 6_000
BATCH = 60


class ControlledBuckets(MemoryBuckets):
    """Buckets that answer on demand and count their calls."""

    def __init__(self, rate=PER_MINUTE):
        super().__init__({RateClass.READS: Rate(rate)})
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.calls = []

    async def take(self, token_requests: list[TokenRequest]) -> list[TokenGrant]:
        self.calls.append(list(token_requests))
        await self.may_answer.wait()
        return await super().take(token_requests)


@pytest.fixture
async def run():
    """Runs limiters in the background."""
    running = []

    def start(buckets, rate=PER_MINUTE, **more):
        limiter = TokenLeaser(buckets, RateClass.READS, Rate(rate), **more)
        running.append(asyncio.create_task(limiter.run()))
        return limiter

    yield start
    for task in running:
        task.cancel()


async def reads(limiter, client, number):
    """Return how many of these reads are allowed, with time for the background between them."""
    allowed = 0
    for _ in range(number):
        allowed += limiter.take(client)
        await asyncio.sleep(0)
    return allowed


async def test_a_client_gets_its_rate_and_at_most_a_lease_more(run):
    limiter = run(ControlledBuckets())
    started = time.monotonic()
    allowed = await reads(limiter, "192.0.2.1", 3 * PER_MINUTE)
    fair = PER_MINUTE + (time.monotonic() - started) * PER_MINUTE / 60
    assert fair - BATCH <= allowed <= fair + BATCH
    assert await reads(limiter, "192.0.2.2", BATCH) == BATCH


async def test_several_processes_share_a_rate_and_a_lease_each(run):
    shared = ControlledBuckets()
    limiters = [run(shared) for _ in range(4)]
    started = time.monotonic()
    counts = await asyncio.gather(*(reads(each, "192.0.2.1", PER_MINUTE) for each in limiters))
    fair = PER_MINUTE + (time.monotonic() - started) * PER_MINUTE / 60
    assert fair - 4 * BATCH <= sum(counts) <= fair + 4 * BATCH


async def test_many_reads_need_one_call_of_redis(run):
    buckets = ControlledBuckets()
    limiter = run(buckets)
    assert await reads(limiter, "192.0.2.1", 3_000) == 3_000
    assert len(buckets.calls) <= 3_000 / (BATCH / 2) + 2


async def test_one_call_has_the_requests_of_many_clients(run):
    buckets = ControlledBuckets()
    limiter = run(buckets)
    assert all(limiter.take(f"client-{number}") for number in range(500))
    await asyncio.sleep(0.01)
    assert [len(token_requests) for token_requests in buckets.calls] == [500]


async def test_a_lease_is_given_on_credit_while_the_call_runs(run):
    buckets = ControlledBuckets()
    buckets.may_answer.clear()
    limiter = run(buckets)
    assert await reads(limiter, "192.0.2.1", 10 * BATCH) == BATCH
    buckets.may_answer.set()
    await asyncio.sleep(0.01)
    assert limiter.take("192.0.2.1")
    await asyncio.sleep(0.01)
    # The credit is repaid, and there is a lease again.
    wanted = sum(
        token_request.wanted for token_requests in buckets.calls for token_request in token_requests
    )
    assert wanted == BATCH + 1 + BATCH


async def test_a_late_response_refuses_no_client_with_credit(run):
    buckets = ControlledBuckets(300)
    buckets.may_answer.clear()
    limiter = run(buckets, 300)
    assert await reads(limiter, "192.0.2.1", 50) == 10
    buckets.may_answer.set()
    await asyncio.sleep(0.01)
    # The credit is a debt: over the minute the sum is still 300.
    assert await reads(limiter, "192.0.2.1", 600) in range(285, 301)


async def test_a_client_without_credit_waits_for_the_response(run):
    buckets = ControlledBuckets(30)
    buckets.may_answer.clear()
    limiter = run(buckets, 30)
    waiting = [asyncio.create_task(limiter.take_or_wait("192.0.2.1")) for _ in range(35)]
    await asyncio.sleep(0.05)
    assert sum(task.done() for task in waiting) == 3
    buckets.may_answer.set()
    assert sum(await asyncio.gather(*waiting)) in range(30, 34)


async def test_the_wait_for_a_response_is_bounded(run, monkeypatch):
    monkeypatch.setattr("infra.rate_limits.leasing.MAX_WAIT_SECONDS", 0.05)
    buckets = ControlledBuckets(30)
    buckets.may_answer.clear()
    limiter = run(buckets, 30)
    assert [await limiter.take_or_wait("192.0.2.1") for _ in range(4)] == [True] * 3 + [False]


async def test_a_client_that_respects_retry_after_is_served(run):
    rate = 600
    limiter = run(ControlledBuckets(rate), rate)
    assert await reads(limiter, "192.0.2.1", 2 * rate) < 2 * rate
    refusal = limiter.refusal("192.0.2.1")
    assert refusal.granted == 0
    assert 0 < refusal.wait_seconds < 2
    assert 58 < refusal.full_seconds <= 61
    await asyncio.sleep(refusal.wait_seconds + 0.05)
    assert limiter.take("192.0.2.1")


async def test_over_time_the_rate_holds_in_spite_of_credit(run):
    rate = 3_000
    limiter = run(ControlledBuckets(rate), rate)
    started = time.monotonic()
    allowed = 0
    while time.monotonic() - started < 1.5:
        allowed += limiter.take("192.0.2.1")
        await asyncio.sleep(0.0005)
    # At 50 a second 1.5 s allow 75 more.
    assert allowed <= rate + 75 + rate // 100


async def test_an_exempt_client_is_not_counted(run):
    buckets = ControlledBuckets()
    limiter = run(buckets, is_exempt=lambda client: client == "192.0.2.1")
    assert await reads(limiter, "192.0.2.1", 3 * PER_MINUTE) == 3 * PER_MINUTE
    assert buckets.calls == []


async def test_a_limit_of_a_few_requests_a_minute(run):
    limiter = run(ControlledBuckets(5), 5)
    assert 5 <= await reads(limiter, "192.0.2.1", 50) <= 6


async def test_idle_clients_are_forgotten(run, monkeypatch):
    monkeypatch.setattr("infra.rate_limits.leasing.IDLE_SECONDS", 0.02)
    limiter = run(ControlledBuckets())
    for number in range(100):
        limiter.take(f"client-{number}")
    assert limiter.clients == 100
    for _ in range(100):
        await asyncio.sleep(0.02)
        if not limiter.clients:
            break
    assert limiter.clients == 0


async def test_the_number_of_remembered_clients_is_bounded(run, monkeypatch):
    monkeypatch.setattr("infra.rate_limits.leasing.MAX_CLIENTS", 10)
    limiter = run(ControlledBuckets())
    for number in range(100):
        limiter.take(f"client-{number}")
    assert limiter.clients == 10


async def test_an_unexpected_error_does_not_stop_the_leasing(run, monkeypatch):
    buckets = ControlledBuckets()
    limiter = run(buckets)
    take = buckets.take

    async def fail(token_requests):
        monkeypatch.setattr(buckets, "take", take)
        raise ValueError("unexpected")

    monkeypatch.setattr(buckets, "take", fail)
    assert await reads(limiter, "192.0.2.1", 10 * BATCH) == 10 * BATCH
