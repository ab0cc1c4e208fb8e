"""From what a request carries to checked values; whatever is wrong with it becomes faults."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from functools import cache
from io import BytesIO
from typing import Any, TypeVar, get_origin
from urllib.parse import parse_qsl

import orjson
from multipart import MultipartError, MultipartParser, parse_options_header
from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails
from sanic import Request
from sanic.exceptions import RequestTimeout

from api.patience import Deadline, hang_up
from api.schemas.fields import DIFFICULTY_MESSAGE
from services.errors import Code, Fault, Invalid, TooLarge

MAX_JSON_BYTES = 1024 * 1024
DISCARD_SECONDS = 5.0
MAX_FIELDS = 50
MAX_DEPTH = 8
MAX_PARAMETERS = 50
MAX_PARTS = 20
MAX_NAME = 64

Model = TypeVar("Model", bound=BaseModel)

_LABELS = {
    "course_id": "Course ID",
    "enrollment_id": "Enrollment ID",
    "task_id": "Task ID",
    "image_url": "Image URL",
    "sort": "Sort order",
}
_REQUIRED_MESSAGES = {"difficulty": DIFFICULTY_MESSAGE}

# What Pydantic calls a fault, and what we do; those that our own validators raise are ours.
_OUR_CODES = frozenset(code.value for code in Code)
_NOT_VALID = (Code.INVALID_FORMAT, "{label} is not valid")
_NUMBER = (Code.INVALID_TYPE, "{label} must be a whole number")
_FILE = (Code.INVALID_TYPE, "{label} must be a file")
_EXPLANATIONS = {
    "missing": (Code.REQUIRED, "{label} is required"),
    "string_too_short": (Code.REQUIRED, "{label} is required"),
    "string_too_long": (Code.TOO_LONG, "{label} must have at most {max_length} characters"),
    "string_type": (Code.INVALID_TYPE, "{label} must be text"),
    "extra_forbidden": (Code.UNKNOWN_FIELD, "There is no field called {label}"),
    "enum": (Code.NOT_ALLOWED, "{label} must be one of: {choices}"),
    "greater_than_equal": (Code.OUT_OF_RANGE, "{label} must be at least {ge}"),
    "less_than_equal": (Code.OUT_OF_RANGE, "{label} must be at most {le}"),
    "int_type": _NUMBER,
    "int_parsing": _NUMBER,
    "int_parsing_size": _NUMBER,
    "int_from_float": _NUMBER,
    "model_type": _FILE,
}


class MalformedJson(Invalid):
    """The request body must be a JSON object"""

    def __init__(self, reason: str) -> None:
        super().__init__(Fault("body", Code.MALFORMED_JSON, reason))


async def read_body(request: Request, limit: int) -> bytes:
    """Return the body, streamed by the server.

    What is over the limit is read and thrown away for a while: a client that is still sending
    would see a reset connection instead of the answer.

    Raises:
        TooLarge: it has more than `limit` bytes.
        RequestTimeout: it comes too slowly; the connection ends with the answer.

    """
    if int(request.headers.get("content-length", 0)) <= limit:
        try:
            body = await _read(request, limit)
        except TimeoutError:
            hang_up(request)
            raise RequestTimeout from None
        if len(body) <= limit:
            return body
    with suppress(TimeoutError):
        async with asyncio.timeout(DISCARD_SECONDS):
            async for _ in _chunks(request):
                pass
    raise TooLarge(f"The request body may have at most {limit} bytes")


async def _read(request: Request, limit: int) -> bytes:
    """Return the body, or its beginning if it has more than `limit` bytes."""
    body = bytearray()
    async with asyncio.timeout(None) as timeout:
        deadline = Deadline(timeout, request.app.ctx.settings.request_seconds)
        async for chunk in _chunks(request):
            body += chunk
            if len(body) > limit:
                break
            deadline.extend(len(chunk))
    return bytes(body)


async def _chunks(request: Request) -> AsyncIterator[bytes]:
    stream: Any = request.stream
    while chunk := await stream.read():
        yield chunk


def json_body(body: bytes, model: type[Model]) -> Model:
    """Return a JSON body as a model.

    Raises:
        Invalid: it is not a JSON object, or its fields are not the model's.

    """
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise MalformedJson(f"The request body is not valid JSON: {error}") from None
    if not isinstance(content, dict):
        raise MalformedJson("The request body must be a JSON object")
    if len(content) > MAX_FIELDS:
        raise MalformedJson(f"The request body may have at most {MAX_FIELDS} fields")
    if _is_deeper(content, MAX_DEPTH):
        raise MalformedJson(f"The request body may be nested at most {MAX_DEPTH} deep")
    # Once more, for orjson lets the last of several win in silence where another parser might not.
    json.loads(body, object_pairs_hook=_unique)
    return _validate(model, content)


def _is_deeper(content: Any, levels: int) -> bool:
    if not isinstance(content, (dict, list)):
        return False
    parts = content.values() if isinstance(content, dict) else content
    return levels == 0 or any(_is_deeper(part, levels - 1) for part in parts)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)[:MAX_NAME]
        raise MalformedJson(f"The request body has the field {twice!r} twice")
    return content


def query(request: Request, model: type[Model]) -> Model:
    """Return the query as a model; other parameters are ignored.

    Of several of a name the last counts; where a list is taken, they are one.

    Raises:
        Invalid: a parameter's value is not one that it can have.

    """
    if request.query_string.count("&") >= MAX_PARAMETERS:
        message = f"The query may have at most {MAX_PARAMETERS} parameters"
        raise Invalid(Fault("query", Code.TOO_LONG, message))
    try:
        pairs = parse_qsl(request.query_string, keep_blank_values=True, errors="strict")
    except UnicodeDecodeError:
        raise Invalid(Fault("query", Code.INVALID_FORMAT, "The query must be UTF-8")) from None
    given: dict[str, str] = {}
    for name, value in pairs:
        if value and (field := model.model_fields.get(name)):
            several = name in given and get_origin(field.annotation) is frozenset
            given[name] = f"{given[name]},{value}" if several else value
    return _validate(model, given)


def has_query(request: Request, model: type[BaseModel]) -> bool:
    """Tell whether the query has any of the model's parameters, blank ones too."""
    names = {name for name, _ in parse_qsl(request.query_string, keep_blank_values=True)}
    return not names.isdisjoint(model.model_fields)


