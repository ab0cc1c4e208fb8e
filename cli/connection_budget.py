"""Compares the connections that all instances open with what the server gives."""

from dataclasses import dataclass
from typing import Self

from infra.db.dsn import each_server
from infra.db.engine import UNUSABLE, PoolerAnswersError, check_direct, direct_connection
from infra.observability import logs
from infra.observability.events import Event
from infra.settings import Settings, SettingsError, require_direct_database
from tasks.registry import SPARE_CONNECTIONS, most_at_once

CONNECT_SECONDS = 5.0
# Of each API process: one for probes in front of a pooler, two for LISTEN behind it.
PROBES, FEEDS = 1, 2
# Of each worker process, beside its pool: the heartbeat of long tasks; of each worker: its relay.
HEARTBEATS, RELAYS = 1, 1
# Migrations, commands, a successor's processes, and operators.
SPARE = 10
# PostgreSQL exempts superusers from the limits of roles and databases, and from the reserve.
_LIMIT = """
    SELECT least(
        current_setting('max_connections')::int - CASE WHEN role.rolsuper THEN 0 ELSE
            current_setting('superuser_reserved_connections')::int
            + coalesce(current_setting('reserved_connections', true)::int, 0) END,
        CASE WHEN role.rolconnlimit >= 0 AND NOT role.rolsuper THEN role.rolconnlimit END,
        CASE WHEN base.datconnlimit >= 0 AND NOT role.rolsuper THEN base.datconnlimit END)
    FROM pg_roles AS role, pg_database AS base
    WHERE role.rolname = current_user AND base.datname = current_database()
"""

log = logs.get_logger(__name__)


@dataclass(frozen=True)
class Budget:
    """The most connections to one server: of an API instance, of a worker, and of all of them."""

    api: int
    worker: int
    total: int

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Return what the primary has to give; a pooler's sessions are not counted."""
        is_pooled = settings.database_direct_url is not None
        pool = 0 if is_pooled else settings.database_pool_size + PROBES
        metrics = 0 if is_pooled or not settings.metrics_at else 1
        api = settings.api_workers * (pool + FEEDS) + metrics
        worker_pool = 0 if is_pooled else most_at_once() + SPARE_CONNECTIONS
        worker = settings.worker_concurrency * (worker_pool + HEARTBEATS)
        return cls._of(settings, api, worker + RELAYS)

    @classmethod
    def of_replica(cls, settings: Settings) -> Self:
        """Return what each replica has to give."""
        return cls._of(settings, settings.api_workers * settings.database_pool_size, 0)

    @classmethod
    def _of(cls, settings: Settings, api: int, worker: int) -> Self:
        total = settings.api_instances * api + settings.worker_instances * worker + SPARE
        return cls(api, worker, total)


async def check_budget(settings: Settings) -> None:
    """Compare the settings with the limits of the primary and of the replicas that answer.

    A warning if all instances together may need more. Whether they do depends on the load.

    Raises:
        SettingsError: the primary can't even give what one instance of the API opens.
        PoolerAnswersError: a pooler answers in the place of the primary.

    """
    budget = Budget.of(settings)
    limit = await _limit_of(require_direct_database(settings))
    if budget.api > limit:
        raise SettingsError(
            f"DATABASE_POOL_SIZE ({settings.database_pool_size}) and API_WORKERS "
            f"({settings.api_workers}) make {budget.api} connections of one API instance, and the "
            f"database gives at most {limit}: lower them, or raise max_connections"
        )
    _advise(settings, "primary", budget, limit)
    replicas = settings.database_replica_url
    for host, url in each_server(replicas).items() if replicas else ():
        try:
            limit = await _limit_of(url)
        except (*UNUSABLE, PoolerAnswersError):
            continue  # a replica that is away costs only a warning of the router
        _advise(settings, host, Budget.of_replica(settings), limit)


async def _limit_of(url: str) -> int:
    async with direct_connection(url, CONNECT_SECONDS) as connection:
        await check_direct(connection)
        return int(await connection.fetchval(_LIMIT))


def _advise(settings: Settings, server: str, budget: Budget, limit: int) -> None:
    if budget.total <= limit:
        return
    log.warning(
        Event.CONNECTIONS_EXCEED_LIMIT,
        server=server,
        needed=budget.total,
        limit=limit,
        api_instances=settings.api_instances,
        api_connections=budget.api,
        worker_instances=settings.worker_instances,
        worker_connections=budget.worker,
        advised="lower DATABASE_POOL_SIZE, raise max_connections, or put PgBouncer in between",
    )
