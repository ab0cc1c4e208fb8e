"""The limits of reads and writes, which must cost next to nothing: tokens are borrowed in batches.

A process keeps a few tokens of each client's shared bucket in hand, a hundredth of a minute's worth
(a batch), and asks for more in the background before they run out. A request takes one by a
look-up and a subtraction; only one that finds nothing left, not even on credit, waits for what
Redis says, so that a late answer refuses nobody. What that costs in accuracy:

- Too many: while the answer is under way a process lets a client have up to a batch on credit (ten
  requests where a batch is fewer, but no more than six seconds' worth), the first of a new client
  too. That is a debt, paid back out of what is granted next: over time the rate holds, and at any
  moment a client may be ahead of it by one batch a process.
- Too few: what a process has in hand and its client does not use is lost: at most a batch a process
  and minute.

While Redis is away each process grants by its own buckets: the limit then counts per process.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from infra.observability import logs
from infra.rate_limits.buckets import PERIOD_SECONDS, Buckets, Kind, Rate, TokenGrant, TokenRequest

BATCHES_A_MINUTE = 100
# An answer of Redis that is late by some milliseconds holds up nobody who has tokens left.
LEAST_CREDIT = 10
# Redis's own timeout, and the counting alone, come first.
LONGEST_WAIT_SECONDS = 1.0
IDLE_SECONDS = 60.0
MAX_CLIENTS = 100_000
MAX_ASKS = 1_000
# More than any process will ever count down.
UNLIMITED = 1 << 60

log = logs.get_logger(__name__)


@dataclass(slots=True)
class _TokenLease:
    """What a process holds for a client; below zero is debt."""

    left: int
    low: int
    asking: bool = False
    # The last answer was less than what was asked for: nothing on credit then.
    short: bool = False
    refused_until: float = 0.0
    full_seconds: float = 0.0
    mark: int | None = None


class TokenLeaser:
    """Counts requests of a kind; `is_exempt` tells which clients are not counted."""

    def __init__(
        self,
        buckets: Buckets,
        kind: Kind,
        rate: Rate,
        is_exempt: Callable[[str], bool] = lambda _: False,
    ) -> None:
        self._buckets = buckets
        self._kind = kind
        self._batch = max(1, rate.per_minute // BATCHES_A_MINUTE)
        self._credit = max(self._batch, min(LEAST_CREDIT, rate.per_minute // 10))
        self._seconds_a_token = PERIOD_SECONDS / rate.per_minute
        self._is_exempt = is_exempt
        self._hands: dict[str, _TokenLease] = {}
        self._asking: dict[str, _TokenLease] = {}
        self._woken = asyncio.Event()
        self._answered = asyncio.Event()

    @property
    def clients(self) -> int:
        """How many clients are remembered."""
        return len(self._hands)

    def take(self, client: str) -> bool:
        """Take a token for a request; tell whether there was one."""
        hand = self._hands.get(client)
        if hand is None:
            hand = self._meet(client)
        if hand.left > hand.low:
            hand.left -= 1
            return True
        return self._take_low(client, hand)

    async def take_once_known(self, client: str) -> bool:
        """Take a token for a request; wait for Redis, a second at most, if it is not known yet."""
        if self.take(client):
            return True
        try:
            async with asyncio.timeout(LONGEST_WAIT_SECONDS):
                while not self.take(client):
                    hand = self._hands[client]
                    if hand.short and time.monotonic() < hand.refused_until:
                        return False
                    await self._answered.wait()
        except TimeoutError:
            return False
        return True

    def refusal(self, client: str) -> TokenGrant:
        """Return what to tell a client for whom there was no token."""
        hand = self._hands.get(client)
        wait = max(0.0, hand.refused_until - time.monotonic()) if hand else 0.0
        return TokenGrant(0, 0, wait, hand.full_seconds if hand else 0.0)

    async def run(self) -> None:
        """Borrow what is asked for, and forget idle clients, until cancelled."""
        sweep_at = time.monotonic() + IDLE_SECONDS
        while True:
            try:
                await asyncio.wait_for(self._woken.wait(), IDLE_SECONDS)
            except TimeoutError:
                pass
            else:
                try:
                    await self.borrow()
                except Exception:
                    # Ended, it would leave everybody without tokens.
                    log.exception("borrowing_failed")
            if time.monotonic() >= sweep_at:
                self._sweep()
                sweep_at = time.monotonic() + IDLE_SECONDS

    async def borrow(self) -> None:
        """Fill up the hands that are low, in one round trip."""
        self._woken.clear()
        while self._asking:
            names = list(self._asking)[:MAX_ASKS]
            hands = [self._asking.pop(name) for name in names]
            asks = [
                TokenRequest(self._kind, name, self._batch - hand.left)
                for name, hand in zip(names, hands, strict=True)
            ]
            try:
                answers = await self._buckets.take(asks)
            except Exception:
                for hand in hands:
                    hand.asking = False
                raise
            else:
                for hand, ask, taken in zip(hands, asks, answers, strict=True):
                    self._put(hand, ask, taken)
            finally:
                self._answered.set()
                self._answered = asyncio.Event()

    def _put(self, hand: _TokenLease, ask: TokenRequest, taken: TokenGrant) -> None:
        hand.left += taken.granted
        hand.full_seconds = taken.full_seconds
        hand.short = taken.granted < ask.wanted
        hand.asking = hand.short
        if hand.short:
            # Asked again without being asked, so that who waits as told finds a token here.
            wait = taken.wait_seconds + max(0, -hand.left) * self._seconds_a_token
            hand.refused_until = time.monotonic() + wait
            asyncio.get_running_loop().call_later(wait, self._ask, ask.client, hand)

    def _ask(self, client: str, hand: _TokenLease) -> None:
        hand.asking = True
        self._asking[client] = hand
        self._woken.set()

    def _take_low(self, client: str, hand: _TokenLease) -> bool:
        if not hand.asking:
            self._ask(client, hand)
        is_there = hand.left > 0 or (not hand.short and hand.left > -self._credit)
        hand.left -= is_there
        return is_there

    def _meet(self, client: str) -> _TokenLease:
        if self._is_exempt(client):
            hand = _TokenLease(UNLIMITED, 0)
        else:
            if len(self._hands) >= MAX_CLIENTS:
                del self._hands[next(iter(self._hands))]
            # On credit: the first of a client's requests start the asking.
            hand = _TokenLease(0, self._batch // 2)
        self._hands[client] = hand
        return hand

    def _sweep(self) -> None:
        for client, hand in list(self._hands.items()):
            if hand.left == hand.mark and not hand.asking:
                del self._hands[client]
            hand.mark = hand.left
