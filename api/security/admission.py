"""Authorizes a call and counts it in its rate limit."""

from collections.abc import Awaitable

from sanic import Request

from api.security import audit
from api.security.rate_limits import Limits
from api.security.tokens import Identity
from infra.rate_limits.buckets import RateClass
from services.errors import Forbidden, Unauthenticated


async def admit(
    request: Request, caller: Awaitable[Identity | None] | None, kind: RateClass | None
) -> None:
    """Authorize the caller, unless anyone may call, and count the call.

    A denied call counts as a read.

    Raises:
        Unauthenticated, Forbidden: the caller has no access.
        RateLimited: the caller's limit is exhausted.

    """
    limits: Limits = request.app.ctx.limits
    if caller is not None:
        try:
            request.ctx.identity = await caller
            audit.set_caller(request, request.ctx.identity)
        except (Unauthenticated, Forbidden):
            request.ctx.identity = getattr(request.ctx, "caller", None)
            await limits.spend(request, RateClass.READS)
            raise
    if kind:
        await limits.spend(request, kind)
