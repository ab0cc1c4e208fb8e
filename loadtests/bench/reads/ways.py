"""Four ways from rows to the same JSON: of the first page of a listing, and of one course."""

from collections.abc import Awaitable, Callable, Iterable
from typing import Any
from uuid import UUID

import orjson
from tortoise.expressions import RawSQL
from tortoise.queryset import QuerySet

from api.schemas.responses import CourseOut, CoursePageOut
from infra.db.sql import rows
from models import Course, TaskState
from services.catalogue import queries, render
from services.catalogue.queries import Filters

BASE = "https://images.example.org/"
OURS = "rows, orjson (ours)"

Page = Callable[[int], Awaitable[bytes]]
One = Callable[[UUID], Awaitable[bytes]]

_CANCELLED = "The processing was cancelled"
_FIELDS = ("id", "title", "description", "difficulty", "image_url", "created_at", "updated_at")
_SHOWN_IMAGE = RawSQL(
    """json_build_object(
        'task', (SELECT json_build_object('id', tasks.id, 'state', state, 'error', error)
                 FROM tasks WHERE tasks.id = courses.image_task_id),
        'variants', (SELECT coalesce(json_agg(json_build_object(
                'width', width, 'height', height, 'format', format, 'bytes', bytes, 'key', key
            ) ORDER BY width DESC), '[]') FROM image_variants WHERE course_id = courses.id))"""
)
_TOTAL = "SELECT sum(total)::int AS total FROM course_totals"
_TIME = """to_char({} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')"""
_COURSE = f"""
    json_strip_nulls(json_build_object(
        'id', chosen.id, 'title', title, 'description', description, 'difficulty', difficulty,
        'image_url', coalesce(variants->0->>'url', image_url),
        'image', CASE
            WHEN tasks.state IN ('queued', 'running')
                THEN json_build_object('status', 'processing', 'task_id', tasks.id)
            WHEN tasks.id IS NOT NULL THEN json_build_object(
                'status', 'failed', 'error', coalesce(tasks.error, '{_CANCELLED}'))
            WHEN variants IS NOT NULL
                THEN json_build_object('status', 'ready', 'variants', variants) END,
        'created_at', {_TIME.format("chosen.created_at")},
        'updated_at', {_TIME.format("chosen.updated_at")}))
"""
_CHOSEN = """
    SELECT *, (
        SELECT json_agg(json_build_object('width', width, 'height', height, 'format', format,
            'bytes', bytes, 'url', $2::text || key) ORDER BY width DESC)
        FROM image_variants WHERE course_id = courses.id) AS variants
    FROM courses
"""
_TASKS = "LEFT JOIN tasks ON tasks.id = chosen.image_task_id"
_AGGREGATED = f"""
    SELECT json_build_object(
        'data', json_agg({_COURSE} ORDER BY chosen.created_at DESC, chosen.id DESC),
        'pagination', json_build_object(
            'current_page', 1, 'total_pages', (total + $1::int - 1) / $1::int, 'total_count', total,
            'has_next', total > $1::int, 'has_prev', false, 'limit', $1::int))::text AS body
    FROM ({_TOTAL}) AS counted,
        ({_CHOSEN} ORDER BY created_at DESC, id DESC LIMIT $1::int) AS chosen {_TASKS}
    GROUP BY total
"""  # noqa: S608  constants
_AGGREGATED_ONE = f"""
    SELECT {_COURSE}::text AS body FROM ({_CHOSEN} WHERE id = $1) AS chosen {_TASKS}
"""  # noqa: S608  constants


def url_of(key: str) -> str:
    """Return an object's address."""
    return BASE + key


def _first(limit: int) -> QuerySet[Course]:
    return Course.all().order_by("-created_at", "-id").limit(limit)


async def _pagination(limit: int) -> Any:
    (counted,) = await rows(_TOTAL)
    return orjson.loads(render.page((), counted["total"], 1, limit))["pagination"]


async def objects(limit: int) -> bytes:
    """Build Tortoise's objects, then Pydantic's, then JSON; the total is a second statement."""
    chosen = await _first(limit).annotate(shown_image=_SHOWN_IMAGE)
    data = [_model(course) for course in chosen]
    page = CoursePageOut(data=data, pagination=await _pagination(limit))
    return page.model_dump_json().encode()


async def one_object(course_id: UUID) -> bytes:
    """Do the same for a course."""
    course = await Course.get(id=course_id).annotate(shown_image=_SHOWN_IMAGE)
    return _model(course).model_dump_json().encode()


def _model(course: Course) -> CourseOut:
    fields = {name: getattr(course, name) for name in (*_FIELDS, "shown_image")}
    return CourseOut.model_validate(_shown(fields))


async def values(limit: int) -> bytes:
    """Build Tortoise's dictionaries, then JSON; the total is a second statement."""
    data = await _values(_first(limit))
    return _json({"data": data, "pagination": await _pagination(limit)})


async def one_of_values(course_id: UUID) -> bytes:
    """Do the same for a course."""
    (course,) = await _values(Course.filter(id=course_id))
    return _json(course)


async def _values(chosen: QuerySet[Course]) -> list[dict[str, Any]]:
    found: Iterable[dict[str, Any]] = await chosen.annotate(shown_image=_SHOWN_IMAGE).values(
        *_FIELDS, "shown_image"
    )
    return [_shown(each) for each in found]


def _shown(course: dict[str, Any]) -> dict[str, Any]:
    # asyncpg's own kind of UUID, which orjson does not know.
    course["id"] = str(course["id"])
    image = orjson.loads(course.pop("shown_image"))
    variants = [{"url": url_of(each.pop("key")), **each} for each in image["variants"]]
    if variants:
        course["image_url"] = variants[0]["url"]
    elif course["image_url"] is None:
        del course["image_url"]
    if task := image["task"]:
        if task["state"] in {TaskState.QUEUED, TaskState.RUNNING}:
            course["image"] = {"status": "processing", "task_id": task["id"]}
        else:
            course["image"] = {"status": "failed", "error": task["error"] or _CANCELLED}
    elif variants:
        course["image"] = {"status": "ready", "variants": variants}
    return course


async def raw(limit: int) -> bytes:
    """Build JSON of rows: what services/catalogue/queries.py does."""
    return (await queries.page(Filters(), 1, limit, url_of)).body


async def one_raw(course_id: UUID) -> bytes:
    """Do the same for a course."""
    return (await queries.course(course_id, url_of)).body


async def aggregated(limit: int) -> bytes:
    """Have PostgreSQL build the JSON."""
    (row,) = await rows(_AGGREGATED, limit, BASE)
    return str(row["body"]).encode()


async def one_aggregated(course_id: UUID) -> bytes:
    """Do the same for a course."""
    (row,) = await rows(_AGGREGATED_ONE, course_id, BASE)
    return str(row["body"]).encode()


def _json(content: object) -> bytes:
    return orjson.dumps(content, option=orjson.OPT_UTC_Z)


OBJECTS, VALUES, AGGREGATED = (
    "ORM objects, Pydantic",
    "ORM `.values()`, orjson",
    "`json_agg` in PostgreSQL",
)
WAYS: dict[str, tuple[Page, One]] = {
    OBJECTS: (objects, one_object),
    VALUES: (values, one_of_values),
    OURS: (raw, one_raw),
    AGGREGATED: (aggregated, one_aggregated),
}
