"""Counts and times the calls of an image store."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from infra.observability import metrics
from infra.storage.stored_object import StoredObject

if TYPE_CHECKING:
    from infra.storage import Storage


class MeasuredStorage:
    """A store whose calls are counted; a call that its caller cancels is not."""

    def __init__(self, inner: "Storage") -> None:
        self.inner = inner

    async def put(self, key: str, data: bytes, content_type: str) -> None:
        """Store an object, replacing an older one."""
        with _measured("put"):
            await self.inner.put(key, data, content_type)

    async def get(self, key: str) -> StoredObject | None:
        """Return an object, or None if there is none."""
        with _measured("get"):
            return await self.inner.get(key)

    async def delete_prefix(self, prefix: str) -> int:
        """Delete all objects whose key starts with the prefix; return their number."""
        with _measured("delete"):
            return await self.inner.delete_prefix(prefix)

    async def list_keys(self, prefix: str) -> list[str]:
        """Return the keys that start with the prefix, sorted."""
        with _measured("list"):
            return await self.inner.list_keys(prefix)

    async def list_sizes(self, prefix: str) -> dict[str, int]:
        """Return the sizes in bytes of the objects whose key starts with the prefix, by key."""
        with _measured("list"):
            return await self.inner.list_sizes(prefix)

    def url(self, key: str) -> str:
        """Return the public address of an object."""
        return self.inner.url(key)

    async def is_connected(self) -> bool:
        """Return whether the store accepts objects; not counted, because only probes ask."""
        return await self.inner.is_connected()


@contextmanager
def _measured(operation: str) -> Iterator[None]:
    started = time.monotonic()
    outcome = "error"
    try:
        yield
        outcome = "ok"
    except asyncio.CancelledError:
        outcome = ""
        raise
    finally:
        if outcome:
            metrics.storage.observe(time.monotonic() - started, (operation, outcome))
