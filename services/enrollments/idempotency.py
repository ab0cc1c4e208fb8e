"""One effect per Idempotency-Key: a repeated request gets the response to the first one.

Key, response and effect commit in one transaction. PostgreSQL makes a concurrent request with the
same key wait for the end of that transaction.
"""

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property

import orjson

from infra.db import batches
from infra.db.sql import rows
from infra.db.transactions import transaction
from models import IdempotentResponse
from services.errors import Code, Conflict

KEPT_FOR = timedelta(hours=24)


class KeyReused(Conflict):
    """This Idempotency-Key was used for another request"""

    code = Code.IDEMPOTENCY_MISMATCH


@dataclass(frozen=True)
class KeyedRequest:
    """A request with a key: its caller, its operation and its content."""

    operation: str
    caller: str
    key: str
    content: bytes

    @cached_property
    def digest(self) -> str:
        """Return the hash of operation, caller and key, which is the primary key of the row."""
        # JSON separates the parts, so different parts never have the same bytes.
        parts = self.operation, self.caller, self.key
        return hashlib.sha256(orjson.dumps(parts)).hexdigest()

    @cached_property
    def fingerprint(self) -> str:
        """Return the hash of the content, which detects another request with the same key."""
        return hashlib.sha256(self.content).hexdigest()


@dataclass(frozen=True)
class StoredResponse:
    """A response, byte for byte as it was sent."""

    status: int
    headers: dict[str, str]
    body: bytes


async def respond_once(
    request: KeyedRequest, act: Callable[[], Awaitable[StoredResponse]]
) -> tuple[StoredResponse, bool]:
    """Run `act` and store its response, or return the stored one; True marks a stored one.

    An error of `act` rolls everything back, so the next attempt may succeed.

    Raises:
        KeyReused: another request had this key.

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
    stored = await find(request)
    # None: the row was pruned between the two statements.
    return await respond_once(request, act) if stored is None else (stored, True)


async def find(request: KeyedRequest) -> StoredResponse | None:
    """Return the stored response to a request, if there is one.

    Raises:
        KeyReused: another request had this key.

    """
    found = await IdempotentResponse.get_or_none(digest=request.digest)
    if found is None:
        return None
    if found.fingerprint != request.fingerprint:
        raise KeyReused
    return StoredResponse(found.status or 0, found.headers or {}, bytes(found.body or b""))


async def prune() -> int:
    """Delete the responses that have expired; return how many."""
    return await batches.delete(
        "idempotent_responses", "created_at < now() - $1::interval", KEPT_FOR
    )
