"""Workers serve metrics: of their tasks, of their servers, and of all their processes."""

import asyncio
import os
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import httpx
import psutil
import pytest

from infra.metrics_server import NICENESS
from tests import photos
from tests.factories import eventually, free_ports
from tests.forkserver import start
from tests.metrics_of import addresses, api_address, key, series
from tests.security.servers import own_api

TASK = "images.process"
CPU = "process_cpu_seconds_total"


@pytest.fixture(scope="module")
def images(service) -> str:
    """The address of the worker of images."""
    return addresses(service)["worker-images"]


async def at_rest(service, address: str) -> dict:
    """Wait until no task of other tests is left, and counted; return the series."""

    async def unfinished() -> float:
        shown = await series(addresses(service)["api"])
        return sum(
            value
            for (name, labels), value in shown.items()
            if name == "tasks_open" and ("state", "failed") not in labels
        )

    async def is_at_rest() -> dict | None:
        before = await series(address)
        await asyncio.sleep(1)
        after = await series(address)
        attempts = {each for each in after if each[0] == "task_attempts_total"}
        has_changed = any(after[each] != before.get(each) for each in attempts)
        return None if has_changed or await unfinished() else after

    return await eventually(is_at_rest)


async def grown(address: str, before: dict, expected: dict) -> None:
    """Wait until the series have grown by so much, and no more."""

    found: dict = {}

    async def has_grown() -> bool:
        after = await series(address)
        found.update((each, after.get(each, 0) - before.get(each, 0)) for each in expected)
        return all(found[each] >= expected[each] for each in expected)

    try:
        await eventually(has_grown)
    finally:
        assert found == expected


async def test_a_task_is_counted_with_its_wait_and_its_attempts(api, images, service):
    before = await at_rest(service, images)
    course = (await api.upload(photos.jpeg(64, 48))).json()
    await api.settled(course["id"])
    await grown(
        images,
        before,
        {
            key("task_attempts_total", task=TASK, outcome="succeeded"): 1,
            key("task_attempts_total", task=TASK, outcome="failed"): 0,
            key("task_duration_seconds_count", task=TASK): 1,
            key("task_wait_seconds_count", task=TASK): 1,
            key("task_wait_seconds_bucket", task=TASK, le="5.0"): 1,
            key("task_attempts_taken_bucket", task=TASK, le="1.0"): 1,
            key("storage_request_duration_seconds_count", operation="put", outcome="ok"): 1,
        },
    )
    after = await series(images)
    select = key("database_query_duration_seconds_count", operation="update")
    assert after[select] > before.get(select, 0)


async def test_a_task_that_fails_for_good_is_counted(api, images, service):
    before = await at_rest(service, images)
    course = (await api.upload(photos.truncated_jpeg())).json()
    await api.settled(course["id"])
    await grown(
        images,
        before,
        {
            key("task_attempts_total", task=TASK, outcome="succeeded"): 0,
            key("task_attempts_total", task=TASK, outcome="retried"): 0,
            key("task_attempts_total", task=TASK, outcome="failed"): 1,
            key("task_attempts_taken_sum", task=TASK): 1,
        },
    )


async def test_counters_are_there_before_the_first_count(service):
    shown = await series(addresses(service)["worker"])
    for outcome in ("succeeded", "retried", "failed", "cancelled", "lost"):
        assert key("task_attempts_total", task=TASK, outcome=outcome) in shown
    assert not [each for each in shown if each[0].startswith("http_")]


async def test_the_relays_publications_are_counted(api, service):
    workers = [each for name, each in addresses(service).items() if name.startswith("worker")]

    async def published() -> float:
        ok = key("broker_publish_duration_seconds_count", outcome="ok")
        return sum([(await series(each)).get(ok, 0) for each in workers])

    before = await published()
    await api.settled((await api.upload(photos.jpeg(64, 48))).json()["id"])

    async def is_counted() -> bool:
        return await published() > before

    await eventually(is_counted)


async def test_process_metrics_have_a_role_for_each_process(service):
    for name, address in addresses(service).items():
        shown = await series(address)
        for family in (CPU, "process_resident_memory_bytes", "process_start_time_seconds"):
            roles = {dict(labels)["role"] for found, labels in shown if found == family}
            others = "server" if name == "api" else "task"
            assert roles == {"parent", others, "metrics"}


@asynccontextmanager
async def own_worker(folder: Path, environment: dict[str, str]):
    """Run a worker of a queue that nobody uses; yield its process and the address."""
    [port] = free_ports(1)
    address = f"http://127.0.0.1:{port}/metrics"
    command = ("worker", "--queues=nobodys", "--concurrency=1")
    own = {"WORKER_METRICS_PORT": str(port), "DATA_DIR": str(folder)}
    process = start("-m", "cli", *command, env=os.environ | environment | own)
    try:
        await eventually(lambda: served(address))
        yield psutil.Process(process.pid), address
    finally:
        process.terminate()
        await asyncio.to_thread(process.wait, 20)


def servers_of(parent: psutil.Process) -> set[psutil.Process]:
    """Return the children that serve clients: the one for metrics has a lower priority."""
    found = set()
    for child in parent.children():
        with suppress(psutil.NoSuchProcess):
            if child.nice() < NICENESS:
                found.add(child)
    return found


async def served(address: str) -> dict | None:
    """Return the series, or None while the address does not answer."""
    try:
        return await series(address)
    except httpx.TransportError:
        return None


async def test_the_process_that_serves_is_restarted_and_ends_with_the_worker(service, tmp_path):
    async with own_worker(tmp_path, service.env) as (worker, address):
        [serving] = [each for each in worker.children() if each.nice() >= NICENESS]
        serving.kill()
        await asyncio.to_thread(psutil.wait_procs, [serving], 10)

        async def is_back() -> bool:
            shown = await served(address)
            # The worker goes on sending to the new process.
            return bool(shown) and key(CPU, role="parent") in shown

        await eventually(is_back)
        [again] = [each for each in worker.children() if each.nice() >= NICENESS]
        assert again != serving
        worker.kill()
        gone, _ = await asyncio.to_thread(psutil.wait_procs, [again], 10)
        assert gone
        assert await served(address) is None


async def test_counters_do_not_fall_when_a_process_is_replaced(service, tmp_path):
    async with own_api(service, tmp_path, API_WORKERS="2") as api:
        address = api_address(api.address)
        async with httpx.AsyncClient(base_url=api.address) as client:
            for _ in range(20):
                await client.get("/api/v1/courses?limit=3")
        requests = key(
            "http_request_duration_seconds_count",
            method="GET", route="/api/v1/courses", status="200",
        )  # fmt: skip

        async def are_counted() -> dict | None:
            shown = await series(address)
            return shown if shown.get(requests) == 20 else None

        before = await eventually(are_counted)
        server = servers_of(api.process).pop()
        server.kill()

        async def is_replaced() -> bool:
            return server not in (now := servers_of(api.process)) and len(now) == 2

        await eventually(is_replaced)
        after = await series(address)
        assert after[requests] >= before[requests]
        assert after[key(CPU, role="server")] >= before[key(CPU, role="server")]
