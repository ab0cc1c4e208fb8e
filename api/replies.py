"""Answers of success."""

from collections.abc import Sequence

from pydantic import BaseModel, TypeAdapter
from sanic import HTTPResponse
from sanic.response import raw

from api.schemas.responses import CourseOut

JSON = "application/json"

_courses = TypeAdapter(Sequence[CourseOut])


def reply(
    content: BaseModel, status: int = 200, headers: dict[str, str] | None = None
) -> HTTPResponse:
    """Return a model as JSON."""
    return raw(content.model_dump_json().encode(), status, headers, content_type=JSON)


def reply_courses(courses: Sequence[CourseOut], headers: dict[str, str]) -> HTTPResponse:
    """Return a plain array of courses."""
    return raw(_courses.dump_json(courses), 200, headers, content_type=JSON)
