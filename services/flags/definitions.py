"""A flag's definition: the part of Unleash's feature JSON that is allowed, and its checks.

A rollout by chance is not allowed: it would deal a subject another value each time.
"""

import re
from collections.abc import Iterator
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    WithJsonSchema,
    model_validator,
)

from services.errors import Code, Fault, Invalid
from services.fields import described, refuse
from services.flags.registry import Flag

ALL = 100
WHOLE_WEIGHT = 1000
SUBJECT, TIME = "userId", "currentTime"
_PERCENTAGE = re.compile("100|[1-9]?[0-9]")
_SEMVER = re.compile(r"\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?")


class StrategyName(StrEnum):
    """How a strategy chooses subjects."""

    DEFAULT = "default"
    ROLLOUT = "flexibleRollout"


class Operator(StrEnum):
    """The comparison of a constraint."""

    IN = "IN"
    NOT_IN = "NOT_IN"
    STARTS_WITH = "STR_STARTS_WITH"
    ENDS_WITH = "STR_ENDS_WITH"
    CONTAINS = "STR_CONTAINS"
    EQUAL = "NUM_EQ"
    GREATER = "NUM_GT"
    AT_LEAST = "NUM_GTE"
    LESS = "NUM_LT"
    AT_MOST = "NUM_LTE"
    AFTER = "DATE_AFTER"
    BEFORE = "DATE_BEFORE"
    SAME_RELEASE = "SEMVER_EQ"
    LATER_RELEASE = "SEMVER_GT"
    EARLIER_RELEASE = "SEMVER_LT"


class PayloadType(StrEnum):
    """How a payload's text is to be read."""

    STRING = "string"
    JSON = "json"
    NUMBER = "number"
    CSV = "csv"


def _is_of_operator(operator: Operator, value: str) -> bool:
    """Return whether the engine can compare with the value; it ignores one that it can't read."""
    try:
        match operator.partition("_")[0]:
            case "NUM":
                float(value)
            case "DATE":
                return datetime.fromisoformat(value).tzinfo is not None
            case "SEMVER":
                return _SEMVER.fullmatch(value) is not None
    except ValueError:
        return False
    return True


def _number(given: Any) -> Any:
    is_percentage = isinstance(given, str) and _PERCENTAGE.fullmatch(given)
    return int(given) if is_percentage else given


class _Part(BaseModel):
    """A part of a definition: the names are Unleash's, and unknown ones are refused."""

    model_config = ConfigDict(extra="forbid", serialize_by_alias=True)


Text = Annotated[str, Field(min_length=1, max_length=200)]
# Unleash writes percentages as texts.
Rollout = Annotated[
    int,
    BeforeValidator(_number),
    Field(ge=0, le=ALL, strict=True),
    PlainSerializer(str, return_type=str),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "pattern": f"^({_PERCENTAGE.pattern})$"},
                {"type": "integer", "minimum": 0, "maximum": ALL},
            ]
        }
    ),
]
Stickiness = Annotated[
    Literal["default", "userId"],
    described("By what a subject is dealt its value; both are its id."),
]


class Parameters(_Part):
    """The parameters of a gradual rollout."""

    rollout: Annotated[Rollout | None, described("How many of a hundred subjects.", "25")] = None
    stickiness: Stickiness = "default"
    group_id: Annotated[
        Text | None, described("What the hash begins with; the flag's name.", alias="groupId")
    ] = None


class Constraint(_Part):
    """A condition on the subject's id, a property or the time."""

    context_name: Annotated[
        Text,
        described(
            "`userId`, the subject's id; `currentTime`; or a property of the flag.",
            SUBJECT,
            alias="contextName",
        ),
    ]
    operator: Annotated[Operator, described("The comparison.", "IN")]
    values: Annotated[
        list[Text], described("Of IN, NOT_IN and STR_ operators.", ["1", "2"], max_length=1000)
    ] = []
    value: Annotated[Text | None, described("Of all other operators.")] = None
    inverted: Annotated[bool, described("Whether it must be false.", strict=True)] = False
    case_insensitive: Annotated[
        bool, described("Of STR_ operators.", alias="caseInsensitive", strict=True)
    ] = False

    @model_validator(mode="after")
    def compare_with_something(self) -> Self:
        """Refuse a constraint that the engine would find false for all subjects."""
        takes_list = self.operator.endswith("IN") or self.operator.startswith("STR_")
        if takes_list and not self.values:
            raise refuse(Code.REQUIRED, f"A constraint with {self.operator} needs values")
        if not takes_list and self.value is None:
            raise refuse(Code.REQUIRED, f"A constraint with {self.operator} needs a value")
        if self.value is not None and not _is_of_operator(self.operator, self.value):
            raise refuse(Code.INVALID_FORMAT, f"{self.operator} can't read the value")
        return self


