"""The words of traces: kinds of spans, and what causes a span."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from pydantic import SecretStr

Attributes = Mapping[str, str | int | float | bool]


class Kind(StrEnum):
    """The kinds of spans, by OpenTelemetry's names."""

    INTERNAL = "INTERNAL"
    SERVER = "SERVER"
    PRODUCER = "PRODUCER"
    CONSUMER = "CONSUMER"


class TraceSettings(Protocol):
    """The settings that traces need; `infra.settings` has them."""

    @property
    def otel_exporter_otlp_endpoint(self) -> str | None:
        """The receiver's address."""

    @property
    def otel_exporter_otlp_headers(self) -> SecretStr | None:
        """The headers that it asks for."""

    @property
    def otel_traces_sampler_arg(self) -> float:
        """The share of traces that are recorded."""

    @property
    def environment(self) -> str:
        """Where the service runs."""

    @property
    def storage(self) -> str | None:
        """The image store's URL."""


@dataclass(frozen=True)
class Origin:
    """The span that caused another one, as W3C `traceparent`.

    It is the other one's parent. If `is_link` is true, the other one begins a trace of its own,
    which links to it.
    """

    traceparent: str
    is_link: bool = False
    tracestate: str = ""
