"""What leaves a process as spans, and what does not."""

import socket
import time
from contextlib import closing, suppress

import pytest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from infra.identity import SERVICE
from infra.observability import metrics, span_export
from infra.observability.otlp import Tracer
from infra.observability.spans import Kind, Origin
from infra.settings import Settings

SAMPLED = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
UNSAMPLED = f"{SAMPLED[:-1]}0"


@pytest.fixture
def dropped(monkeypatch):
    counted = []
    monkeypatch.setattr(metrics.dropped_spans, "inc", counted.append)
    return counted


def _record(ratio, *spans) -> list:
    """Record spans one after the other; return those that were sent."""
    sent = InMemorySpanExporter()
    tracer = Tracer(sent, ratio, Resource({}))
    for name, kind, origin in spans:
        with tracer.span(name, kind, None, origin, None):
            pass
    tracer.close()
    return sent.get_finished_spans()


@pytest.mark.parametrize(
    ("statement", "name"),
    [
        ("SELECT 1", "SELECT"),
        ('INSERT INTO "courses" ("id") VALUES ($1)', "INSERT courses"),
        (
            "WITH added AS (\n INSERT INTO tasks (id) VALUES ($1)) SELECT id FROM added",
            "INSERT tasks",
        ),
        ("SELECT * FROM tasks WHERE id = $1 FOR UPDATE", "SELECT tasks"),
        ("DELETE FROM uploads", "DELETE uploads"),
        ("BEGIN;SET LOCAL a = 'b'", "BEGIN"),
        ("", "SQL"),
    ],
)
def test_a_statement_is_named_by_its_verb_and_table(statement, name):
    assert span_export.name_of(statement) == name


@pytest.mark.parametrize(
    ("ratio", "origin", "is_recorded"),
    [
        (1, None, True),
        (0, None, False),
        (0, Origin(SAMPLED), True),
        (1, Origin(UNSAMPLED), False),
        (0, Origin(SAMPLED, is_link=True), True),
        (1, Origin(UNSAMPLED, is_link=True), False),
        (1, Origin("nonsense"), True),
    ],
)
def test_the_cause_decides_before_the_ratio(ratio, origin, is_recorded):
    assert len(_record(ratio, ("work", Kind.CONSUMER, origin))) == is_recorded


def test_a_link_begins_a_trace_and_a_parent_continues_one():
    linked, child = _record(
        1,
        ("retry", Kind.CONSUMER, Origin(SAMPLED, is_link=True)),
        ("first", Kind.CONSUMER, Origin(SAMPLED)),
    )
    assert linked.parent is None
    assert f"{linked.links[0].context.span_id:016x}" in SAMPLED
    assert f"{child.context.trace_id:032x}" in SAMPLED


def test_an_error_is_recorded_by_its_class_only():
    sent = InMemorySpanExporter()
    tracer = Tracer(sent, 1, Resource({}))
    with suppress(ValueError), tracer.span("ours", Kind.INTERNAL, None, None, None):
        library = tracer._provider.get_tracer("library")  # noqa: SLF001  as instrumentations do
        with library.start_as_current_span("theirs"):
            raise ValueError("a secret: and more")
    tracer.close()
    theirs, ours = sent.get_finished_spans()
    assert (theirs.status.description, theirs.events) == ("ValueError", ())
    assert (ours.status.description, ours.events) == ("ValueError", ())
    assert ours.instrumentation_scope.name == SERVICE


def test_spans_that_find_the_queue_full_are_dropped_and_counted(dropped, monkeypatch):
    with closing(socket.create_server(("127.0.0.1", 0))) as black_hole:
        address = f"http://127.0.0.1:{black_hole.getsockname()[1]}"
        monkeypatch.setattr(span_export, "CLOSE_SECONDS", 0.2)
        tracer = Tracer.of(Settings(_env_file=None, otel_exporter_otlp_endpoint=address), "test")
        many = 3 * span_export.MAX_QUEUED
        for _ in range(many):
            with tracer.span("work", Kind.INTERNAL, None, None, None):
                pass
        full = sum(dropped)
        began = time.monotonic()
        tracer.close()
        # Less than the receiver's time limit, which is seconds more.
        assert time.monotonic() - began < 4
        assert full >= many - span_export.MAX_QUEUED - span_export.MAX_BATCH
        assert sum(dropped) >= many - span_export.MAX_BATCH
