"""The limits of reads and writes: what borrowing in batches lets through, and what it does not."""

import asyncio
import time

import pytest

from infra.rate_limits import Kind, MemoryBuckets, Rate, TokenGrant, TokenLeaser, TokenRequest

PER_MINUTE = 6_000
BATCH = 60


class Slow(MemoryBuckets):
    """Buckets that answer when told to, and count how often they are asked."""

    def __init__(self, rate=PER_MINUTE):
        super().__init__({Kind.READS: Rate(rate)})
        self.answers = asyncio.Event()
        self.answers.set()
        self.asked = []

    async def take(self, asks: list[TokenRequest]) -> list[TokenGrant]:
        self.asked.append(list(asks))
        await self.answers.wait()
        return await super().take(asks)


@pytest.fixture
async def run():
    """Run limiters in the background."""
    running = []

    def start(buckets, rate=PER_MINUTE, **more):
        limiter = TokenLeaser(buckets, Kind.READS, Rate(rate), **more)
        running.append(asyncio.create_task(limiter.run()))
        return limiter

    yield start
    for task in running:
        task.cancel()


async def reads(limiter, client, number):
    """Return how many of so many reads are allowed, with time for the background in between."""
    allowed = 0
    for _ in range(number):
        allowed += limiter.take(client)
        await asyncio.sleep(0)
    return allowed


async def test_a_client_gets_its_rate_and_at_most_a_batch_more(run):
    limiter = run(Slow())
    started = time.monotonic()
    allowed = await reads(limiter, "192.0.2.1", 3 * PER_MINUTE)
    fair = PER_MINUTE + (time.monotonic() - started) * PER_MINUTE / 60
    assert fair - BATCH <= allowed <= fair + BATCH
    assert await reads(limiter, "192.0.2.2", BATCH) == BATCH


async def test_several_processes_share_a_rate_but_for_a_batch_each(run):
    shared = Slow()
    limiters = [run(shared) for _ in range(4)]
    started = time.monotonic()
    counts = await asyncio.gather(*(reads(each, "192.0.2.1", PER_MINUTE) for each in limiters))
    fair = PER_MINUTE + (time.monotonic() - started) * PER_MINUTE / 60
    assert fair - 4 * BATCH <= sum(counts) <= fair + 4 * BATCH


async def test_redis_is_asked_once_for_many_reads(run):
    buckets = Slow()
    limiter = run(buckets)
    assert await reads(limiter, "192.0.2.1", 3_000) == 3_000
    assert len(buckets.asked) <= 3_000 / (BATCH / 2) + 2


async def test_many_clients_are_asked_about_together(run):
    buckets = Slow()
    limiter = run(buckets)
    assert all(limiter.take(f"client-{number}") for number in range(500))
    await asyncio.sleep(0.01)
    assert [len(asks) for asks in buckets.asked] == [500]


async def test_while_the_answer_is_under_way_a_batch_is_on_credit(run):
    buckets = Slow()
    buckets.answers.clear()
    limiter = run(buckets)
    assert await reads(limiter, "192.0.2.1", 10 * BATCH) == BATCH
    buckets.answers.set()
    await asyncio.sleep(0.01)
    assert limiter.take("192.0.2.1")
    await asyncio.sleep(0.01)
    # What was on credit is paid back, and a batch is in hand again.
    wanted = sum(ask.wanted for asks in buckets.asked for ask in asks)
    assert wanted == BATCH + 1 + BATCH


async def test_a_late_answer_refuses_nobody_where_a_batch_is_few(run):
    buckets = Slow(300)
    buckets.answers.clear()
    limiter = run(buckets, 300)
    assert await reads(limiter, "192.0.2.1", 50) == 10
    buckets.answers.set()
    await asyncio.sleep(0.01)
    # What was on credit is a debt: over the minute it is 300 all the same.
    assert await reads(limiter, "192.0.2.1", 600) in range(285, 301)


async def test_who_has_nothing_on_credit_waits_for_the_answer_and_is_not_refused(run):
    buckets = Slow(30)
    buckets.answers.clear()
    limiter = run(buckets, 30)
    waiting = [asyncio.create_task(limiter.take_once_known("192.0.2.1")) for _ in range(35)]
    await asyncio.sleep(0.05)
    assert sum(task.done() for task in waiting) == 3
    buckets.answers.set()
    assert sum(await asyncio.gather(*waiting)) in range(30, 34)


async def test_nobody_waits_for_ever_for_an_answer(run, monkeypatch):
    monkeypatch.setattr("infra.rate_limits.leasing.LONGEST_WAIT_SECONDS", 0.05)
    buckets = Slow(30)
    buckets.answers.clear()
    limiter = run(buckets, 30)
    assert [await limiter.take_once_known("192.0.2.1") for _ in range(4)] == [True] * 3 + [False]


async def test_who_waits_as_told_is_served(run):
    rate = 600
    limiter = run(Slow(rate), rate)
    assert await reads(limiter, "192.0.2.1", 2 * rate) < 2 * rate
    refusal = limiter.refusal("192.0.2.1")
    assert refusal.granted == 0
    assert 0 < refusal.wait_seconds < 2
    assert 58 < refusal.full_seconds <= 61
    await asyncio.sleep(refusal.wait_seconds + 0.05)
    assert limiter.take("192.0.2.1")


async def test_over_time_the_rate_holds_whatever_was_on_credit(run):
    rate = 3_000
    limiter = run(Slow(rate), rate)
    started = time.monotonic()
    allowed = 0
    while time.monotonic() - started < 1.5:
        allowed += limiter.take("192.0.2.1")
        await asyncio.sleep(0.0005)
    # At 50 a second 1.5 s allow 75 more.
    assert allowed <= rate + 75 + rate // 100


async def test_who_is_exempt_is_not_counted(run):
    buckets = Slow()
    limiter = run(buckets, is_exempt=lambda client: client == "192.0.2.1")
    assert await reads(limiter, "192.0.2.1", 3 * PER_MINUTE) == 3 * PER_MINUTE
    assert buckets.asked == []


async def test_a_limit_of_a_few_a_minute(run):
    limiter = run(Slow(5), 5)
    assert 5 <= await reads(limiter, "192.0.2.1", 50) <= 6


async def test_clients_that_come_once_are_forgotten(run, monkeypatch):
    monkeypatch.setattr("infra.rate_limits.leasing.IDLE_SECONDS", 0.02)
    limiter = run(Slow())
    for number in range(100):
        limiter.take(f"client-{number}")
    assert limiter.clients == 100
    for _ in range(100):
        await asyncio.sleep(0.02)
        if not limiter.clients:
            break
    assert limiter.clients == 0


async def test_there_is_a_bound_on_how_many_clients_are_remembered(run, monkeypatch):
    monkeypatch.setattr("infra.rate_limits.leasing.MAX_CLIENTS", 10)
    limiter = run(Slow())
    for number in range(100):
        limiter.take(f"client-{number}")
    assert limiter.clients == 10


async def test_what_nobody_foresaw_leaves_nobody_without_tokens(run, monkeypatch):
    buckets = Slow()
    limiter = run(buckets)
    take = buckets.take

    async def fail(asks):
        monkeypatch.setattr(buckets, "take", take)
        raise ValueError("what nobody foresaw")

    monkeypatch.setattr(buckets, "take", fail)
    assert await reads(limiter, "192.0.2.1", 10 * BATCH) == 10 * BATCH
