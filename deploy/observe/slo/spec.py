"""Reads the objectives of deploy/slo.yaml, in Sloth's `prometheus/v1` form."""

import re
from pathlib import Path
from typing import Annotated, Literal, Self

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

FILE = Path(__file__).resolve().parents[2] / "slo.yaml"
WINDOW = "{{.window}}"
# A bucket of a histogram, or the right side of a comparison.
_THRESHOLD = re.compile(r'(?:\ble="|[<>]=? bool )(\d+(?:\.\d+)?)')


class SloError(Exception):
    """The file of objectives is not usable; the message names the objective and the field."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _has_window(query: str) -> str:
    if f"[{WINDOW}" not in query:
        raise ValueError(f"has no range [{WINDOW}]")
    return query.strip()


Query = Annotated[str, AfterValidator(_has_window)]
Name = Annotated[str, Field(pattern="^[a-z0-9-]+$")]
AlertName = Annotated[str, Field(pattern="^[A-Z][A-Za-z0-9]+$")]


class Events(_Part):
    """Errors and all events, as rates a second."""

    error_query: Query
    total_query: Query

    @model_validator(mode="after")
    def _differ(self) -> Self:
        if self.error_query == self.total_query:
            raise ValueError("error_query and total_query are the same: all events are errors")
        return self


class Raw(_Part):
    """The ratio of errors itself."""

    error_ratio_query: Query


class Sli(_Part):
    """What is measured, in one of two ways."""

    events: Events | None = None
    raw: Raw | None = None

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if (self.events is None) == (self.raw is None):
            raise ValueError("needs either events or raw")
        return self

    @property
    def chosen(self) -> Events | Raw:
        """The one that is given."""
        if self.events:
            return self.events
        assert self.raw  # noqa: S101  checked above
        return self.raw


class Alert(_Part):
    """The labels of an alert, or that there is none."""

    disable: bool = False
    labels: dict[str, str] = {}

    @model_validator(mode="after")
    def _has_severity(self) -> Self:
        if not self.disable and self.labels.get("severity") not in {"page", "ticket"}:
            raise ValueError("labels need severity: page or ticket")
        return self


class Alerting(_Part):
    """The alerts of an objective: its budget is spent fast, or slowly."""

    name: AlertName
    page_alert: Alert
    ticket_alert: Alert


class Slo(_Part):
    """A service level objective."""

    name: Name
    objective: Annotated[float, Field(gt=0, lt=100)]
    description: Annotated[str, Field(min_length=1)]
    sli: Sli
    alerting: Alerting

    @property
    def budget(self) -> float:
        """The share of events that may be errors."""
        return round(1 - self.objective / 100, 10)

    @property
    def threshold(self) -> float | None:
        """What an event is compared with: seconds of a histogram's bucket, or a share."""
        match self.sli.chosen:
            case Events(error_query=query) | Raw(error_ratio_query=query):
                found = _THRESHOLD.search(query)
        return float(found[1]) if found else None


class Spec(_Part):
    """All objectives of the service."""

    version: Literal["prometheus/v1"]
    service: Name
    labels: dict[str, str] = {}
    slos: Annotated[tuple[Slo, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _are_distinct(self) -> Self:
        names = [each.name for each in self.slos]
        if twice := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"slos: {', '.join(sorted(twice))} is there twice")
        return self

    def slo(self, name: str) -> Slo:
        """Return an objective by its name.

        Raises:
            SloError: there is none of that name.

        """
        for each in self.slos:
            if each.name == name:
                return each
        raise SloError(f"there is no objective {name!r} in {FILE.name}")


def load(path: Path = FILE) -> Spec:
    """Read the objectives.

    Raises:
        SloError: the file can't be read, or a field is not usable.

    """
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
        return Spec.model_validate(document)
    except ValidationError as error:
        lines = (_sentence(path, document, fault) for fault in error.errors(include_url=False))
        raise SloError("\n".join(lines)) from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SloError(f"{path.name}: {' '.join(str(error).split())}") from None


def _sentence(path: Path, document: object, fault: ErrorDetails) -> str:
    """Return the fault, with the objective by its name and not by its number."""
    where = list(fault["loc"])
    match where, document:
        case ["slos", int(number), *field], {"slos": list(slos)}:
            slo = slos[number]
            name = slo.get("name") if isinstance(slo, dict) else None
            where = [str(name or f"slos[{number}]"), *field]
    message = fault["msg"].removeprefix("Value error, ")
    given = f" (it is {fault['input']!r})" if isinstance(fault["input"], str | int | float) else ""
    parts = [path.name, *([where[0]] if where else []), ".".join(map(str, where[1:]))]
    return ": ".join([*filter(None, map(str, parts)), f"{message[0].lower()}{message[1:]}{given}"])
