"""Deletes of many rows in batches, each within the time limit of a statement."""

from infra.db.engine import primary

BATCH = 10_000


async def delete(table: str, condition: str, *values: object) -> int:
    """Delete the rows that match, and return their number; each batch commits by itself.

    After an interruption, the next call continues.
    """
    deleted = 0
    while True:
        count, _ = await primary().execute_query(
            f"DELETE FROM {table} WHERE {condition} AND ctid = ANY(ARRAY("  # noqa: S608  ours
            f"SELECT ctid FROM {table} WHERE {condition} LIMIT {BATCH}))",
            list(values),
        )
        deleted += count
        if count < BATCH:
            return deleted