class Payload(_Part):
    """What a variant brings along."""

    type: Annotated[PayloadType, described("How to read it.", "string")]
    value: Annotated[str, described("The text.", "blue", max_length=10_000)]


class Variant(_Part):
    """One of several values of a flag that is on."""

    name: Annotated[str, described("What it is called.", "blue", pattern=r"^[A-Za-z0-9._-]{1,50}$")]
    weight: Annotated[
        int, described("How many of a thousand subjects.", 500, ge=0, le=WHOLE_WEIGHT, strict=True)
    ]
    stickiness: Stickiness = "default"
    payload: Annotated[Payload | None, described("What it brings along.")] = None


def _whole(variants: list[Variant]) -> list[Variant]:
    names = [variant.name for variant in variants]
    if len(set(names)) < len(names):
        raise refuse(Code.NOT_ALLOWED, "Two variants have the same name")
    if variants and sum(variant.weight for variant in variants) != WHOLE_WEIGHT:
        message = f"The weights of the variants must add up to {WHOLE_WEIGHT}"
        raise refuse(Code.OUT_OF_RANGE, message)
    return variants


Variants = Annotated[
    list[Variant],
    described(
        "Values to choose among; the weights add up to 1000.",
        [{"name": "blue", "weight": 500}, {"name": "red", "weight": 500}],
        max_length=20,
    ),
    AfterValidator(_whole),
]


class Strategy(_Part):
    """A way to turn the flag on; one that applies is enough."""

    name: Annotated[
        StrategyName, described("For all, or for a share of the subjects.", "flexibleRollout")
    ]
    parameters: Annotated[Parameters, described("Of a gradual rollout.")] = Parameters()
    constraints: Annotated[
        list[Constraint], described("All of them must hold.", max_length=20)
    ] = []
    variants: Variants = []

    @model_validator(mode="after")
    def divide_only_a_rollout(self) -> Self:
        """Refuse a rollout without its percentage, and a percentage without a rollout."""
        if self.name is StrategyName.ROLLOUT and self.parameters.rollout is None:
            raise refuse(Code.REQUIRED, f"{self.name} needs the parameter rollout")
        if self.name is StrategyName.DEFAULT and self.parameters.rollout is not None:
            raise refuse(Code.NOT_ALLOWED, f"rollout is a parameter of {StrategyName.ROLLOUT}")
        return self


class FlagDefinition(_Part):
    """When a flag is on, in Unleash's feature JSON."""

    name: Annotated[Text | None, described("The flag's name, if given.", "avif-variants")] = None
    enabled: Annotated[
        bool,
        described("False turns the flag off, whatever else there is.", example=True, strict=True),
    ]
    strategies: Annotated[
        list[Strategy],
        described(
            "The flag is on if one of them applies, or if there is none.",
            [{"name": "flexibleRollout", "parameters": {"rollout": "25"}}],
            max_length=20,
        ),
    ] = []
    variants: Variants = []


def feature_of(flag: Flag, definition: FlagDefinition) -> dict[str, Any]:
    """Return the whole feature for the engine.

    Raises:
        Invalid: the definition does not fit the flag.

    """
    if faults := [*_misfits(flag, definition)]:
        raise Invalid(*faults)
    feature = definition.model_dump(mode="json", exclude_none=True) | {"name": flag.name}
    for strategy in feature["strategies"]:
        if strategy["name"] == StrategyName.ROLLOUT:
            # Rollouts of different flags are independent because their groups differ.
            strategy["parameters"].setdefault("groupId", flag.name)
        else:
            del strategy["parameters"]
    return feature


def _misfits(flag: Flag, definition: FlagDefinition) -> Iterator[Fault]:
    if definition.name not in {None, flag.name}:
        yield Fault("name", Code.NOT_ALLOWED, f"The name must be {flag.name}")
    if flag.subject is None and definition.variants:
        yield Fault("variants", Code.NOT_ALLOWED, f"{flag.name} has no subject to choose by")
    known = {TIME, *flag.properties, *([SUBJECT] if flag.subject else [])}
    for number, strategy in enumerate(definition.strategies):
        place = f"strategies.{number}"
        if flag.subject is None and strategy.variants:
            message = f"{flag.name} has no subject to choose by"
            yield Fault(f"{place}.variants", Code.NOT_ALLOWED, message)
        if flag.subject is None and strategy.parameters.rollout not in {None, 0, ALL}:
            message = f"The rollout of {flag.name} must be 0 or {ALL}: it has no subject to divide"
            yield Fault(f"{place}.parameters.rollout", Code.NOT_ALLOWED, message)
        for index, constraint in enumerate(strategy.constraints):
            if constraint.context_name not in known:
                message = f"{flag.name} has no {constraint.context_name!r}, only: " + ", ".join(
                    sorted(known)
                )
                where = f"{place}.constraints.{index}.contextName"
                yield Fault(where, Code.NOT_ALLOWED, message)
