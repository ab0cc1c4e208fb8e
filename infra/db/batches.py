"""Deletes of many rows in batches, each within the time limit of a statement."""

import asyncio
import time

from infra.db.engine import primary

BATCH = 2_000


async def delete(table: str, condition: str, *values: object) -> int:
    """Delete the rows that match, and return their number; each batch commits by itself.

    After an interruption, the next call continues. It deletes for half of the time at most, so that
    others get the server's disk and processors.
    """
    deleted = 0
    while True:
        began = time.monotonic()
        count, _ = await primary().execute_query(
            f"DELETE FROM {table} WHERE {condition} AND ctid = ANY(ARRAY("  # noqa: S608  ours
            f"SELECT ctid FROM {table} WHERE {condition} LIMIT {BATCH}))",
            list(values),
        )
        deleted += count
        if count < BATCH:
            return deleted
        await asyncio.sleep(time.monotonic() - began)
