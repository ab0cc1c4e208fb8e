"""The types of single fields, and the message texts on which clients depend."""

import re
from functools import lru_cache
from typing import Annotated, Any
from uuid import UUID

from email_validator import EmailNotValidError, validate_email
from pydantic import (
    AfterValidator,
    AnyHttpUrl,
    BeforeValidator,
    TypeAdapter,
    WithJsonSchema,
)
from pydantic import ValidationError as PydanticError

from models import Difficulty
from services.errors import Code
from services.fields import DIFFICULTY_MESSAGE, described, refuse

MAX_URL_LENGTH = 2048
MAX_EMAIL = 254
MAX_LOCAL = 64
MAX_KEY = 255
_NIL = UUID(int=0)
# Sanic replaces bytes of a path that are not UTF-8 by this character.
_REPLACEMENT = "\ufffd"
_KEY = re.compile(r"^[!-~]+$")
# Control characters and bidirectional controls make one title look like another. `_IN_TEXT`
# allows tabs and line breaks. Escaped, because the patterns are part of the OpenAPI document.
_REORDERING = r"\u202a-\u202e\u2066-\u2069"
_IN_LINE = rf"\u0000-\u001f\u007f-\u009f\u2028\u2029{_REORDERING}"
_IN_TEXT = rf"\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f{_REORDERING}"
# Common local parts, which need no full validation; the library validates all others.
_PLAIN_LOCAL = re.compile(r"(?=.{1,64}$)[A-Za-z0-9_+-]+(\.[A-Za-z0-9_+-]+)*")
_http_url = TypeAdapter(AnyHttpUrl)


def _without(forbidden: re.Pattern[str], place: str = "") -> AfterValidator:
    def check(value: str) -> str:
        if found := forbidden.search(value):
            message = f"The character U+{ord(found[0]):04X} is not allowed{place}"
            raise refuse(Code.INVALID_FORMAT, message)
        return value

    return AfterValidator(check)


def _pattern(forbidden: str) -> dict[str, str]:
    """Return the JSON schema's pattern of a text that is trimmed and must not be blank."""
    return {"pattern": rf"^[^{forbidden}]*[^\s{forbidden}][^{forbidden}]*$"}


def difficulty(value: Any) -> Difficulty:
    """Return the difficulty of this name.

    Raises:
        PydanticCustomError: the name is missing or no difficulty.

    """
    if value is None or value == "":
        raise refuse(Code.REQUIRED, DIFFICULTY_MESSAGE)
    try:
        return Difficulty(value)
    except ValueError:
        raise refuse(Code.NOT_ALLOWED, DIFFICULTY_MESSAGE) from None


def _image_url(value: Any) -> Any:
    if value is None or value == "":
        return None
    if isinstance(value, str) and len(value) <= MAX_URL_LENGTH and value.isprintable():
        try:
            _http_url.validate_python(value.strip())
        except PydanticError:
            pass
        else:
            return value.strip()
    raise refuse(Code.INVALID_FORMAT, "Image URL must be a valid URL")


def _email(label: str) -> BeforeValidator:
    def check(value: Any) -> str:
        if value is None or (isinstance(value, str) and not value.strip()):
            raise refuse(Code.REQUIRED, f"{label} is required")
        if not isinstance(value, str):
            raise refuse(Code.INVALID_TYPE, f"{label} must be text")
        if _REPLACEMENT in value:
            raise refuse(Code.INVALID_FORMAT, "Invalid email format")
        address = value.strip()
        local, _, domain = address.rpartition("@")
        try:
            # Students share a few domains, so the validated domain is cached.
            if _PLAIN_LOCAL.fullmatch(local) and len(address) <= MAX_EMAIL and domain.isascii():
                return f"{local}@{_domain(domain)}".lower()
            email = validate_email(address, check_deliverability=False).normalized.lower()
        except EmailNotValidError:
            raise refuse(Code.INVALID_FORMAT, "Invalid email format") from None
        # Mail servers limit bytes; the validator counts characters.
        if len(email.encode()) > MAX_EMAIL or len(email.partition("@")[0].encode()) > MAX_LOCAL:
            raise refuse(Code.INVALID_FORMAT, "Invalid email format")
        return email

    return BeforeValidator(check)


@lru_cache(maxsize=4096)
def _domain(domain: str) -> str:
    return validate_email(f"a@{domain}", check_deliverability=False).domain


