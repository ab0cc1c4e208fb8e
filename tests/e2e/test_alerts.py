"""A part is broken, and its alert is at a webhook: one page, in 30 s, and its end after healing."""

import asyncio
import math
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import httpx
import psutil
import pytest

from deploy.embedded.data_dir import DataDir
from deploy.embedded.disk import Disk
from deploy.embedded.servers import Servers, running
from deploy.observe.slo import spec
from infra.db.migrations import migrate
from infra.settings import default_metrics_port
from tests import forkserver, photos
from tests.alerting import DOCS, Monitoring, all_ready, started
from tests.disks import fill, small_disk
from tests.factories import Api, eventually, free_ports, new_email
from tests.instances import instance
from tests.prometheus import ROOT, RULES, program

pytestmark = [pytest.mark.debian, pytest.mark.timeout(400)]

WITHIN_SECONDS = 30
# Further pages of the same cause would come by then.
QUIET_SECONDS = 5
DISK_MEGABYTES = 700
TOOLS = ("prometheus", "prometheus-alertmanager", "promtool", "amtool", "prometheus-node-exporter")


@dataclass
class Site:
    """The servers, an API, a worker, the programs that watch them, and traffic."""

    servers: Servers
    environment: dict[str, str]
    api: Api
    monitoring: Monitoring
    disk: Path
    folder: Path
    worker: "subprocess.Popen[bytes] | None" = None

    def start_worker(self) -> None:
        """Start a worker in a process group of its own."""
        with (self.folder / "worker.log").open("ab") as log:
            self.worker = forkserver.start(
                *("-m", "cli", "worker", "--concurrency", "1"),
                env=os.environ | self.environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def kill_worker(self) -> None:
        """Kill all its processes."""
        if self.worker:
            for child in psutil.Process(self.worker.pid).children(recursive=True):
                child.kill()
            os.killpg(self.worker.pid, signal.SIGKILL)
            self.worker.wait()
            self.worker = None


@asynccontextmanager
async def traffic(api: Api):
    """Send reads, enrolments and uploads, whatever becomes of them."""
    course = await api.new_course()
    image = photos.jpeg(64, 48)
    sent = set()

    async def call(method: str, path: str, **request) -> None:
        with suppress(httpx.HTTPError):
            await api.call(method, path, **request)

    async def show_image() -> None:
        with suppress(httpx.HTTPError):
            await api.client.get("/media/absent")

    async def send() -> None:
        number = 0
        while True:
            number += 1
            body = {"student_email": new_email(), "course_id": course["id"]}
            calls = [
                call("GET", f"/courses/{course['id']}"),
                call("POST", "/enrollments", json=body),
                call("GET", f"/students/{new_email()}/enrollments"),
            ]
            if number % 5 == 0:
                calls.append(show_image())
                form = {
                    "title": f"Load {number}",
                    "description": "x" * 30,
                    "difficulty": "Advanced",
                }
                calls.append(
                    call("POST", "/courses/upload", data=form, files={"image": ("a.jpg", image)})
                )
            sent.update(asyncio.create_task(each) for each in calls)
            for done in [each for each in sent if each.done()]:
                sent.discard(done)
            await asyncio.sleep(0.2)

    sending = asyncio.create_task(send())
    yield
    for each in (sending, *sent):
        each.cancel()
    await asyncio.gather(sending, *sent, return_exceptions=True)


@pytest.fixture(scope="module")
async def site(tmp_path_factory):
    """All of it, on a small disk."""
    for tool in TOOLS:
        program(tool)
    folder = tmp_path_factory.mktemp("alerts")
    folder.chmod(0o755)
    port, worker_port = free_ports(2)
    with ExitStack() as stack:
        disk = stack.enter_context(small_disk(folder / "disk", DISK_MEGABYTES))
        disk.chmod(0o755)
        async with running(disk / "servers", fsync=False) as servers:
            environment = servers.environment | {
                "RATE_LIMIT_EXEMPT": "127.0.0.1",
                "API_WORKERS": "1",
                "DATABASE_POOL_SIZE": "2",
                "DATABASE_POOL_WAIT_SECONDS": "1",
                "WORKER_METRICS_PORT": str(worker_port),
                # The API shows the images.
                "STORAGE_PUBLIC_URL": "http://127.0.0.1/media",
            }
            await migrate(environment["DATABASE_URL"])
            watcher = Disk(DataDir(disk / "servers"), lambda _: None)
            watcher.reserve()
            watching = asyncio.create_task(watcher.watch(environment["DATABASE_URL"]))
            async with (
                instance(folder, environment, SKIP_MIGRATION="false") as base,
                httpx.AsyncClient(base_url=base, timeout=10) as client,
            ):
                port = httpx.URL(base).port
                targets = {
                    "api": f"127.0.0.1:{default_metrics_port(port)}",
                    "worker": f"127.0.0.1:{worker_port}",
                }
                monitoring = stack.enter_context(started(folder, targets, disk))
                api = await Api.log_in(client)
                made = Site(servers, environment, api, monitoring, disk, folder)
                made.start_worker()
                try:
                    await all_ready(monitoring)
                    # Tasks that wait for the start of the worker would be late.
                    await eventually(lambda: _worker_is_up(monitoring))
                    async with traffic(api):
                        await eventually(lambda: _is_well(monitoring))
                        yield made
                finally:
                    made.kill_worker()
                    watching.cancel()


async def _worker_is_up(monitoring: Monitoring) -> bool:
    return bool(await monitoring.value('up{job="worker"}')) and not await monitoring.firing()


async def _is_well(monitoring: Monitoring) -> bool:
    started_tasks = await monitoring.value("sum(task_wait_seconds_count)")
    return bool(started_tasks) and not await monitoring.firing()


@asynccontextmanager
async def _worker_killed(site):
    site.kill_worker()
    try:
        yield
    finally:
        site.start_worker()


@asynccontextmanager
async def _stopped(site, name):
    await site.servers.stop(name)
    try:
        yield
    finally:
        await site.servers.start(name)


@asynccontextmanager
async def _connections_held(site):
    """Hold a lock: each request for enrolments keeps its connection, and has nothing to do."""
    holder = await asyncpg.connect(site.environment["DATABASE_URL"])
    await holder.execute("BEGIN; LOCK TABLE enrollments IN ACCESS EXCLUSIVE MODE")
    try:
        yield
    finally:
        await holder.close()


@asynccontextmanager
async def _disk_filled(site):
    filler = fill(site.disk)
    # The supervisor's reserve becomes free; what remains is less than the alert's bound.
    try:
        yield
    finally:
        filler.unlink()


FAULTS = {
    "WorkersAway": _worker_killed,
    "BrokerUnreachable": lambda site: _stopped(site, "broker"),
    "BucketErrors": lambda site: _stopped(site, "storage"),
    "PoolExhausted": _connections_held,
    "DatabaseUnreachable": lambda site: _stopped(site, "postgres"),
    "DiskFull": _disk_filled,
}


async def test_each_objective_is_measured(site):
    """The selectors of its queries find series of the service, also those of errors."""
    unmeasured = {slo.name for slo in spec.load().slos}

    async def are_measured() -> bool:
        for name in sorted(unmeasured):
            ratio = f'slo:sli_error:ratio_rate5m{{sloth_slo="{name}"}}'
            value = await site.monitoring.value(ratio)
            if value is not None and not math.isnan(value):
                unmeasured.discard(name)
        return not unmeasured

    with suppress(AssertionError):
        await eventually(are_measured, within=WITHIN_SECONDS)
    assert not unmeasured
    for slo in spec.load().slos:
        queries = slo.sli.events.error_query if slo.sli.events else ""
        for selector in re.findall(r"\w+_bucket\{[^}]*\}", queries):
            assert await site.monitoring.value(f"count({selector})"), selector


async def test_each_series_of_the_rules_is_of_the_service_or_an_exporter(site):
    text = "".join(path.read_text("utf-8") for path in RULES.glob("*.yml"))
    names = set(re.findall(r"\b([a-z]+_[a-z_]+)(?:\{|\[)", text))
    assert len(names) > 15
    async with httpx.AsyncClient(base_url=site.monitoring.prometheus) as client:
        known = set((await client.get("/api/v1/metadata")).json()["data"])
    others = ("node_", "pg_", "probe_", "redis_", "prometheus_", "alertmanager_", "sli_")
    unknown = {
        name
        for name in names
        if not name.startswith(others)
        and not known & {name, re.sub("_(total|count|bucket)$", "", name)}
    }
    assert not unknown


@pytest.mark.parametrize("alert", FAULTS)
async def test_a_fault_is_one_page_and_one_resolution(site, alert):
    received = site.monitoring.webhook
    # The fault before this one is over.
    await eventually(lambda: _is_well(site.monitoring), within=WITHIN_SECONDS)
    broken = time.monotonic()

    async def is_told(status: str, since: float) -> bool:
        return alert in received.pages(since, status)

    async with FAULTS[alert](site):
        await eventually(lambda: is_told("firing", broken), within=WITHIN_SECONDS)
        page = received.pages(broken, "firing")[alert]
        assert page["annotations"]["runbook_url"] == f"{DOCS}docs/runbooks.md#{alert.lower()}"
        assert page["annotations"]["summary"].endswith(".")
        await asyncio.sleep(QUIET_SECONDS)
    healed = time.monotonic()
    await eventually(lambda: is_told("resolved", healed), within=2 * WITHIN_SECONDS)
    others = {
        name: (page["startsAt"], page["labels"])
        for name, page in received.pages(broken, "firing").items()
        if name != alert
    }
    assert not others, (broken, healed, page)


async def test_the_dead_mans_switch_hears_of_it_again_and_again(site):
    count = len(site.monitoring.webhook.heartbeats)

    async def beats() -> bool:
        return len(site.monitoring.webhook.heartbeats) > count + 1

    await eventually(beats, within=WITHIN_SECONDS)


async def test_the_gate_reads_the_budgets_that_the_faults_have_spent(site):
    address = site.monitoring.prometheus
    done = await forkserver.enroll("slo", "gate", "--prometheus", address, env=os.environ)
    assert done.code == 1, done.output + done.errors
    (row,) = (line for line in done.output.splitlines() if " availability " in line)
    assert " SPENT " in row
    assert "UNKNOWN" not in done.output


def blocks() -> list[str]:
    """Return the commands of the runbooks, a block each."""
    text = (ROOT / "docs" / "runbooks.md").read_text("utf-8")
    return re.findall(r"^```sh\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


async def test_the_commands_of_the_runbooks_run(site):
    first, *others = blocks()
    assert len(others) > 20
    environment = (
        os.environ
        | site.environment
        | {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "API": str(site.api.client.base_url).rstrip("/"),
            "PROMETHEUS": site.monitoring.prometheus,
            "ALERTMANAGER_URL": site.monitoring.alertmanager,
            "DATA_DIR": str(site.folder),
        }
    )
    failed = []
    for block in others:
        script = f"set -euo pipefail\n{first}\n{block}"
        run = await asyncio.to_thread(
            subprocess.run,
            ["bash", "-c", script],
            cwd=ROOT, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if run.returncode:
            failed.append(f"{block}\n{run.stdout[-300:]}{run.stderr[-600:]}")
    assert not failed, "\n\n".join(failed)