def header(request: Request, name: str, kind: Any) -> Any:
    """Return a header as its kind; None if it is not there.

    Raises:
        Invalid: it is there twice, or not of that kind.

    """
    given = request.headers.getall(name, [])
    if not given:
        return None
    if len(given) > 1:
        raise Invalid(Fault(name, Code.INVALID_FORMAT, f"{name} may be there once"))
    return path_value(name, kind, given[0].strip(" \t"))


def path_value(name: str, kind: Any, value: str) -> Any:
    """Return a part of the path, or a header, as its kind.

    Raises:
        Invalid: it is not of that kind.

    """
    try:
        return _adapter(kind).validate_python(value)
    except ValidationError as error:
        raise Invalid(*(_fault(detail, name) for detail in error.errors())) from None


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    # Making one takes longer than all else that a request needs.
    return TypeAdapter(kind)


def multipart_form(body: bytes, content_type: str, model: type[Model]) -> Model:
    """Return a `multipart/form-data` body as a model; files are `{name, data}`.

    Raises:
        Invalid: it is not a well-formed form, or its fields are not the model's.

    """
    kind, options = parse_options_header(content_type)
    boundary = options.get("boundary")
    if kind != "multipart/form-data" or not boundary:
        raise _malformed_form("The request body must be multipart/form-data")
    try:
        parts = _parts(body, boundary)
    except (MultipartError, UnicodeDecodeError) as error:
        raise _malformed_form(f"The form is malformed: {error}") from None
    return _validate(model, parts)


def _parts(body: bytes, boundary: str) -> dict[str, Any]:
    parser = MultipartParser(
        BytesIO(body),
        boundary,
        part_limit=MAX_PARTS,
        # The whole body is in memory already: no part may go to a file.
        spool_limit=len(body) + 1,
        memory_limit=len(body) + 1,
        strict=True,
    )
    parts: dict[str, Any] = {}
    for part in parser:
        if part.name in parts:
            raise MultipartError(f"the field {part.name!r} is there twice")
        if not part.filename and not part.size:
            # Missing; a browser sends a file without name and content where none was chosen.
            continue
        if part.filename is None:
            parts[part.name] = part.raw.decode()
        else:
            parts[part.name] = {"name": part.filename, "data": part.raw}
    return parts


def _malformed_form(message: str) -> Invalid:
    return Invalid(Fault("body", Code.INVALID_FORMAT, message))


def _validate(model: type[Model], content: dict[str, Any]) -> Model:
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise Invalid(*(_fault(detail) for detail in error.errors())) from None


def _fault(detail: ErrorDetails, field: str | None = None) -> Fault:
    field = (field or str(detail["loc"][0]))[:MAX_NAME]
    label = _LABELS.get(field, field.replace("_", " ").capitalize())
    if detail["type"] == "extra_forbidden":
        label = repr(field)
    code, message = _explain(detail, label)
    if code is Code.REQUIRED:
        message = _REQUIRED_MESSAGES.get(field, message)
    return Fault(field, code, message)


def _explain(detail: ErrorDetails, label: str) -> tuple[Code, str]:
    if detail["type"] in _OUR_CODES:
        return Code(detail["type"]), detail["msg"]
    if detail["input"] is None:
        return _EXPLANATIONS["missing"][0], f"{label} is required"
    code, template = _EXPLANATIONS.get(detail["type"], _NOT_VALID)
    limits = detail.get("ctx", {})
    choices = _choices(str(limits.get("expected", "")))
    return code, template.format(**limits, label=label, choices=choices)


def _choices(expected: str) -> str:
    return expected.replace("'", "").replace(" or ", ", ")
