"""Which spans are recorded, and how they leave the process: sampled, queued, without texts."""

import re
import threading
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult, TraceIdRatioBased
from opentelemetry.trace import Link, SpanKind, Status, TraceState

from infra.observability import logs, metrics
from infra.observability.events import Event

MAX_QUEUED = 4096
MAX_BATCH = 512
SEND_MILLISECONDS = 500
CLOSE_SECONDS = 1.0
_VERB_AND_TABLE = re.compile(r'\b(INSERT INTO|UPDATE|DELETE FROM|FROM) +"?([a-z_]+)')

log = logs.get_logger(__name__)


class RootSampler(Sampler):
    """Samples the traces that begin in this process.

    A trace that links to a sampled one is sampled, too. No trace begins with a statement or another
    call: each poll of a feed would be one.
    """

    def __init__(self, ratio: float) -> None:
        self._ratio = TraceIdRatioBased(ratio)

    def should_sample(  # noqa: PLR0913, PLR0917  the interface's
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Any = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        """Return whether a trace that begins with this span is recorded."""
        if kind is SpanKind.CLIENT:
            return SamplingResult(Decision.DROP)
        if links:
            is_sampled = any(link.context.trace_flags.sampled for link in links)
            decision = Decision.RECORD_AND_SAMPLE if is_sampled else Decision.DROP
            return SamplingResult(decision, attributes)
        return self._ratio.should_sample(
            parent_context, trace_id, name, kind, attributes, links, trace_state
        )

    def get_description(self) -> str:
        """Return what the sampler does."""
        return f"Root({self._ratio.get_description()})"


class SpanQueue(BatchSpanProcessor):
    """The bounded queue of spans, and the thread that sends them.

    It names statements by their tables. It removes the texts of errors that the instrumentations
    record, because these may quote data; spans of `ours` have none.
    """

    def __init__(self, exporter: SpanExporter, ours: str) -> None:
        super().__init__(exporter, MAX_QUEUED, SEND_MILLISECONDS, MAX_BATCH)
        self._ours = ours

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Name the span of a statement."""
        statement = (span.attributes or {}).get("db.query.text")
        if isinstance(statement, str):
            span.update_name(name_of(statement))
        super().on_start(span, parent_context)

    def on_end(self, span: ReadableSpan) -> None:
        """Queue the span, if there is room."""
        if len(self._batch_processor._queue) >= MAX_QUEUED:  # noqa: SLF001  it reports no drops
            _count_dropped(1)
            return
        scope = span.instrumentation_scope
        is_ours = scope is not None and scope.name == self._ours
        super().on_end(span if is_ours or not span.events else _without_texts(span))

    def shutdown(self) -> None:
        """Send what is queued, for at most `CLOSE_SECONDS`."""
        self._batch_processor.shutdown(int(CLOSE_SECONDS * 1000))
        _count_dropped(len(self._batch_processor._queue))  # noqa: SLF001  see `on_end`


def _without_texts(span: ReadableSpan) -> ReadableSpan:
    kind_of_error = (span.status.description or "").partition(":")[0]
    return ReadableSpan(
        span.name,
        span.context,
        span.parent,
        span.resource,
        span.attributes,
        links=span.links,
        kind=span.kind,
        status=Status(span.status.status_code, kind_of_error or None),
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )


@lru_cache(maxsize=512)
def name_of(statement: str) -> str:
    """Return the first verb with a table in a statement, else its first word."""
    if found := _VERB_AND_TABLE.search(statement):
        verb, table = found.groups()
        return f"{'SELECT' if verb == 'FROM' else verb.partition(' ')[0]} {table}"
    return statement.split(maxsplit=1)[0].partition(";")[0] if statement.strip() else "SQL"


class ReportingExporter(SpanExporter):
    """Counts the spans that the receiver did not take, and logs when it goes and returns."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self._is_away = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send spans."""
        result = self._exporter.export(spans)
        is_away = result is not SpanExportResult.SUCCESS
        if is_away:
            _count_dropped(len(spans))
        if is_away and not self._is_away:
            log.warning(Event.TRACE_RECEIVER_AWAY)
        elif self._is_away and not is_away:
            log.info(Event.TRACE_RECEIVER_BACK)
        self._is_away = is_away
        return result

    def shutdown(self) -> None:
        """Close the connection."""
        self._exporter.shutdown()


# The queue and its thread count.
_counting = threading.Lock()


def _count_dropped(number: int) -> None:
    with _counting:
        metrics.dropped_spans.inc(number)
