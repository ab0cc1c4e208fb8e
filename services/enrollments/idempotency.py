"""One effect a key: a request that comes again gets the answer of the first.

The key is taken and the answer kept in the transaction of the effect, so there is never one without
the others. Of two at once PostgreSQL lets the second wait until the first has committed or not.
"""

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property

import orjson

from infra.db import batches
from infra.db.transactions import transaction
from models import IdempotentResponse
from services.errors import Code, Conflict
from services.tasks import rows

KEPT_FOR = timedelta(hours=24)


class KeyReused(Conflict):
    """This Idempotency-Key was used for another request"""

    code = Code.IDEMPOTENCY_MISMATCH


@dataclass(frozen=True)
class Keyed:
    """A request with a key: whose it is, what it asks of which operation."""

    operation: str
    caller: str
    key: str
    content: bytes

    @cached_property
    def digest(self) -> str:
        """Return what it is found by."""
        # JSON keeps the parts apart: no caller's key can be made to look like another's.
        parts = self.operation, self.caller, self.key
        return hashlib.sha256(orjson.dumps(parts)).hexdigest()

    @cached_property
    def fingerprint(self) -> str:
        """Return what tells it from another request with the same key."""
        return hashlib.sha256(self.content).hexdigest()


@dataclass(frozen=True)
class Answer:
    """What a client gets, byte for byte."""

    status: int
    headers: dict[str, str]
    body: bytes


async def once(request: Keyed, act: Callable[[], Awaitable[Answer]]) -> tuple[Answer, bool]:
    """Act and keep the answer, or return the one that is kept; tell whether it was kept.

    What `act` raises undoes all and keeps nothing: a refusal did nothing that must not be done
    twice, and may be none the next time.

    Raises:
        KeyReused: the key stands for a request of other content.

    """
    async with transaction():
        if await rows(
            "INSERT INTO idempotent_responses (digest, fingerprint) VALUES ($1, $2) "
            "ON CONFLICT DO NOTHING RETURNING digest",
            request.digest,
            request.fingerprint,
        ):
            acted = await act()
            await rows(
                "UPDATE idempotent_responses SET status = $2, headers = $3, body = $4 "
                "WHERE digest = $1 RETURNING digest",
                request.digest,
                acted.status,
                orjson.dumps(acted.headers).decode(),
                acted.body,
            )
            return acted, False
    answer = await kept(request)
    # None: it was pruned between the two statements.
    return await once(request, act) if answer is None else (answer, True)


async def kept(request: Keyed) -> Answer | None:
    """Return the answer that is kept for a request, if there is one.

    Raises:
        KeyReused: the key stands for a request of other content.

    """
    found = await IdempotentResponse.get_or_none(digest=request.digest)
    if found is None:
        return None
    if found.fingerprint != request.fingerprint:
        raise KeyReused
    return Answer(found.status or 0, found.headers or {}, bytes(found.body or b""))


async def prune() -> int:
    """Forget the answers that were kept long enough; return how many."""
    return await batches.delete(
        "idempotent_responses", "created_at < now() - $1::interval", KEPT_FOR
    )
