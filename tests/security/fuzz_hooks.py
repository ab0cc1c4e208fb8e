"""Hooks for Schemathesis: tokens, custom formats, and existing ids."""

import atexit
import json
import os
import re
import zlib
from collections import Counter, defaultdict
from pathlib import Path

import schemathesis
from hypothesis import strategies as st

from services.flags.registry import AVIF_VARIANTS, SEARCHES
from tests.factories import token

# Its generated emails have domains that a validator refuses.
EMAILS = st.from_regex(
    r"[A-Za-z0-9]{1,20}([.+'_-][a-z0-9]{1,20})?@[a-z]{2,20}\.(com|org|edu\.au)", fullmatch=True
)
URLS = st.from_regex(
    r"https?://[a-z]{1,20}\.(com|org)(:8[0-9]{1,3})?(/[a-zA-Z0-9_.-]{1,20})?", fullmatch=True
)

schemathesis.openapi.format("email", EMAILS)
schemathesis.openapi.format("uri", URLS)


@schemathesis.auth(refresh_interval=None)
class Caller:
    """A new token of the role in FUZZ_ROLE; a token is useless after a logout."""

    def get(self, _case, _context):
        return token(role=os.environ["FUZZ_ROLE"])

    def set(self, case, data, _context):
        case.headers = case.headers or {}
        case.headers["Authorization"] = f"Bearer {data}"


# More characters than any text field allows.
LONG = 100
FORMS = frozenset({"POST /api/v1/courses/upload", "PUT /api/v1/courses/{course_id}/image"})


@schemathesis.hook
def filter_query(_context, query):
    """Leave out what a schema cannot express: blanks count as missing, the last repetition counts.

    An object is sent as its names, each of them a value.
    """
    return not any(
        _is_blank(value)
        or isinstance(value, dict)
        or (isinstance(value, list) and name != "difficulty")
        for name, value in (query or {}).items()
    )


def _is_blank(value) -> bool:
    if isinstance(value, list):
        return not value or any(map(_is_blank, value))
    return value is None or (isinstance(value, str) and not value.strip(" ,"))


@schemathesis.hook
def filter_body(context, body):
    """Leave out what a schema cannot express.

    A form's value that is not text is sent as its text form. Blanks around a text do not count, so
    a text that is too long may be valid after trimming.
    """
    if not isinstance(body, dict):
        return True
    values = body.values()
    is_form = context.operation.label in FORMS
    if is_form and not all(isinstance(value, str | bytes) for value in values):
        return False
    return not any(isinstance(value, str) and _is_padded(value) for value in values)


def _is_padded(text) -> bool:
    return len(text) > LONG and text != text.strip()


# Existing courses, enrollments and students; no schema generates their ids.
KNOWN = [tuple(row) for row in json.loads(Path(os.environ["FUZZ_KNOWN"]).read_text("utf-8"))]
NAMES = ("enrollment_id", "course_id", "email")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
# Quoted for a URL in a path.
_EMAIL = re.compile(r"[A-Za-z0-9.+%'_-]+(@|%40)[a-z.]+")


@schemathesis.hook
def map_path_parameters(_context, path_parameters):
    """Use an existing id in every other request."""
    return _led(path_parameters)


@schemathesis.hook
def before_call(_context, case, _kwargs):
    """Set and kill another flag than `searches`: without it each search is a 503, as documented."""
    if (case.path_parameters or {}).get("flag_name") == SEARCHES.name:
        case.path_parameters["flag_name"] = AVIF_VARIANTS.name


@schemathesis.hook
def map_body(_context, body):
    """Use an existing course in every other request; the student stays new."""
    return _led(body) if isinstance(body, dict) else body


def _led(values):
    """Replace well-formed values by those of one existing enrollment."""
    wanted = [name for name in NAMES if name in (values or {})]
    number = zlib.crc32(repr([values[name] for name in wanted]).encode("utf-8", "replace"))
    if not wanted or number % 2 or not KNOWN:
        return values
    known = dict(zip(NAMES, KNOWN[number // 2 % len(KNOWN)], strict=True))
    # Deliberately malformed values stay.
    return values | {name: known[name] for name in wanted if _is_formed(values[name])}


def _is_formed(value):
    return isinstance(value, str) and bool(_UUID.fullmatch(value) or _EMAIL.fullmatch(value))


REQUESTS: defaultdict[str, Counter[str]] = defaultdict(Counter)


@schemathesis.hook
def after_call(_context, case, response):
    """Count requests by operation and class of status."""
    REQUESTS[case.operation.label][f"{response.status_code // 100}xx"] += 1


@atexit.register
def tell_counts():
    """Write the counts for the test that started Schemathesis."""
    Path(os.environ["FUZZ_COUNTS"]).write_text(json.dumps(REQUESTS), encoding="utf-8")
