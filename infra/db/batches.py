"""Deleting much: some thousand rows a statement, so that none meets the limit of a statement."""

from infra.db.engine import primary

BATCH = 10_000


async def delete(table: str, condition: str, *values: object) -> int:
    """Delete the rows that match, each batch for good at once; return how many they were.

    Cut off in between, it goes on where it was when it is called again.
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
