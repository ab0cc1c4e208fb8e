"""Statements for which the ORM has no API, in the running transaction if there is one."""

from typing import Any

from infra.db.engine import primary


async def rows(query: str, *values: object) -> list[dict[str, Any]]:
    """Run a statement on the primary; return its rows."""
    return await primary().execute_query_dict(query, list(values))
