"""The cursors of listings that are paged by place: opaque to clients."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import BeforeValidator, WithJsonSchema

from api.schemas.fields import refuse
from services.errors import Code
from services.task_control import Cursor

_NEWER = "newer"


def encode(cursor: Cursor) -> str:
    """Return a cursor as clients carry it."""
    words = [cursor.at.isoformat(), str(cursor.id), *([_NEWER] if cursor.is_newer else [])]
    return urlsafe_b64encode(" ".join(words).encode()).decode()


def _decode(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        at, task_id, *direction = urlsafe_b64decode(value).decode().split(" ")
        cursor = Cursor(datetime.fromisoformat(at), UUID(task_id), direction == [_NEWER])
    except ValueError:
        cursor = None
    if cursor is None or cursor.at.tzinfo is None or direction not in ([], [_NEWER]):
        raise refuse(Code.INVALID_FORMAT, "Cursor must be one that a listing gave")
    return cursor


CursorField = Annotated[
    Cursor,
    BeforeValidator(_decode),
    WithJsonSchema(
        {
            "type": "string",
            "format": "cursor",
            "description": "The `next_cursor` of a page, or the `cursor` of one of its `Link`s.",
        }
    ),
]
