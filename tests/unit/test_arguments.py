"""The arguments of a task: what enqueueing refuses, and what the function gets."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

import pytest
from pydantic import BaseModel, Field, SecretStr

from infra.queue.arguments import Arguments
from infra.queue.errors import InvalidArguments

ID = UUID("01890a5d-ac96-774b-bcce-b302099a8057")
NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)


class Size(StrEnum):
    """A size."""

    SMALL = "small"
    LARGE = "large"


class Place(BaseModel):
    """A model within a model."""

    street: str
    number: int


@dataclass
class Point:
    """A dataclass."""

    x: float
    y: float


def arguments(body) -> Arguments:
    """Return the arguments of a kind with this function."""
    return Arguments("test.kind", body)


@pytest.mark.parametrize(
    ("kind", "value", "got"),
    [
        (UUID, ID, ID),
        (UUID, str(ID), ID),
        (datetime, NOON, NOON),
        (datetime, "2026-07-01T12:00:00Z", NOON),
        (date, date(2026, 7, 1), date(2026, 7, 1)),
        (timedelta, timedelta(seconds=90), timedelta(seconds=90)),
        (Decimal, Decimal("0.10"), Decimal("0.10")),
        (int, 1 << 80, 1 << 80),
        (int, "7", 7),
        (Size, "large", Size.LARGE),
        (Size, Size.LARGE, Size.LARGE),
        (Place, {"street": "Quay", "number": "7"}, Place(street="Quay", number=7)),
        (Place, Place(street="Quay", number=7), Place(street="Quay", number=7)),
        (Point, Point(1, 2), Point(1, 2)),
        (list[UUID], [str(ID), ID], [ID, ID]),
        (tuple[int, str], [1, "a"], (1, "a")),
        (set[int], {2, 1}, {1, 2}),
        (dict[str, Size], {"a": "small"}, {"a": Size.SMALL}),
        (str | None, None, None),
        (Annotated[int, Field(ge=0, le=100)], 100, 100),
        (bytes, b"text", b"text"),
        (Any, {"id": ID, "of": (1, 2)}, {"id": str(ID), "of": [1, 2]}),
        (str, "\\u0000", "\\u0000"),
    ],
)
def test_a_function_gets_values_of_its_types(kind, value, got):
    async def body(_context, value: kind) -> None: ...

    found = arguments(body).load(arguments(body).dump({"value": value}))
    assert found == {"value": got}
    assert type(found["value"]) is type(got)


@pytest.mark.parametrize(
    ("kind", "value", "fault"),
    [
        (UUID, "7", r"test\.kind: value: Input should be a valid UUID"),
        (Size, "huge", r"test\.kind: value: Input should be 'small' or 'large'"),
        (Annotated[int, Field(ge=0)], -1, r"test\.kind: value: Input should be greater than or"),
        (Place, {"street": "Quay"}, r"test\.kind: value\.number: Field required"),
        (list[UUID], [ID, "x"], r"test\.kind: value\.1: Input should be a valid UUID"),
        (bytes, b"\xff", r"test\.kind: value: .*utf-8"),
        (float, float("nan"), r"test\.kind: value: "),
        (float | None, float("nan"), r"test\.kind: value: JSON cannot hold it as it is"),
        (SecretStr, "secret", r"test\.kind: value: JSON cannot hold it as it is"),
        (dict[str, Any], {"id": ID}, r"test\.kind: value: JSON cannot hold it as it is"),
        (Any, object(), r"test\.kind: value: .*object"),
        (str, "\ud800", r"test\.kind: value: .*surrogates"),
        (str, "a\0", r"test\.kind: value: PostgreSQL stores no NUL"),
        (dict[str, str], {"a": "\\\0"}, r"test\.kind: value: PostgreSQL stores no NUL"),
    ],
)
def test_what_a_function_would_not_get_is_refused(kind, value, fault):
    async def body(_context, number: int, value: kind) -> None: ...

    with pytest.raises(InvalidArguments, match=fault) as refused:
        arguments(body).dump({"number": 1, "value": value})
    assert "secret" not in str(refused.value)


def test_all_faults_are_named_together():
    async def body(_context, course_id: UUID, upload_id: UUID) -> None: ...

    with pytest.raises(InvalidArguments) as refused:
        arguments(body).dump({"course_id": "x", "more": 1})
    told = str(refused.value)
    assert told.startswith("test.kind: course_id: Input should be a valid UUID")
    assert "; upload_id: Field required; more: Extra inputs are not permitted" in told


def test_a_default_is_the_functions_own():
    async def body(_context, first: int, size: Size = Size.SMALL, *, _in: Any = None) -> None: ...

    assert arguments(body).load(arguments(body).dump({"first": 1})) == {"first": 1}
    assert arguments(body).required == ["first"]


def test_a_function_without_annotations_takes_what_json_has():
    def body(_context, first, schema=None, **more) -> None: ...

    given = {"first": 1, "schema": [None, 0.5], "model_config": {"a": "b"}}
    assert arguments(body).load(arguments(body).dump(given)) == given
    with pytest.raises(InvalidArguments, match="first: Field required"):
        arguments(body).dump({})


def test_annotations_may_be_texts_and_the_contexts_may_be_unknown():
    async def body(context: "NoSuchContext", value: "UUID") -> "Nothing":  # noqa: F821  tested
        del context, value

    assert arguments(body).load(f'{{"value": "{ID}"}}') == {"value": ID}


def test_a_row_of_other_code_is_refused():
    async def body(_context, value: UUID) -> None: ...

    with pytest.raises(InvalidArguments, match=r"test\.kind: value: Field required; old: Extra"):
        arguments(body).load('{"old": 1}')


def test_a_function_whose_arguments_cannot_be_validated_is_no_task():
    async def unknown(_context, value: "NoSuchType") -> None: ...  # noqa: F821  tested

    async def opaque(_context, value: Arguments) -> None: ...

    async def positional(_context, value, /) -> None: ...

    async def several(_context, *values) -> None: ...

    async def alone() -> None: ...

    async def named(*, context) -> None: ...

    for body, fault in [
        (unknown, "'test.kind' can't be validated: name 'NoSuchType' is not defined"),
        (opaque, "'test.kind' can't be validated: .*Arguments"),
        (positional, "'value' of 'test.kind' can't be given by name"),
        (several, "'values' of 'test.kind' can't be given by name"),
        (alone, "'test.kind' takes no context"),
        (named, "'test.kind' takes no context"),
    ]:
        with pytest.raises(TypeError, match=fault) as refused:
            arguments(body)
        assert "\n" not in str(refused.value)
