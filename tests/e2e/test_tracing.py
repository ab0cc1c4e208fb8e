"""Traces are off unless a receiver is named; one that is away delays nothing."""

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
from contextlib import closing, contextmanager

import httpx
import orjson
import pytest

from tests.factories import eventually, new_email, scrape
from tests.forkserver import start
from tests.instances import instance
from tests.otlp import receiver

IMPORTS = {"PYTHONPROFILEIMPORTTIME": "1"}
ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
LIST = "/api/v1/courses?limit=20"
CALLER = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0"


@pytest.fixture
def environment(service):
    return {key: value for key, value in service.env.items() if key != "PORT"}


def _output(folder) -> str:
    return "".join(path.read_text() for path in folder.glob("*.log"))


def _imports(output: str, package: str) -> bool:
    # A module below a package that can't be imported is listed, too: not the package itself.
    return bool(re.search(rf"\| +{package}$", output, re.MULTILINE))


@contextmanager
def _worker(log, environment):
    with log.open("wb") as output:
        command = ("-m", "cli", "worker", "--concurrency=1")
        worker = start(*command, env=environment, stderr=output, start_new_session=True)
    try:
        yield
    finally:
        worker.send_signal(signal.SIGTERM)
        worker.wait(30)


async def test_an_api_without_a_receiver_does_not_import_opentelemetry(environment, tmp_path):
    async with (
        instance(tmp_path, environment, **IMPORTS) as url,
        httpx.AsyncClient(base_url=url) as client,
    ):
        assert (await client.get(LIST, headers={"traceparent": f"{CALLER}1"})).is_success
    assert _imports(_output(tmp_path), "sanic")
    assert not _imports(_output(tmp_path), "opentelemetry")


async def test_workers_and_commands_without_a_receiver_do_not_import_it(
    environment, new_database, tmp_path
):
    environment = os.environ | environment | IMPORTS
    environment |= {"DATABASE_URL": await new_database(), "BROKER_URL": "memory://"}
    environment["DATA_DIR"] = str(tmp_path)
    log = tmp_path / "worker.log"
    with _worker(log, environment):

        async def is_ready() -> bool:
            return "celery@" in log.read_text() and " ready." in log.read_text()

        await eventually(is_ready)
    command = (sys.executable, "-m", "cli", "tasks", "stats")
    listed = await asyncio.to_thread(
        subprocess.run, command, env=environment, check=True, capture_output=True, text=True
    )
    for written in (log.read_text(), listed.stderr):
        assert _imports(written, "redis")
        assert not _imports(written, "opentelemetry")


async def test_the_callers_decision_holds_and_the_fast_path_is_not_traced(environment, tmp_path):
    with receiver() as received:
        settings = {ENDPOINT: received.url, "API_WORKERS": "1", "OTEL_TRACES_SAMPLER_ARG": "0"}
        async with (
            instance(tmp_path, environment, **settings) as url,
            httpx.AsyncClient(base_url=url) as client,
        ):
            for sampled in "01":
                headers = {"traceparent": f"{CALLER}{sampled}", "X-Not-Plain": "1"}
                await client.get(LIST, headers=headers)
                await client.get("/api/v1/nothing", headers=headers)
            await client.get(LIST)
            await client.get("/health/ready", headers={"traceparent": f"{CALLER}1"})
            enrolled = {"student_email": (email := new_email()), "course_id": "none"}
            await client.post(
                "/api/v1/enrollments", json=enrolled, headers={"traceparent": f"{CALLER}1"}
            )
            await client.get(
                f"/api/v1/enrollments/student/{email}", headers={"traceparent": f"{CALLER}1"}
            )
    roots = [(each.name, each.attributes["http.response.status_code"], each.error) for each in
             received.spans if each.parent == CALLER[36:52]]  # fmt: skip
    assert roots[:3] == [
        ("GET /api/v1/courses", 200, None),
        ("GET", 404, None),
        ("POST /api/v1/enrollments", 400, None),
    ]
    assert {each.trace for each in received.spans} == {CALLER[3:35]}
    lines = [orjson.loads(line) for line in _output(tmp_path).splitlines() if line[:1] == "{"]
    assert CALLER[3:35] in {line.get("trace_id") for line in lines if line["event"] == "request"}
    assert email.encode() not in b"".join(received.bodies)


async def test_a_receiver_that_never_answers_costs_spans_only(environment, tmp_path):
    with closing(socket.create_server(("127.0.0.1", 0))) as black_hole:
        address = f"http://127.0.0.1:{black_hole.getsockname()[1]}"
        async with (
            instance(tmp_path, environment, **{ENDPOINT: address}) as url,
            httpx.AsyncClient(base_url=url) as client,
        ):
            for _ in range(20):
                response = await client.get(LIST, headers={"X-Not-Plain": "1"})
                assert response.is_success

            async def are_counted() -> bool:
                lines = (await scrape(client)).splitlines()
                [line] = [each for each in lines if each.startswith("trace_spans_dropped_t")]
                return float(line.split()[-1]) >= 20

            await eventually(are_counted)
    assert '"trace_receiver_away"' in _output(tmp_path)