def _uuid(label: str) -> BeforeValidator:
    def check(value: Any) -> UUID:
        if value is None or value == "":
            raise refuse(Code.REQUIRED, f"{label} is required")
        if isinstance(value, UUID):
            return value
        if not isinstance(value, str):
            raise refuse(Code.INVALID_TYPE, f"{label} must be text")
        try:
            found = UUID(value)
        except ValueError:
            raise refuse(Code.INVALID_FORMAT, f"{label} must be a valid UUID") from None
        if found == _NIL:
            raise refuse(Code.REQUIRED, f"{label} is required")
        return found

    return BeforeValidator(check)


def _idempotency_key(value: str) -> str:
    if not _KEY.fullmatch(value) or len(value) > MAX_KEY:
        message = f"Idempotency-Key must have 1 to {MAX_KEY} visible ASCII characters"
        raise refuse(Code.INVALID_FORMAT, message)
    return value


_Line = _without(re.compile(f"[{_IN_LINE}]"))
_Text = _without(re.compile(f"[{_IN_TEXT}]"))
FileName = Annotated[str, _without(re.compile(f"[{_IN_LINE}]"), " in a file's name")]
Name = Annotated[
    str,
    described(
        "The account's name.",
        "admin",
        min_length=1,
        max_length=255,
        json_schema_extra={"pattern": f"^[^{_IN_LINE}]+$"},
    ),
    _Line,
]
Title = Annotated[
    str,
    described(
        "What the course is called.",
        "Advanced React Development",
        min_length=1,
        max_length=255,
        json_schema_extra=dict(_pattern(_IN_LINE)),
    ),
    _Line,
]
Description = Annotated[
    str,
    described(
        "What it teaches.",
        "Master React hooks and context",
        min_length=1,
        max_length=10_000,
        json_schema_extra=dict(_pattern(_IN_TEXT)),
    ),
    _Text,
]
NameOfTask = Annotated[
    str,
    described(
        "Only tasks of this name.",
        "images.process",
        max_length=128,
        json_schema_extra={"pattern": f"^[^{_IN_LINE}]*$"},
    ),
    _Line,
]
QueueName = Annotated[
    str,
    described(
        "The queue's name.",
        "images",
        max_length=64,
        json_schema_extra={"pattern": f"^[^{_IN_LINE}]*$"},
    ),
    _Line,
]
Search = Annotated[
    str,
    described(
        "Only courses with this in title or description, in whatever case.",
        max_length=200,
        json_schema_extra={"pattern": f"^[^{_IN_LINE}]*$"},
    ),
    _Line,
]
DifficultyField = Annotated[
    Difficulty, BeforeValidator(difficulty), described("Whom it is for.", "Advanced")
]
ImageUrl = Annotated[
    str | None,
    BeforeValidator(_image_url),
    described(
        "An absolute http(s) address; stored as given, never fetched. Blank is none.",
        "https://images.example.org/react.png",
    ),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "format": "uri", "maxLength": MAX_URL_LENGTH},
                {"type": "string", "maxLength": 0},
                {"type": "null"},
            ]
        }
    ),
]
StudentEmail = Annotated[
    str,
    _email("Student email"),
    described(
        "The student's email; its case does not matter.",
        "student@example.com",
        json_schema_extra={"format": "email"},
    ),
]
Email = Annotated[
    str,
    _email("Email"),
    described(
        "A student's email; its case does not matter.",
        "student@example.com",
        json_schema_extra={"format": "email"},
    ),
]
CourseId = Annotated[
    UUID, _uuid("Course ID"), described("A course's id.", "019aae3c-5f00-7cc0-8000-3f1bb9a3c001")
]
EnrollmentId = Annotated[
    UUID,
    _uuid("Enrollment ID"),
    described("An enrollment's id.", "019aae3c-5f00-7cc0-8000-3f1bb9a3c002"),
]
IdempotencyKey = Annotated[
    str,
    BeforeValidator(_idempotency_key),
    described(
        "Makes it safe to send a request again: the second one gets the first one's answer. "
        "A new random value, such as a UUID, for each thing to be done; known for a day. "
        "A refused request spends no key.",
        "8e03978e-40d5-43dd-bc93-6894a57f9324",
        json_schema_extra={"minLength": 1, "maxLength": MAX_KEY, "pattern": _KEY.pattern},
    ),
]
FlagName = Annotated[
    str, described("A feature flag's name.", "avif-variants", pattern="^[a-z][a-z0-9-]{0,99}$")
]
TaskId = Annotated[
    UUID, _uuid("Task ID"), described("A task's id.", "019aae3c-5f00-7cc0-8000-3f1bb9a3c003")
]
WorkflowId = Annotated[
    UUID,
    _uuid("Workflow ID"),
    described("A workflow's id.", "019aae3c-5f00-7cc0-8000-3f1bb9a3c004"),
]
