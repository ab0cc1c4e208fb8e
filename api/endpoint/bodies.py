"""Parses JSON and multipart bodies, independently of the model that validates them."""

import json
from collections import Counter
from collections.abc import Collection
from email.message import Message
from io import BytesIO
from typing import Any

import orjson
from multipart import MultipartError, MultipartParser, parse_options_header

from services.errors import Code, Fault, Invalid
from services.fields import MAX_NAME

MAX_JSON_BYTES = 1024 * 1024
MAX_FIELDS = 50
# Counts the values of all nested objects and lists together.
MAX_MEMBERS = 1000
MAX_DEPTH = 8
MAX_PARTS = 20


class MalformedJson(Invalid):
    """The request body must be a JSON object"""

    def __init__(self, reason: str) -> None:
        super().__init__(Fault("body", Code.MALFORMED_JSON, reason))


def json_object(body: bytes) -> dict[str, Any]:
    """Parse a body as a JSON object.

    Raises:
        MalformedJson: the body is no JSON object, exceeds a limit, or has a duplicate field.

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
    if _members(content) > MAX_MEMBERS:
        raise MalformedJson(f"The request body may have at most {MAX_MEMBERS} values in all")
    # orjson silently keeps the last of duplicate fields; other parsers may keep the first.
    # A body with no more colons than fields has no duplicates; any other is parsed again.
    if body.count(b":") > len(content):
        json.loads(body, object_pairs_hook=_unique)
    return content


def _is_deeper(content: Any, levels: int) -> bool:
    if not isinstance(content, (dict, list)):
        return False
    return levels == 0 or any(_is_deeper(part, levels - 1) for part in _parts_of(content))


def _members(content: Any) -> int:
    parts = _parts_of(content)
    return len(parts) + sum(_members(part) for part in parts if isinstance(part, (dict, list)))


def _parts_of(content: dict[str, Any] | list[Any]) -> Collection[Any]:
    return content.values() if isinstance(content, dict) else content


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        times = Counter(name for name, _ in pairs)
        twice = next(name for name, number in times.items() if number > 1)[:MAX_NAME]
        raise MalformedJson(f"The request body has the field {twice!r} twice")
    return content


def form_parts(body: bytes, content_type: str, files: Collection[str] = ()) -> dict[str, Any]:
    """Return the parts of a `multipart/form-data` body; files are `{name, data}`, others text.

    A part that is named in `files` but has no file name is bytes.

    Raises:
        Invalid: the form is malformed.

    """
    kind, options = parse_options_header(content_type)
    boundary = options.get("boundary")
    if kind != "multipart/form-data" or not boundary:
        raise _malformed_form("The request body must be multipart/form-data")
    try:
        return _parts(body, boundary, files)
    except (MultipartError, UnicodeDecodeError) as error:
        raise _malformed_form(f"The form is malformed: {error}") from None


def _parts(body: bytes, boundary: str, files: Collection[str]) -> dict[str, Any]:
    parser = MultipartParser(
        BytesIO(body),
        boundary,
        part_limit=MAX_PARTS,
        # The whole body is in memory already, so no part is spooled to a file.
        spool_limit=len(body) + 1,
        memory_limit=len(body) + 1,
        # Latin-1 accepts every byte of a part's headers; `_text` restores UTF-8.
        charset="latin-1",
        strict=True,
    )
    parts: dict[str, Any] = {}
    for part in parser:
        name, filename = _text(part.name), _filename(part)
        if name in parts:
            raise MultipartError(f"the field {name!r} is there twice")
        if not filename and not part.size:
            # A browser sends an empty, unnamed part for a file input without a selection.
            continue
        if filename is not None:
            parts[name] = {"name": filename, "data": part.raw}
        else:
            parts[name] = part.raw if name in files else part.raw.decode()
    return parts


def _filename(part: Any) -> str | None:
    """Return the file name of a part; None if the part is not a file.

    Some clients send the name only in the extended form (RFC 8187).
    """
    if part.filename is not None:
        return _text(part.filename)
    disposition = Message()
    disposition["Content-Disposition"] = dict(part.headerlist).get("Content-Disposition", "")
    return disposition.get_filename()


def _text(value: str) -> str:
    """Decode a header value that was read as Latin-1: as UTF-8 if it is valid, else unchanged."""
    try:
        return value.encode("latin-1").decode()
    except UnicodeDecodeError:
        return value


def _malformed_form(message: str) -> Invalid:
    return Invalid(Fault("body", Code.INVALID_FORMAT, message))
