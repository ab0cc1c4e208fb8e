"""The traces of a process, by OpenTelemetry; `tracing` imports this if they are on.

The queue of spans is bounded, and a thread sends it: a receiver that is away delays no request.
"""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self

# Read when the instrumentations are imported: the stable names of attributes.
os.environ["OTEL_SEMCONV_STABILITY_OPT_IN"] = "http,database"

from opentelemetry import context as contexts
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.asyncpg import AsyncPGInstrumentor
from opentelemetry.instrumentation.redis import RedisInstrumentor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter
from opentelemetry.sdk.trace.sampling import ParentBased
from opentelemetry.trace import Link, SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.re import parse_env_headers

from infra.identity import SERVICE, version
from infra.observability.span_export import ReportingExporter, RootSampler, SpanQueue
from infra.observability.spans import Attributes, Kind, Origin, TraceSettings

# A request to the receiver, with its retries.
EXPORT_SECONDS = 5.0
MAX_TEXT = 4096
_W3C = TraceContextTextMapPropagator()


class Tracer:
    """The spans of one process."""

    def __init__(self, exporter: SpanExporter, ratio: float, resource: Resource) -> None:
        # `ReportingExporter` logs the failures; the library would log each batch.
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
        self._provider = TracerProvider(
            ParentBased(RootSampler(ratio)),
            resource,
            shutdown_on_exit=False,
            span_limits=SpanLimits(max_attribute_length=MAX_TEXT),
        )
        self._provider.add_span_processor(SpanQueue(ReportingExporter(exporter), SERVICE))
        self._tracer = self._provider.get_tracer(SERVICE)

    @classmethod
    def of(cls, settings: TraceSettings, process: str) -> Self:
        """Return the tracer of a process by the settings."""
        secret = settings.otel_exporter_otlp_headers
        headers = parse_env_headers(secret.get_secret_value(), liberal=True) if secret else None
        url = f"{str(settings.otel_exporter_otlp_endpoint).rstrip('/')}/v1/traces"
        exporter = OTLPSpanExporter(url, headers=headers, timeout=EXPORT_SECONDS)
        resource = Resource.create(
            {
                "service.name": SERVICE,
                "service.version": version(),
                "deployment.environment.name": str(settings.environment),
                "process.pid": os.getpid(),
                "app.process": process,
            }
        )
        return cls(exporter, settings.otel_traces_sampler_arg, resource)

    def instrument(self, *, has_s3: bool) -> None:
        """Make statements, calls of Redis and, with `has_s3`, those of S3 spans."""
        instrumentors: list[Any] = [AsyncPGInstrumentor(), RedisInstrumentor()]
        if has_s3:
            # It imports botocore, which takes much memory.
            from opentelemetry.instrumentation.botocore import BotocoreInstrumentor  # noqa: PLC0415  it costs start-up time

            instrumentors.append(BotocoreInstrumentor())
        for each in instrumentors:
            each.instrument(tracer_provider=self._provider, skip_dep_check=True)

    def close(self) -> None:
        """Send what is queued, for at most `span_export.CLOSE_SECONDS`."""
        self._provider.shutdown()

    @contextmanager
    def span(
        self,
        name: str,
        kind: Kind,
        attributes: Attributes | None,
        origin: Origin | None,
        since: int | None,
    ) -> Iterator[None]:
        """See `tracing.span`."""
        span = self._begin(name, kind, attributes, origin, since)
        with trace.use_span(
            span, end_on_exit=True, record_exception=False, set_status_on_exception=False
        ):
            try:
                yield
            except BaseException as error:
                kind_of_error = type(error).__qualname__
                span.set_status(StatusCode.ERROR, kind_of_error)
                span.set_attribute("error.type", kind_of_error)
                raise

    def open(self, name: str, kind: Kind, attributes: Attributes, origin: Origin) -> None:
        """Begin a span that is current in the running task until `close_current`."""
        span = self._begin(name, kind, attributes, origin, None)
        contexts.attach(trace.set_span_in_context(span, Context()))

    def close_current(self) -> None:
        """End the current span; none is current then."""
        trace.get_current_span().end()
        contexts.attach(Context())

    def annotate(self, attributes: Attributes, error: str | None) -> None:
        """See `tracing.annotate`."""
        span = trace.get_current_span()
        span.set_attributes(attributes)
        if error is not None:
            span.set_status(StatusCode.ERROR, error)

    def traceparent(self) -> str | None:
        """See `tracing.traceparent`."""
        carrier: dict[str, str] = {}
        _W3C.inject(carrier)
        return carrier.get("traceparent")

    def trace_id(self) -> str | None:
        """See `tracing.trace_id`."""
        context = trace.get_current_span().get_span_context()
        return trace.format_trace_id(context.trace_id) if context.is_valid else None

    def _begin(
        self,
        name: str,
        kind: Kind,
        attributes: Attributes | None,
        origin: Origin | None,
        since: int | None,
    ) -> trace.Span:
        context, links = None, []
        if origin is not None:
            carrier = {"traceparent": origin.traceparent, "tracestate": origin.tracestate}
            context = _W3C.extract(carrier, Context())
            if origin.is_link:
                links = [Link(trace.get_current_span(context).get_span_context())]
                context = Context()
        return self._tracer.start_span(
            name,
            context,
            SpanKind[kind],
            attributes,
            links,
            start_time=since,
        )
