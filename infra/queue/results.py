"""The result of a task: JSON in its row, for its successors and for those who wait for it."""

from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar, overload
from uuid import UUID

import orjson
from pydantic import TypeAdapter, ValidationError
from pydantic_core import to_jsonable_python

from infra.db.sql import rows
from infra.db.transactions import is_in_transaction
from infra.errors import SelfDescribed
from infra.queue.arguments import NUL
from infra.queue.errors import (
    InvalidResult,
    ResultNotKept,
    TaskCancelled,
    TaskExpired,
    TaskFailed,
)
from infra.queue.sweep import EXPIRED
from infra.queue.watch import Status, watching

MAX_RESULT_BYTES = 1 << 16

T = TypeVar("T")


class WaitsInTransaction(SelfDescribed, RuntimeError):
    """A result is waited for after the commit: until then no worker sees the task"""


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
        text = orjson.dumps(result, default=to_jsonable_python)
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


@overload
async def result(task_id: UUID) -> Any: ...


@overload
async def result(task_id: UUID, of: type[T]) -> T: ...


async def result(task_id: UUID, of: Any = Any) -> Any:
    """Wait for the end of a task and return its result, as an `of` if that is given.

    All callers of a process share one statement. The wait has no limit of its own and outlasts
    outages of the database: `asyncio.timeout` limits it. A task that waits for another one keeps
    its process from other work; `after` doesn't.

    Raises:
        TaskFailed: it has failed; the message is that of its last attempt.
        TaskCancelled: it was cancelled; `TaskExpired` if it was too late to start it.
        ResultNotKept: no task has this id: it was pruned or dropped, or never enqueued.
        InvalidResult: its result is no `of`.
        WaitsInTransaction: a transaction is running.

    """
    if is_in_transaction():
        raise WaitsInTransaction
    with watching(task_id) as watch:
        while (status := await watch.next()) and not status.is_final:
            pass
    if status is None:
        raise ResultNotKept
    return _loaded(status, of)


def _loaded(status: Status, of: Any) -> Any:
    match status.state:
        case "failed":
            raise TaskFailed(status.error)
        case "cancelled" if status.error == EXPIRED:
            raise TaskExpired
        case "cancelled":
            raise TaskCancelled(status.error)
    try:
        return _adapter(of).validate_json(status.result or "null")
    except ValidationError as error:
        raise InvalidResult(f"The result is not as expected: {error}") from None


@cache
def _adapter(of: Any) -> TypeAdapter[Any]:
    return TypeAdapter(of)
