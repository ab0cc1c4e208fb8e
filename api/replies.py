"""Answers of success."""

from pydantic import BaseModel
from sanic import HTTPResponse
from sanic.response import raw

JSON = "application/json"


def reply(
    content: BaseModel, status: int = 200, headers: dict[str, str] | None = None
) -> HTTPResponse:
    """Return a model as JSON."""
    return raw(content.model_dump_json().encode(), status, headers, content_type=JSON)
