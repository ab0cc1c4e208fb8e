"""The processes of the service: what runs before, what stays running, what runs after."""

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
WILDCARD_HOSTS = frozenset({"0.0.0.0", "::", ""})  # noqa: S104  # compared with, not bound to


@dataclass(frozen=True)
class Plan:
    """The processes that use the servers, in the order of their start."""

    before: tuple[ProcessSpec, ...] = ()
    services: tuple[ProcessSpec, ...] = ()
    after: tuple[ProcessSpec, ...] = ()


@dataclass(frozen=True)
class Addresses:
    """The service's URLs for a browser on this machine."""

    api: str
    flower: str
    metrics: str

    @classmethod
    def of(cls, settings: Settings) -> "Addresses":
        """Return the addresses by the settings."""
        host = _reachable_host(settings.host)
        port = settings.metrics_at
        metrics = (
            f"http://{_reachable_host(settings.metrics_host)}:{port}/metrics" if port else "none"
        )
        return cls(
            f"http://{host}:{settings.port}", f"http://{host}:{settings.flower_port}", metrics
        )


def _reachable_host(host: str) -> str:
    host = "127.0.0.1" if host in WILDCARD_HOSTS else host
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
        return status > 0  # 401 is a response too

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
    """Return the command line of an `enroll` command."""
    return (sys.executable, "-m", "cli", *command)
