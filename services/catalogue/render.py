"""Courses as JSON, for lists, single courses, writes and enrollments.

The shape is that of `CourseOut` and `CoursePageOut` in the API's schemas; a test compares them.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import orjson

from models import TaskState

# Returns the address of a stored object by its key.
UrlOf = Callable[[str], str]
Row = Mapping[str, Any]

_OPEN = frozenset({TaskState.QUEUED.value, TaskState.RUNNING.value})
_CANCELLED = "The processing was cancelled"
_VARIANT = ("width", "height", "format", "bytes", "url")
# What clients without `sources` get.
_WEBP = "webp"


def is_in_processing(row: Row) -> bool:
    """Return whether the course's image is in processing."""
    return row["task_state"] in _OPEN


def course(row: Row, url_of: UrlOf) -> bytes:
    """Return a course as JSON; fields without a value are left out."""
    shown = {
        "id": row["id"],
        "title": row["title"],
        "description": row["description"],
        "difficulty": row["difficulty"],
    }
    found = _variants(row, url_of)
    variants = [each for each in found if each["format"] == _WEBP]
    others = [each for each in found if each["format"] != _WEBP]
    image_url = variants[0]["url"] if variants else row["image_url"]
    if image_url is not None:
        shown["image_url"] = image_url
    if row["task_id"] is not None:
        shown["image"] = _unfinished(row)
    elif variants:
        shown["image"] = {"status": "ready", "variants": variants}
        if others:
            shown["image"]["sources"] = [_source(others), _source(variants)]
    shown["created_at"] = row["created_at"]
    shown["updated_at"] = row["updated_at"]
    return _json(shown)


def _variants(row: Row, url_of: UrlOf) -> list[dict[str, Any]]:
    found = orjson.loads(row["variants"]) if row["variants"] else ()
    return [dict(zip(_VARIANT, (*each[:4], url_of(each[4])), strict=True)) for each in found]


def _source(variants: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the attributes of a `<source>`: browsers take the first one whose type they know."""
    srcset = ", ".join(f"{each['url']} {each['width']}w" for each in variants)
    return {"type": f"image/{variants[0]['format']}", "srcset": srcset}


def _unfinished(row: Row) -> dict[str, Any]:
    if is_in_processing(row):
        return {"status": "processing", "task_id": row["task_id"]}
    return {"status": "failed", "error": row["task_error"] or _CANCELLED}


def array(courses: Iterable[bytes]) -> bytes:
    """Return rendered courses as a JSON array."""
    return b"[%s]" % b",".join(courses)


def page(courses: Iterable[bytes], total: int, number: int, limit: int) -> bytes:
    """Return rendered courses as a page, with its pagination."""
    pages = -(-total // limit)
    pagination = {
        "current_page": number,
        "total_pages": pages,
        "total_count": total,
        "has_next": number < pages,
        "has_prev": number > 1,
        "limit": limit,
    }
    return b'{"data":%s,"pagination":%s}' % (array(courses), _json(pagination))


def with_course(fields: Mapping[str, object], course: bytes) -> bytes:
    """Return a JSON object of these fields and the rendered course."""
    return b'%s,"course":%s}' % (_json(fields)[:-1], course)


def _json(content: object) -> bytes:
    return orjson.dumps(content, option=orjson.OPT_UTC_Z)
