"""A receiver of traces by OTLP over HTTP, and its spans as trees."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.stub_server import Handler, serving

PATH = "/v1/traces"


@dataclass
class Received:
    """A span; `process` is the one that sent it."""

    name: str
    trace: str
    id: str
    parent: str
    start: int
    attributes: dict[str, object]
    links: list[str]
    error: str | None
    process: str


@dataclass
class Receiver:
    """The spans that have come so far."""

    url: str = ""
    spans: list[Received] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)

    def add(self, body: bytes) -> None:
        """Take a request's body."""
        self.bodies.append(body)
        for group in ExportTraceServiceRequest.FromString(body).resource_spans:
            of = _attributes(group.resource)
            for span in (span for scope in group.scope_spans for span in scope.spans):
                ids = (each.hex() for each in (span.trace_id, span.span_id, span.parent_span_id))
                links = [link.span_id.hex() for link in span.links]
                failed = span.status.code == span.status.STATUS_CODE_ERROR
                self.spans.append(
                    Received(
                        *(span.name, *ids, span.start_time_unix_nano, _attributes(span), links),
                        span.status.message if failed else None,
                        str(of["app.process"]),
                    )
                )

    def named(self, name: str) -> list[Received]:
        """Return the spans of this name."""
        return [span for span in self.spans if span.name == name]

    def tree(
        self,
        trace: str,
        *,
        leaves: Collection[str] = (),
        hidden: Collection[str] = (),
        repeated: Collection[str] = (),
    ) -> str:
        """Return the spans of a trace, each below its parent, in the order of their beginnings.

        Spans whose parent did not come are at the top. What is below `leaves` is not shown, nor
        what is `hidden`; of the `repeated` ones below one parent the first is.
        """
        of_trace = [each for each in self.spans if each.trace == trace and each.name not in hidden]
        known = {span.id for span in of_trace}
        below: dict[str, list[Received]] = {}
        for span in sorted(of_trace, key=_start):
            siblings = below.setdefault(span.parent if span.parent in known else "", [])
            if span.name not in repeated or span.name not in {each.name for each in siblings}:
                siblings.append(span)

        def lines(parent: str, depth: int) -> Iterator[str]:
            for span in below.get(parent, ()):
                failed = "" if span.error is None else f" !{span.error}"
                yield f"{'  ' * depth}{span.name} [{span.process}]{failed}\n"
                if span.name not in leaves:
                    yield from lines(span.id, depth + 1)

        return "".join(lines("", 0))


def _start(span: Received) -> int:
    return span.start


def _attributes(of: object) -> dict[str, object]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in of.attributes}


@contextmanager
def receiver() -> Iterator[Receiver]:
    """Run a receiver on a free port."""
    received = Receiver()

    class Spans(Handler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            received.add(body)
            self.send_response(200 if self.path == PATH else 404)
            self.send_header("content-length", "0")
            self.end_headers()

    with serving(Spans) as address:
        received.url = f"http://{address}"
        yield received
