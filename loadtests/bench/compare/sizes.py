"""What a row takes on disk, and what a course takes in the memory of an API process."""

import asyncio
import http.client
from dataclasses import dataclass
from urllib.parse import urlsplit

import asyncpg
import psutil

from loadtests.bench.compare.cases import DETAIL
from loadtests.bench.environment import LIST, Database, Instance

TABLES = ("enrollments", "students", "courses")
SETTLE_SECONDS = 1.0
PAGE = 20


@dataclass(frozen=True)
class TokenGrant:
    """How many rows there are, and the bytes that each takes with its part of the indexes."""

    rows: int
    bytes_each: float


async def on_disk(database: Database) -> dict[str, TokenGrant]:
    """Return what the rows of each table take, indexes and TOAST included."""
    connection = await asyncpg.connect(database.url, command_timeout=120)
    found = {}
    for table in TABLES:
        rows = await connection.fetchval(f"SELECT count(*) FROM {table}")  # noqa: S608  constants
        taken = await connection.fetchval("SELECT pg_total_relation_size($1::regclass)", table)
        if rows:
            found[table] = TokenGrant(rows, taken / rows)
    await connection.close()
    return found


async def in_memory(database: Database, instance: Instance) -> TokenGrant:
    """Read every course and every page once; return by how much that made the process grow."""
    connection = await asyncpg.connect(database.url)
    ids = [str(row["id"]) for row in await connection.fetch("SELECT id FROM courses")]
    await connection.close()
    pages = -(-len(ids) // PAGE)
    paths = [f"{DETAIL}/{each}" for each in ids]
    paths += [f"{LIST}&page={number}" for number in range(1, pages + 1)]
    before = _resident(instance)
    await asyncio.to_thread(_read, instance.url, paths)
    await asyncio.sleep(SETTLE_SECONDS)
    return TokenGrant(len(ids), (_resident(instance) - before) / len(ids))


def _read(url: str, paths: list[str]) -> None:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=30)
    for path in paths:
        connection.request("GET", path)
        answer = connection.getresponse()
        answer.read()
        if answer.status != http.client.OK:
            raise SystemExit(f"{path} was answered with {answer.status}")
    connection.close()


def _resident(instance: Instance) -> int:
    """Return the bytes of the server processes."""
    first = psutil.Process(instance.pid)
    return sum(each.memory_info().rss for each in (first, *first.children(recursive=True)))


def table(disk: dict[str, TokenGrant], memory: TokenGrant) -> str:
    """Render both."""
    lines = [
        "| what | how many | bytes each |",
        "|---|---:|---:|",
        *(
            f"| {name}: table and indexes | {each.rows:,} | {each.bytes_each:,.0f} |"
            for name, each in disk.items()
        ),
        f"| courses in an API's memory | {memory.rows:,} | {memory.bytes_each:,.0f} |",
    ]
    grown = memory.rows * memory.bytes_each / 1e6
    lines += [
        "",
        f"{memory.rows:,} courses and all their pages, each read once, are {grown:.0f} MB",
    ]
    lines[-1] += " of an API process."
    return "\n".join(lines)
