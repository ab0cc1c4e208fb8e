"""Rate limits of requests, logins and streams, by user or address."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager
from typing import Self

from sanic import Request

from api.security.clients import Clients
from api.security.sse_limits import Streams
from api.security.tokens import Identity
from infra.observability import metrics
from infra.rate_limits.buckets import (
    Buckets,
    FallbackBuckets,
    MemoryBuckets,
    Rate,
    RateClass,
    RedisBuckets,
    TokenGrant,
    TokenRequest,
    whole_seconds,
)
from infra.rate_limits.leasing import TokenLeaser
from infra.rate_limits.logins import FREE_PER_ACCOUNT, FallbackLogins, LoginThrottle, MemoryLogins
from infra.rate_limits.logins_redis import RedisLogins
from infra.redis_py import Redis
from infra.settings import Settings
from services.errors import InvalidCredentials, RateLimited


class Limits:
    """The limits of one process."""

    def __init__(
        self,
        settings: Settings,
        buckets: Buckets,
        logins: LoginThrottle,
        streams: Streams | None = None,
    ) -> None:
        self.clients = Clients(settings.trusted_proxies, settings.rate_limit_exempt)
        self.rates = rates_of(settings)
        self.streams = streams or Streams()
        self.reads, self.writes = (
            TokenLeaser(buckets, kind, self.rates[kind], self.clients.is_exempt)
            for kind in (RateClass.READS, RateClass.WRITES)
        )
        self._leasers = {RateClass.READS: self.reads, RateClass.WRITES: self.writes}
        self._buckets = buckets
        self._logins = logins

    @classmethod
    async def open(
        cls,
        settings: Settings,
        redis: Redis | None,
        streams: Streams,
        resources: AsyncExitStack,
    ) -> Self:
        """Open the limits; background tasks lease tokens until `resources` close."""
        own, own_logins = MemoryBuckets(rates_of(settings)), MemoryLogins()
        buckets: Buckets = own
        logins: LoginThrottle = own_logins
        if redis:
            buckets = FallbackBuckets(RedisBuckets(redis, rates_of(settings)), own)
            logins = FallbackLogins(RedisLogins(redis), own_logins)
        opened = cls(settings, buckets, logins, streams)
        for leaser in (opened.reads, opened.writes):
            resources.callback(asyncio.create_task(leaser.run()).cancel)
        return opened

    async def spend(self, request: Request, kind: RateClass) -> None:
        """Take a token of the request's user, or of its address without a user.

        Raises:
            RateLimited: no token is left.

        """
        address = self.clients.key(request)
        client = _name(getattr(request.ctx, "identity", None), address)
        if leaser := self._leasers.get(kind):
            # An exempt address is exempt with every account.
            is_exempt = client is not address and self.clients.is_exempt(address)
            counted = address if is_exempt else client
            if not leaser.take(counted) and not await leaser.take_or_wait(counted):
                raise self._refusal(kind, leaser.refusal(client))
        elif not self.clients.is_exempt(address):
            [taken] = await self._buckets.take([TokenRequest(kind, client)])
            if not taken.granted:
                raise self._refusal(kind, taken)

    @asynccontextmanager
    async def login(self, request: Request, username: str) -> AsyncIterator[None]:
        """Count the login attempt in this block as failed until the block succeeds.

        Wrong credentials and cancellation count; any other exception releases the attempt.

        Raises:
            RateLimited: too many earlier attempts failed.

        """
        address = self.clients.key(request)
        if self.clients.is_exempt(address):
            yield
            return
        attempt = await self._logins.attempt(username, address)
        if attempt.wait:
            metrics.rate_limit_refusals.inc(labels=("failed_logins",))
            metrics.login_failures.inc(labels=("throttled",))
            seconds = whole_seconds(attempt.wait)
            raise RateLimited(FREE_PER_ACCOUNT, seconds, seconds)
        try:
            yield
        except InvalidCredentials:
            raise
        except Exception:
            await self._logins.release(attempt)
            raise
        await self._logins.succeed(username, address, attempt)

    def stream(self, request: Request, identity: Identity | None) -> AbstractContextManager[None]:
        """Count an open stream of the user, or of the address without a user.

        Raises:
            RateLimited: the client or the process has too many open streams.

        """
        address = self.clients.key(request)
        return self.streams.one(_name(identity, address), is_exempt=self.clients.is_exempt(address))

    def _refusal(self, kind: RateClass, taken: TokenGrant) -> RateLimited:
        metrics.rate_limit_refusals.inc(labels=(kind,))
        return RateLimited(
            self.rates[kind].per_minute,
            whole_seconds(taken.wait_seconds),
            whole_seconds(taken.full_seconds),
        )


def _name(identity: Identity | None, address: str) -> str:
    return f"user:{identity.user_id}" if identity else address


def rates_of(settings: Settings) -> dict[RateClass, Rate]:
    """Return the rate of each class."""
    return {kind: Rate(getattr(settings, f"rate_limit_{kind}")) for kind in RateClass}
