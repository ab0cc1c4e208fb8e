"""One upload is one trace across the processes; a retry has a trace that links to it."""

import os
import signal
from textwrap import dedent

import httpx
import orjson
import psutil
import pytest
from uuid_utils.compat import uuid7

from tasks.registry import load_tasks
from tests.factories import bearer, eventually, token
from tests.instances import instance
from tests.otlp import receiver
from tests.photos import jpeg

UPLOAD = "POST /api/v1/courses/upload"
ENQUEUE = "enqueue images.process"
PUBLISH = "publish images.process"
PROCESS = "process images.process"
# Another task may have its key already.
SHARED = "enqueue cache.warm"
# The process asks only until its feed has caught up.
REVOKED = "SELECT sessions"
# A worker asks when it evaluates a flag, if it has not just done so.
FLAGS = {"SELECT feature_flag_state", "INSERT feature_flag_uses"}
BROWSER = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7")
SECRET = "ada@example.org"
FAIL_ONCE = f"""
    CREATE FUNCTION fail_once() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF EXISTS (SELECT FROM tasks WHERE name = 'images.process' AND attempts = 1) THEN
            RAISE EXCEPTION 'a value of {SECRET}';
        END IF;
        RETURN NEW;
    END $$;
    CREATE TRIGGER fail_once BEFORE INSERT ON image_variants
        FOR EACH ROW EXECUTE FUNCTION fail_once();
"""

REQUEST = """\
    POST /api/v1/courses/upload [api]
      BEGIN [api]
      INSERT courses [api]
      INSERT uploads [api]
      enqueue images.process [api]
        INSERT tasks [api]
        publish images.process [relay]
"""
REST_OF_REQUEST = """\
      UPDATE courses [api]
      SELECT courses [api]
      INSERT audit_log [api]
      enqueue cache.warm [api]
      SELECT catalogue_changes_now [api]
      COMMIT [api]
"""
DECODED = """\
    claim [worker]
    SELECT uploads [worker]
    decode [worker]
    UPDATE tasks [worker]
"""
STORED = f"""\
{DECODED}\
    S3.PutObject [worker]
    UPDATE tasks [worker]
    S3.PutObject [worker]
    UPDATE tasks [worker]
    S3.PutObject [worker]
"""
FINISH_BEGINS = """\
      BEGIN [worker]
      UPDATE tasks [worker]
      SAVEPOINT [worker]
      SELECT courses [worker]
      DELETE uploads [worker]
      SELECT image_variants [worker]
      DELETE image_variants [worker]
"""
ATTEMPT = f"""\
  process images.process [worker]
{STORED}\
    finish [worker]
{FINISH_BEGINS}\
      INSERT image_variants [worker]
      UPDATE courses [worker]
      enqueue cache.warm [worker]
      SELECT catalogue_changes_now [worker]
      RELEASE [worker]
      COMMIT [worker]
"""
FAILED_ATTEMPT = f"""\
  process images.process [worker] !The task failed for an unforeseen reason; its traceback is kept
{STORED}\
    finish [worker] !RaiseError
{FINISH_BEGINS}\
      INSERT image_variants [worker] !RaiseError
      ROLLBACK [worker]
      ROLLBACK [worker]
    UPDATE tasks [worker]
"""


def _below(text: str, columns: int) -> str:
    """Return the lines moved to the right."""
    return "".join(f"{' ' * columns}{line}\n" for line in dedent(text).splitlines())


def _trace(attempt: str) -> str:
    """Return the trace of an upload with its first attempt."""
    return dedent(REQUEST) + _below(attempt, 4) + _below(REST_OF_REQUEST, 2)


@pytest.fixture
async def traced(site, tmp_path):
    """A receiver, and an API that sends it its spans, as the workers of the site do."""
    # Nothing but the uploads enqueues tasks.
    served = "INSERT INTO task_schedules (name, last_slot) VALUES ($1, now() + interval '1 year')"
    await site.database.executemany(served, [(kind,) for kind in load_tasks()])
    with receiver() as received:
        site.environment["OTEL_EXPORTER_OTLP_ENDPOINT"] = received.url
        async with (
            instance(tmp_path, site.environment, RATE_LIMIT_EXEMPT="127.0.0.1") as url,
            httpx.AsyncClient(base_url=url, timeout=30) as client,
        ):
            yield received, client


def _tree(received, trace: str) -> str:
    # On a slow machine a message is taken for lost and published again.
    return received.tree(trace, leaves={SHARED}, hidden={REVOKED, *FLAGS}, repeated={PUBLISH})


