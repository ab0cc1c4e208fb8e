"""The limits of reads and writes: a process takes tokens of Redis's buckets in batches.

A process leases a batch of each client's shared bucket, a hundredth of a minute's tokens, and
requests more in the background before they run out. A request takes a token by a look-up and a
subtraction. Only a request without a token and without credit waits for Redis, so that a slow reply
refuses no client. The accuracy:

- Too many: until the reply, a process grants a client up to a batch on credit (at least ten
  requests, at most six seconds' worth). Later grants pay the debt: the rate holds over time, and a
  client is ahead by at most one batch for each process.
- Too few: leased tokens that the client does not use are lost, at most a batch for each process and
  minute.

While Redis is unavailable each process uses its own buckets, so the limit counts per process.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from infra.observability import logs
from infra.observability.events import Event
from infra.rate_limits.buckets import (
    PERIOD_SECONDS,
    Buckets,
    Rate,
    RateClass,
    TokenGrant,
    TokenRequest,
)

BATCHES_PER_MINUTE = 100
# Bridges a reply of Redis that is late by some milliseconds.
MIN_CREDIT = 10
# Longer than Redis's timeout and the fallback together.
MAX_WAIT_SECONDS = 1.0
IDLE_SECONDS = 60.0
MAX_CLIENTS = 100_000
MAX_REQUESTS = 1_000
# A count that no process uses up.
UNLIMITED = 1 << 60

log = logs.get_logger(__name__)


@dataclass(slots=True)
class _TokenLease:
    """The tokens that a process holds for a client; a negative number is debt."""

    left: int
    threshold: int
    is_pending: bool = False
    # The last grant was less than requested, so there is no credit.
    is_exhausted: bool = False
    refused_until: float = 0.0
    full_seconds: float = 0.0
    left_at_sweep: int | None = None


class TokenLeaser:
    """Counts requests of a rate class, except those of clients for which `is_exempt` is true."""

    def __init__(
        self,
        buckets: Buckets,
        rate_class: RateClass,
        rate: Rate,
        is_exempt: Callable[[str], bool] = lambda _: False,
    ) -> None:
        self._buckets = buckets
        self._rate_class = rate_class
        self._batch = max(1, rate.per_minute // BATCHES_PER_MINUTE)
        self._credit = max(self._batch, min(MIN_CREDIT, rate.per_minute // 10))
        self._seconds_per_token = PERIOD_SECONDS / rate.per_minute
        self._is_exempt = is_exempt
        self._leases: dict[str, _TokenLease] = {}
        self._pending: dict[str, _TokenLease] = {}
        self._wake = asyncio.Event()
        self._granted = asyncio.Event()

    @property
    def clients(self) -> int:
        """The number of clients with a lease."""
        return len(self._leases)

    def take(self, client: str) -> bool:
        """Take a token for a request; return whether there was one."""
        lease = self._leases.get(client)
        if lease is None:
            lease = self._new_lease(client)
        if lease.left > lease.threshold:
            lease.left -= 1
            return True
        return self._take_below_threshold(client, lease)

    async def take_or_wait(self, client: str) -> bool:
        """Take a token for a request; wait up to `MAX_WAIT_SECONDS` for a pending grant."""
        if self.take(client):
            return True
        try:
            async with asyncio.timeout(MAX_WAIT_SECONDS):
                while not self.take(client):
                    lease = self._leases[client]
                    if lease.is_exhausted and time.monotonic() < lease.refused_until:
                        return False
                    await self._granted.wait()
        except TimeoutError:
            return False
        return True

    def refusal(self, client: str) -> TokenGrant:
        """Return the refusal of a client without a token, with its waiting time."""
        lease = self._leases.get(client)
        wait = max(0.0, lease.refused_until - time.monotonic()) if lease else 0.0
        return TokenGrant(0, 0, wait, lease.full_seconds if lease else 0.0)

    async def run(self) -> None:
        """Lease the requested tokens, and drop leases of idle clients, until cancelled."""
        sweep_at = time.monotonic() + IDLE_SECONDS
        while True:
            try:
                await asyncio.wait_for(self._wake.wait(), IDLE_SECONDS)
            except TimeoutError:
                pass
            else:
                try:
                    await self.lease_tokens()
                except Exception:
                    # If this loop ended, no client would get tokens.
                    log.exception(Event.TOKEN_LEASING_FAILED)
            if time.monotonic() >= sweep_at:
                self._sweep()
                sweep_at = time.monotonic() + IDLE_SECONDS

    async def lease_tokens(self) -> None:
        """Refill the leases below their threshold, in one round trip for each `MAX_REQUESTS`."""
        self._wake.clear()
        while self._pending:
            names = list(self._pending)[:MAX_REQUESTS]
            leases = [self._pending.pop(name) for name in names]
            requests = [
                TokenRequest(self._rate_class, name, self._batch - lease.left)
                for name, lease in zip(names, leases, strict=True)
            ]
            try:
                grants = await self._buckets.take(requests)
            except Exception:
                for lease in leases:
                    lease.is_pending = False
                raise
            else:
                for lease, request, grant in zip(leases, requests, grants, strict=True):
                    self._apply_grant(lease, request, grant)
            finally:
                self._granted.set()
                self._granted = asyncio.Event()

    def _apply_grant(self, lease: _TokenLease, request: TokenRequest, grant: TokenGrant) -> None:
        lease.left += grant.granted
        lease.full_seconds = grant.full_seconds
        lease.is_exhausted = grant.granted < request.wanted
        lease.is_pending = lease.is_exhausted
        if lease.is_exhausted:
            # Requested again in time, so that a client that waits as told finds a token.
            wait = grant.wait_seconds + max(0, -lease.left) * self._seconds_per_token
            lease.refused_until = time.monotonic() + wait
            asyncio.get_running_loop().call_later(wait, self._request_tokens, request.client, lease)

    def _request_tokens(self, client: str, lease: _TokenLease) -> None:
        lease.is_pending = True
        self._pending[client] = lease
        self._wake.set()

    def _take_below_threshold(self, client: str, lease: _TokenLease) -> bool:
        if not lease.is_pending:
            self._request_tokens(client, lease)
        is_granted = lease.left > 0 or (not lease.is_exhausted and lease.left > -self._credit)
        lease.left -= is_granted
        return is_granted

    def _new_lease(self, client: str) -> _TokenLease:
        if self._is_exempt(client):
            lease = _TokenLease(UNLIMITED, 0)
        else:
            if len(self._leases) >= MAX_CLIENTS:
                del self._leases[next(iter(self._leases))]
            # Starts on credit: the client's first request triggers the token request.
            lease = _TokenLease(0, self._batch // 2)
        self._leases[client] = lease
        return lease

    def _sweep(self) -> None:
        for client, lease in list(self._leases.items()):
            if lease.left == lease.left_at_sweep and not lease.is_pending:
                del self._leases[client]
            lease.left_at_sweep = lease.left
