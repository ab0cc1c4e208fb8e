"""Bulk insertion of courses by COPY, for seeding. Triggers record the changes, as of all writes."""

from collections.abc import Iterator
from typing import Any

COLUMNS = ("id", "title", "description", "difficulty", "created_at", "updated_at")
# With fastupdate a GIN index inserts many rows far faster than row by row.
_FAST_UPDATE_ON = """
    ALTER INDEX ix_courses_search SET (fastupdate = on);
    ALTER INDEX ix_courses_search_pairs SET (fastupdate = on);
"""
_FAST_UPDATE_OFF = """
    ALTER INDEX ix_courses_search SET (fastupdate = off);
    ALTER INDEX ix_courses_search_pairs SET (fastupdate = off);
"""


async def copy_courses(connection: Any, records: Iterator[tuple[object, ...]]) -> None:
    """Insert courses with values in the order of `COLUMNS`, over an asyncpg connection."""
    # No transaction: it would keep the indexes locked until its end.
    await connection.execute(_FAST_UPDATE_ON)
    try:
        await connection.copy_records_to_table("courses", columns=COLUMNS, records=records)
    finally:
        await connection.execute(_FAST_UPDATE_OFF)
