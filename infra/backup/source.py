"""The server that is backed up: what is known of it, and the address for pg_basebackup."""

from dataclasses import dataclass
from datetime import datetime
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

import asyncpg

from infra.backup.errors import BackupRefused
from infra.db import dsn
from infra.settings import Settings, require_direct_database

FIRST_INCREMENTAL = 17
# Any number that no other lock of the service has.
_LOCK = 0x656E_726F_6C6C_626B
_FACTS = """
    SELECT system_identifier::text AS cluster, timeline_id AS timeline, clock_timestamp() AS now,
        current_setting('server_version_num')::int / 10000 AS major,
        current_setting('archive_mode') <> 'off' AS is_archiving,
        coalesce(current_setting('summarize_wal', true), 'off') = 'on' AS is_summarizing,
        (SELECT setting::int FROM pg_settings WHERE name = 'wal_segment_size') AS segment_bytes,
        (SELECT count(*) FROM pg_tablespace) > 2 AS has_tablespaces,
        (SELECT sum(pg_database_size(oid))::bigint FROM pg_database
            WHERE has_database_privilege(oid, 'CONNECT')) AS bytes
    FROM pg_control_system(), pg_control_checkpoint()
"""


@dataclass(frozen=True)
class Server:
    """The facts of a server; `bytes` is the size of its databases."""

    cluster: str
    timeline: int
    now: datetime
    major: int
    is_archiving: bool
    is_summarizing: bool
    segment_bytes: int
    has_tablespaces: bool
    bytes: int


async def inspect(connection: asyncpg.Connection) -> Server:
    """Return the facts.

    Raises:
        BackupRefused: no backup of this server could be restored to a time.

    """
    server = Server(**await connection.fetchrow(_FACTS))
    if not server.is_archiving:
        raise BackupRefused(
            "archive_mode is off on the server: without WAL in the archive a backup can't be "
            "restored to a time (docs/deployment.md, Backup and restore)"
        )
    if server.has_tablespaces:
        raise BackupRefused("the server has tablespaces of its own, which backups don't cover")
    return server


async def lock(connection: asyncpg.Connection) -> None:
    """Let no other backup of this server begin until the connection is closed.

    Raises:
        BackupRefused: one is running.

    """
    if not await connection.fetchval("SELECT pg_try_advisory_lock($1)", _LOCK):
        raise BackupRefused("another backup of this server is running")


def address(settings: Settings) -> str:
    """Return the URL of the server for a role with REPLICATION.

    Raises:
        SettingsError: no database is set.

    """
    return settings.backup_database_url or require_direct_database(settings)


def without_password(url: str) -> tuple[str, dict[str, str]]:
    """Return the URL for a command line, which other users see, and the environment beside it."""
    parts = urlsplit(dsn.parse(url).text)
    account, at, hosts = parts.netloc.rpartition("@")
    user, _, password = account.partition(":")
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    password = query.pop("password", "") or unquote(password)
    shown = parts._replace(netloc=f"{user}{at}{hosts}", query=urlencode(query)).geturl()
    return shown, {"PGPASSWORD": password} if password else {}
