"""The receiver of `make run OBSERVE=1` keeps spans; its pages and `enroll trace` show them."""

import gzip
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress

import httpx
import orjson
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from deploy.observe.traces import store
from deploy.observe.traces.store import SpanStore
from infra.observability.otlp import Tracer
from infra.observability.spans import Kind, Origin
from infra.settings import Settings
from tests import forkserver
from tests.factories import free_ports

REQUEST_ID = "request-1"
TASK_ID = "019aae3c-5f00-7cc0-8000-3f1bb9a3c001"
SPITEFUL = "<script>alert(1)</script>\x1b[31m"
PROTOBUF = {"content-type": "application/x-protobuf"}


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    """The running receiver, with one failed upload."""
    (port,) = free_ports(1)
    folder = tmp_path_factory.mktemp("traces")
    command = (sys.executable, "-m", "deploy.observe.traces", "--port", str(port), "--data", folder)
    process = subprocess.Popen(command)
    url = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + 30
    while True:
        with suppress(httpx.TransportError):
            assert httpx.get(f"{url}/traces").is_success
            break
        assert time.monotonic() < deadline
        time.sleep(0.05)
    _upload(url)
    yield url
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0


def _upload(url: str) -> None:
    tracer = Tracer.of(Settings(_env_file=None, otel_exporter_otlp_endpoint=url), "api")
    with (
        tracer.span("POST /upload", Kind.SERVER, {"app.request_id": REQUEST_ID}, None, None),
        tracer.span("enqueue", Kind.PRODUCER, None, None, None),
    ):
        cause = tracer.traceparent()
    retry = {"app.request_id": REQUEST_ID, "app.task_id": TASK_ID}
    with suppress(RuntimeError):
        origin = Origin(cause, is_link=True)
        with tracer.span(SPITEFUL, Kind.CONSUMER, retry, origin, None):
            raise RuntimeError
    tracer.close()


async def _trace(url: str, any_id: str, *options: str) -> forkserver.Done:
    environment = os.environ | {"OTEL_EXPORTER_OTLP_ENDPOINT": url}
    return await forkserver.enroll("trace", any_id, *options, env=environment)


@pytest.mark.parametrize("any_id", [REQUEST_ID, TASK_ID])
async def test_the_command_prints_trees_with_durations_and_errors(url, any_id):
    shown = await _trace(url, any_id)
    assert shown.code == 0, shown.errors
    lines = shown.output.splitlines()
    depths = {line.strip(" │├└─").split("  ")[0]: line.find("─ ") for line in lines}
    if any_id == REQUEST_ID:
        assert depths["POST /upload"] < depths["enqueue"]
    [failed] = [line for line in lines if "script" in line]
    assert failed.endswith("RuntimeError")
    assert " ms" in failed
    assert "\x1b" not in shown.output
    assert "caused by trace " in shown.output


async def test_the_command_prints_json(url):
    shown = await _trace(url, REQUEST_ID, "--json")
    first, second = orjson.loads(shown.output)
    assert [top["name"] for top in (first[0], first[0]["below"][0])] == ["POST /upload", "enqueue"]
    assert second[0]["links"] == [
        {"trace_id": first[0]["trace_id"], "span_id": first[0]["below"][0]["span_id"]}
    ]


@pytest.mark.parametrize(
    ("address", "any_id", "says"),
    [
        ("", "x", "nothing is traced"),
        ("http://127.0.0.1:1", "x", "does not answer"),
        (None, "unknown", "no span of the last hour has the id 'unknown'"),
    ],
)
async def test_the_command_says_why_there_is_nothing(url, tmp_path, address, any_id, says):
    shown = await _trace(url if address is None else address, any_id)
    assert shown.code != 0
    assert says in shown.errors


async def test_the_pages_show_traces_and_escape_texts(url):
    async with httpx.AsyncClient(base_url=url) as client:
        latest = (await client.get("/traces")).text
        assert "POST /upload" in latest
        response = await client.get("/traces", params={"id": REQUEST_ID})
        assert response.text.count('class="bar"') == 3
        assert "&lt;script&gt;" in response.text
        assert "<script" not in response.text + latest
        assert "default-src 'none'" in response.headers["content-security-policy"]
        nothing = await client.get("/traces", params={"id": SPITEFUL})
        assert "<script" not in nothing.text


@pytest.mark.parametrize(
    ("path", "headers", "body", "status"),
    [
        ("/v1/traces", PROTOBUF, b"\xff", 400),
        ("/v1/traces", PROTOBUF | {"content-encoding": "gzip"}, b"no gzip", 400),
        ("/v1/traces", PROTOBUF | {"content-encoding": "gzip"}, gzip.compress(b"", mtime=0), 200),
        ("/v1/traces", {"content-type": "text/plain"}, b"", 415),
        ("/v1/traces", PROTOBUF | {"host": "evil.example"}, b"", 404),
        ("/v1/logs", PROTOBUF, b"", 404),
    ],
)
async def test_what_is_no_trace_is_refused(url, path, headers, body, status):
    async with httpx.AsyncClient(base_url=url) as client:
        assert (await client.post(path, headers=headers, content=body)).status_code == status


def test_an_hour_is_kept_and_no_more_than_the_bound(tmp_path, monkeypatch):
    spans = SpanStore(tmp_path / "spans.sqlite")
    now = time.time_ns()
    hours = store.KEEP_SECONDS * store.NANOSECONDS
    request = ExportTraceServiceRequest()
    scope = request.resource_spans.add().scope_spans.add()
    for number, start in enumerate((now - 2 * hours, now - 3, now - 2, now - 1)):
        span = scope.spans.add(name=str(number), start_time_unix_nano=start)
        span.trace_id, span.span_id = bytes([number]) * 16, bytes([number]) * 8
    monkeypatch.setattr(store, "PRUNE_SECONDS", -1)
    assert spans.add(request) == 4
    assert [row["name"] for row in spans.recent(9)] == ["3", "2", "1"]
    monkeypatch.setattr(store, "MAX_SPANS", 2)
    assert spans.add(ExportTraceServiceRequest()) == 0
    assert [row["name"] for row in spans.recent(9)] == ["3", "2"]
    spans.close()
