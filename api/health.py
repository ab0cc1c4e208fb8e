"""Health checks of the service's parts.

Their queries use a separate connection. The check of the database also leases a connection from
the request pool.
"""

import asyncio
from dataclasses import dataclass

from tortoise import BaseDBAsyncClient

from infra.aio.singleflight import SingleFlight
from infra.cache import ResponseCache
from infra.db import engine, migration_files, migrations
from infra.queue.liveness import is_relay_alive
from infra.storage import Storage

# Time limit of a check of the database, for a server that takes connections and does not answer.
CHECK_SECONDS = 3.0


@dataclass(frozen=True)
class Parts:
    """Which parts of the service are connected; `tasks`: at least one relay reaches the broker."""

    database: bool
    redis: bool
    storage: bool
    tasks: bool


class HealthQueries:
    """The health checks; concurrent callers share one query."""

    def __init__(self, source: BaseDBAsyncClient) -> None:
        self._source = source
        # Read once: an upgrade may replace the files while this process runs.
        self._required = migration_files.required()
        self._flights: SingleFlight[str, bool] = SingleFlight()

    async def is_connected(self) -> bool:
        """Return whether the database responds and the request pool leases connections."""
        return await self._flights.run("database", self._is_connected)

    async def is_relay_alive(self) -> bool:
        """Return whether a relay reaches the broker."""
        return await self._flights.run("relay", lambda: is_relay_alive(self._source))

    async def is_migrated(self) -> bool:
        """Return whether the database has the migrations that this release needs."""
        return await self._flights.run("migrations", self._is_migrated)

    async def _is_connected(self) -> bool:
        try:
            async with asyncio.timeout(CHECK_SECONDS):
                return await engine.is_connected(self._source) and await engine.leases_connections()
        except TimeoutError:
            return False

    async def _is_migrated(self) -> bool:
        return await migrations.has_migration(self._source, self._required)

    async def parts(self, cache: ResponseCache, storage: Storage) -> Parts:
        """Check all parts; without the database `tasks` is False, because its check is a query."""
        is_connected = await self.is_connected()
        redis, stored, carried = await asyncio.gather(
            cache.level.is_connected(),
            storage.is_connected(),
            self.is_relay_alive() if is_connected else asyncio.sleep(0, result=False),
        )
        return Parts(is_connected, redis, stored, carried)
