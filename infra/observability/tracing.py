"""Traces: what a request or task did, in which process, and for how long.

`tracer` is None unless OTEL_EXPORTER_OTLP_ENDPOINT is set. Then every call here is one comparison,
and the process does not import OpenTelemetry. `infra.observability.otlp` has all uses of it.
"""

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

from infra.observability.spans import Attributes, Kind, Origin, TraceSettings

if TYPE_CHECKING:
    from infra.observability.otlp import Tracer

tracer: "Tracer | None" = None
_OFF = nullcontext()


def start(settings: TraceSettings, process: str, *, instruments: bool = True) -> None:
    """Start the traces of this process, if the settings name a receiver; call it after the fork.

    With `instruments`, statements and calls of Redis and S3 are spans, too.
    """
    global tracer  # noqa: PLW0603  one for each process, like its metrics
    stop()
    if settings.otel_exporter_otlp_endpoint:
        # A process without traces does not import OpenTelemetry.
        from infra.observability.otlp import Tracer  # noqa: PLC0415  it costs start-up time

        tracer = Tracer.of(settings, process)
        if instruments:
            tracer.instrument(has_s3=(settings.storage or "").startswith("s3:"))


def stop() -> None:
    """Send what is left, for at most a second, and end the traces of this process."""
    global tracer
    if tracer is not None:
        stopped, tracer = tracer, None
        stopped.close()


def span(
    name: str,
    kind: Kind = Kind.INTERNAL,
    attributes: Attributes | None = None,
    *,
    origin: Origin | None = None,
    since: int | None = None,
) -> AbstractContextManager[None]:
    """Record the block as a child of the current span, or of `origin`.

    An error that leaves the block is recorded by its class, never by its text, which may quote
    data. `since` is when the span began, in nanoseconds of the epoch, if that was before the block.
    """
    if tracer is None:
        return _OFF
    return tracer.span(name, kind, attributes, origin, since)


def annotate(attributes: Attributes, error: str | None = None) -> None:
    """Add attributes to the current span; `error`, without personal data, marks it as failed."""
    if tracer is not None:
        tracer.annotate(attributes, error)


def traceparent() -> str | None:
    """Return the current span as W3C `traceparent`; None if there is none."""
    return None if tracer is None else tracer.traceparent()


def trace_id() -> str | None:
    """Return the id of the current trace; None if there is none."""
    return None if tracer is None else tracer.trace_id()
