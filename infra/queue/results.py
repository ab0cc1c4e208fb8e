"""The result of a task: JSON in its row, for its successors."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import orjson

from infra.db.sql import rows
from infra.queue.arguments import NUL
from infra.queue.errors import InvalidResult

MAX_RESULT_BYTES = 1 << 16


@dataclass(frozen=True)
class Predecessor:
    """A task that another one has waited for; `result` is None unless it has succeeded."""

    id: UUID
    state: str
    result: Any
    error: str | None


def dump(result: object) -> str | None:
    """Return a result as the JSON of a row; None is no result.

    Raises:
        InvalidResult: it is no JSON, or has more than `MAX_RESULT_BYTES`.

    """
    if result is None:
        return None
    try:
        text = orjson.dumps(result)
    except TypeError as error:
        raise InvalidResult(f"The result is no JSON: {error}") from None
    if len(text) > MAX_RESULT_BYTES:
        raise InvalidResult(
            f"The result has {len(text)} bytes of JSON, and at most {MAX_RESULT_BYTES} are kept"
        )
    if NUL.search(text):
        raise InvalidResult("The result has a NUL, which PostgreSQL does not store")
    return text.decode()


async def predecessors(task_id: UUID) -> dict[str, Predecessor]:
    """Return the tasks that a task has waited for, by the names that it has for them."""
    found = await rows(
        """
        SELECT task_edges.name, parent.id, state, result, error
        FROM task_edges JOIN tasks AS parent ON parent.id = parent_id
        WHERE child_id = $1 ORDER BY task_edges.id
        """,
        task_id,
    )
    return {
        row["name"]: Predecessor(
            row["id"], row["state"], row["result"] and orjson.loads(row["result"]), row["error"]
        )
        for row in found
    }
