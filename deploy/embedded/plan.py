"""The processes of the service: what runs before, what stays running, what runs after."""

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field

from deploy.embedded import probe
from deploy.embedded.data_dir import DataDir
from deploy.embedded.ports import Ports
from deploy.embedded.process import ProcessSpec
from infra.identity import qualified
from infra.process import worker_groups
from infra.process.worker_groups import WorkerGroup
from infra.settings import Settings

HTTP_OK = 200
TASKS_CONNECTED = re.compile(rb'"tasks"\s*:\s*"connected"')
WILDCARD_HOSTS = frozenset({"0.0.0.0", "::", ""})  # noqa: S104  # compared with, not bound to


@dataclass(frozen=True)
class Plan:
    """The processes that use the servers, in the order of their start.

    `worker_metrics` are the addresses of the workers' metrics by the names of the processes.
    """

    before: tuple[ProcessSpec, ...] = ()
    services: tuple[ProcessSpec, ...] = ()
    after: tuple[ProcessSpec, ...] = ()
    worker_metrics: Mapping[str, str] = field(default_factory=dict)


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
        return cls(
            f"http://{host}:{settings.port}",
            f"http://{host}:{settings.flower_port}",
            metrics_address(settings, settings.metrics_at),
        )


def metrics_address(settings: Settings, port: int | None) -> str:
    """Return the address of the metrics on a port, or `none`."""
    host = _reachable_host(settings.metrics_host)
    return f"http://{host}:{port}/metrics" if port else "none"


def set_worker_ports(settings: Settings) -> dict[str, int]:
    """Return the metrics ports of workers from WORKER_METRICS_PORT on, by their names."""
    first, groups = settings.worker_metrics_port, worker_groups.parse(settings.worker_queues)
    return {each.name: first + number for number, each in enumerate(groups)} if first else {}


def _worker_ports(settings: Settings, ports: Ports) -> dict[str, int]:
    """Return the metrics ports of workers by their names: those that are set, or free ones."""
    if settings.worker_metrics_port is not None:
        return set_worker_ports(settings)
    groups = worker_groups.parse(settings.worker_queues)
    return {each.name: ports.assign(f"{each.name}-metrics") for each in groups}


def _reachable_host(host: str) -> str:
    host = "127.0.0.1" if host in WILDCARD_HOSTS else host
    return f"[{host}]" if ":" in host else host


def service_plan(settings: Settings, data_dir: DataDir) -> Plan:
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
    metrics_ports = _worker_ports(settings, data_dir.ports)
    # No load balancer has to notice its stop.
    undrained = migrated | {"DRAIN_SECONDS": "0"}
    return Plan(
        before=() if settings.skip_migration else (ProcessSpec("migrate", enroll("migrate")),),
        services=(
            ProcessSpec("api", enroll("api"), api_is_ready, undrained, grace_seconds=4.5),
            *(
                ProcessSpec(
                    group.name,
                    _worker(group),
                    worker_is_ready,
                    migrated | {"WORKER_METRICS_PORT": str(metrics_ports.get(group.name, 0))},
                    grace_seconds=4.5,
                )
                for group in worker_groups.parse(settings.worker_queues)
            ),
            ProcessSpec("flower", enroll("flower"), flower_is_ready, migrated, grace_seconds=2.0),
        ),
        after=(ProcessSpec("demo", enroll("demo"), grace_seconds=1.0),),
        worker_metrics={
            name: metrics_address(settings, port) for name, port in metrics_ports.items()
        },
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
    return (sys.executable, "-m", qualified("cli"), *command)
