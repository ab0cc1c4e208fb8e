"""The parts of the service itself, as data: what runs once, what runs on, what comes last."""

import re
import sys
from dataclasses import dataclass

from deploy.embedded import probe
from deploy.embedded.process import ProcessSpec
from infra.process import worker_groups
from infra.process.worker_groups import WorkerGroup
from infra.settings import Settings

HTTP_OK = 200
TASKS_CONNECTED = re.compile(rb'"tasks"\s*:\s*"connected"')
EVERYWHERE = frozenset({"0.0.0.0", "::", ""})  # noqa: S104  # compared with, not bound to


@dataclass(frozen=True)
class Plan:
    """What runs on the servers, in this order."""

    before: tuple[ProcessSpec, ...] = ()
    services: tuple[ProcessSpec, ...] = ()
    after: tuple[ProcessSpec, ...] = ()


@dataclass(frozen=True)
class Addresses:
    """Where a browser on this machine finds the service."""

    api: str
    flower: str
    metrics: str

    @classmethod
    def of(cls, settings: Settings) -> "Addresses":
        """Return the addresses that the settings make."""
        host = _from_here(settings.host)
        port = settings.metrics_at
        metrics = f"http://{_from_here(settings.metrics_host)}:{port}/metrics" if port else "none"
        return cls(
            f"http://{host}:{settings.port}", f"http://{host}:{settings.flower_port}", metrics
        )


def _from_here(host: str) -> str:
    host = "127.0.0.1" if host in EVERYWHERE else host
    return f"[{host}]" if ":" in host else host


def service_plan(settings: Settings) -> Plan:
    """Return the course enrollment service."""
    at = Addresses.of(settings)

    async def api_is_ready() -> bool:
        status, _ = await probe.http(f"{at.api}/health/ready")
        return status == HTTP_OK

    async def worker_is_ready() -> bool:
        _, body = await probe.http(f"{at.api}/health")
        return TASKS_CONNECTED.search(body) is not None

    async def flower_is_ready() -> bool:
        status, _ = await probe.http(f"{at.flower}/healthcheck")
        return status > 0  # a wanted password is an answer too

    migrated = {"SKIP_MIGRATION": "true"}
    return Plan(
        before=() if settings.skip_migration else (ProcessSpec("migrate", enroll("migrate")),),
        services=(
            ProcessSpec("api", enroll("api"), api_is_ready, migrated, grace_seconds=4.5),
            *(
                ProcessSpec(
                    group.name, _worker(group), worker_is_ready, migrated, grace_seconds=4.5
                )
                for group in worker_groups.parse(settings.worker_queues)
            ),
            ProcessSpec("flower", enroll("flower"), flower_is_ready, migrated, grace_seconds=2.0),
        ),
        after=(ProcessSpec("demo", enroll("demo"), grace_seconds=1.0),),
    )


def _worker(group: WorkerGroup) -> tuple[str, ...]:
    arguments = [f"--queues={','.join(group.queues)}"] if group.queues else []
    if group.others:
        arguments.append(f"--exclude-queues={','.join(group.others)}")
    if group.processes:
        arguments.append(f"--concurrency={group.processes}")
    return enroll("worker", *arguments)


def enroll(*command: str) -> tuple[str, ...]:
    """Return how a command of the service's command line is run."""
    return (sys.executable, "-m", "cli.main", *command)
