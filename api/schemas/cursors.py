"""The cursors of listings with keyset pagination; they are opaque to clients."""

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

from pydantic import BeforeValidator, WithJsonSchema

from infra.queue.queries import Cursor
from services.errors import Code
from services.fields import refuse

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Part of the OpenAPI document, so the service accepts everything that it matches.
_PATTERN = r"^(older|newer)\.[0-9]{1,16}\.[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"


def encode(cursor: Cursor) -> str:
    """Return a cursor in its text form for clients."""
    microseconds = (cursor.at - _EPOCH) // timedelta(microseconds=1)
    return f"{'newer' if cursor.is_newer else 'older'}.{microseconds}.{cursor.id}"


def _decode(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    if not re.fullmatch(_PATTERN, value):
        raise refuse(Code.INVALID_FORMAT, "Cursor must be one that a listing gave")
    direction, microseconds, task_id = value.split(".")
    at = _EPOCH + timedelta(microseconds=int(microseconds))
    return Cursor(at, UUID(task_id), direction == "newer")


CursorField = Annotated[
    Cursor,
    BeforeValidator(_decode),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": _PATTERN,
            "description": "The `next_cursor` of a page, or the `cursor` of one of its `Link`s.",
        }
    ),
]