async def _upload(client, **headers: str) -> None:
    response = await client.post(
        "/api/v1/courses/upload",
        headers=bearer(token(role="admin")) | headers,
        data={"title": "T", "description": SECRET, "difficulty": "Beginner"},
        files={"image": ("p.jpg", jpeg(), "image/jpeg")},
    )
    assert response.status_code == 201, response.text


async def _start_worker(site):
    worker, log = site.start_worker(), site.log_of(len(site.workers) - 1)

    async def is_ready() -> bool:
        return b" ready." in log.read_bytes()

    await eventually(is_ready, within=40)
    return worker


async def _arrived(received, **counts: int):
    """Wait for so many spans of each name, and for all others that ended before them."""

    async def have() -> bool:
        return all(len(received.named(name)) >= count for name, count in counts.items())

    await eventually(have, within=40)


async def test_an_upload_is_one_trace_that_continues_the_browsers(site, traced):
    received, client = traced
    await _start_worker(site)
    request_id = str(uuid7())
    traceparent = f"00-{'-'.join(BROWSER)}-01"
    await _upload(client, traceparent=traceparent, **{"X-Request-ID": request_id})
    await _arrived(received, **{UPLOAD: 1, PUBLISH: 1, PROCESS: 1, "process cache.warm": 1})
    assert _tree(received, BROWSER[0]) == _trace(ATTEMPT)
    [request], [attempt] = received.named(UPLOAD), received.named(PROCESS)
    assert request.parent == BROWSER[1]
    assert request.attributes == {
        "http.request.method": "POST",
        "http.route": "/api/v1/courses/upload",
        "http.response.status_code": 201,
        "url.scheme": "http",
        "app.request_id": request_id,
    }
    assert attempt.attributes["app.request_id"] == request_id
    # Several requests share these tasks.
    enqueued = {each.id for each in received.named(SHARED)}
    for warming in received.named("process cache.warm"):
        assert (warming.parent, len(warming.links)) == ("", 1)
        assert set(warming.links) <= enqueued
    lines = [orjson.loads(x) for x in site.log_of(0).read_bytes().splitlines() if x[:1] == b"{"]
    [line] = [line for line in lines if line["event"] == "image_processed"]
    assert (line["request_id"], line["trace_id"]) == (request_id, BROWSER[0])
    assert SECRET.encode() not in b"".join(received.bodies)


async def test_a_retry_has_a_trace_of_its_own_that_links_to_the_first(site, traced):
    received, client = traced
    await site.database.execute(FAIL_ONCE)
    await _start_worker(site)
    await _upload(client)
    await _arrived(received, **{UPLOAD: 1, PUBLISH: 2, PROCESS: 2})

    async def linked():
        return [span.links for span in received.named(PUBLISH) if span.links]

    published = await eventually(linked)
    [request], [enqueued] = received.named(UPLOAD), received.named(ENQUEUE)
    assert _tree(received, request.trace) == _trace(FAILED_ATTEMPT)
    _, second = received.named(PROCESS)
    assert _tree(received, second.trace) == dedent(ATTEMPT)
    assert second.attributes["app.attempt"] == 2
    assert second.links == published[0] == [enqueued.id]
    assert SECRET.encode() not in b"".join(received.bodies)


@pytest.mark.parametrize("victim", ["worker", "children"])
async def test_after_kill_9_the_next_attempt_links_to_the_upload(site, traced, victim):
    received, client = traced
    worker = await _start_worker(site)
    storage = site.server_process("storage")
    storage.suspend()
    try:
        await _upload(client)
        await _arrived(received, **{UPLOAD: 1, PUBLISH: 1, "decode": 1})
        [decode] = received.named("decode")

        async def waits_for_the_bucket() -> bool:
            return any(span.parent == decode.parent for span in received.named("UPDATE tasks"))

        await eventually(waits_for_the_bucket)
        if victim == "worker":
            os.killpg(worker.pid, signal.SIGKILL)
        else:
            for child in psutil.Process(worker.pid).children():
                child.kill()
    finally:
        storage.resume()
    if victim == "worker":
        await _start_worker(site)
    await _arrived(received, **{PROCESS: 1})
    [request], [enqueued] = received.named(UPLOAD), received.named(ENQUEUE)
    # The span of the first attempt died with its process.
    orphans = dedent(DECODED)
    assert _tree(received, request.trace) == _trace("") + orphans
    [second] = received.named(PROCESS)
    assert _tree(received, second.trace) == dedent(ATTEMPT)
    assert (second.attributes["app.attempt"], second.links) == (2, [enqueued.id])
