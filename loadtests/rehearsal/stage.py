"""The installation: a pair of databases that archive, brokers, a bucket, nginx, Prometheus."""

import asyncio
import json
import os
import pwd
import secrets
import shutil
import signal
import socket
import ssl
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import asyncpg
import yaml

from deploy.embedded import probe
from deploy.embedded.data_dir import DataDir
from deploy.embedded.postgres import DATABASE
from deploy.embedded.process import Launcher, Process, ProcessSpec
from deploy.embedded.process_supervisor import tail
from deploy.embedded.servers import running
from deploy.failover.pair import Options, Pair, running_pair
from deploy.nginx import certificates
from deploy.nginx.parameters import PREFIX, Parameters
from deploy.nginx.render import render as render_nginx
from deploy.release.nginx import render as render_release
from deploy.release.plan import Plan
from infra.db.engine import direct_connection
from infra.settings import default_metrics_port
from loadtests.bench.backup.site import THROUGH_PYTHON, archiving, copied_programs, new_key
from loadtests.load.stack import ADMIN
from loadtests.rehearsal.versions import Environment, RehearsalError, Versions, run_program

Log = Callable[[str], Awaitable[str]]
STABLE, GOOD, BAD = "1.0.0", "1.1.0", "1.2.0"
READY_SECONDS = 60
ARCHIVE_TIMEOUT = "5"
# A step of a release takes ten minutes; here it is long enough to count some requests.
RELEASE = {
    "times": {
        "poll": 1,
        "step": 20,
        "step_deadline": 61,
        "start_deadline": 60,
        "hold": 15,
        "shift_deadline": 20,
        "rollback_deadline": 60,
        "drain_deadline": 60,
        "stale": 6,
    },
    "limits": {"errors": 0.04, "tail": 0.08},
}


@dataclass(frozen=True)
class Version:
    """A running version: its revision, and the address of its instance."""

    revision: str
    address: str

    @property
    def worker(self) -> str:
        """Celery's name of its worker."""
        return f"{self.revision}@{socket.gethostname()}"

    @property
    def metrics(self) -> str:
        """host:port of its metrics."""
        return f"127.0.0.1:{default_metrics_port(int(self.address.rpartition(':')[2]))}"


@dataclass
class Stage:
    """What runs, and how the parts are changed."""

    folder: Path
    launcher: Launcher
    versions: Versions
    pair: Pair
    environment: Environment
    # What an operator and `archive_command` have beside that.
    archive: Environment
    nginx: Parameters
    control: str
    prometheus: str
    running: dict[str, Version] = field(default_factory=dict)
    monitor: Process | None = None

    @property
    def trusted(self) -> ssl.SSLContext:
        """A context of clients that trusts nginx's certificate alone."""
        return ssl.create_default_context(cafile=self.nginx.certificate)

    async def migrate(self) -> None:
        """Create the schema and the first account."""
        await self.versions.run(("migrate",), self._settings(STABLE))

    async def start_version(self, revision: str, **faults: float) -> Version:
        """Start an instance and a worker of a version, with faults of its instance."""
        port = self.launcher.data_dir.ports.assign(f"api-{revision}")
        address = f"127.0.0.1:{port}"
        self._faults(revision).write_text(json.dumps(faults), "utf-8")
        settings = {**self._settings(revision), "PORT": str(port)}
        await self.versions.start(f"api-{revision}", ("api",), settings)
        settings["WORKER_METRICS_PORT"] = str(self.launcher.data_dir.ports.assign(f"w-{revision}"))
        await self.versions.start(f"worker-{revision}", ("worker", "--name", revision), settings)
        await _until(
            lambda: _is_ok(f"http://{address}/health/ready"), f"api-{revision}", self.versions.log
        )
        self.running[revision] = version = Version(revision, address)
        self._write_targets()
        return version

    async def stop_version(self, revision: str) -> None:
        """Stop the instance and the worker of a version."""
        del self.running[revision]
        self._write_targets()
        for part in ("api", "worker"):
            await self.versions.stop(f"{part}-{revision}")

    async def start_front(self, version: Version) -> None:
        """Start Prometheus, and nginx with all traffic at one version."""
        plan = Plan.model_validate_json(self._plan_text(version, Version("none", "127.0.0.1:9")))
        assert plan.nginx is not None  # noqa: S101  it was written so
        plan.nginx.include.write_text(render_release(plan, plan.nginx, 0), "utf-8")
        command = (_program("nginx", "nginx-light"), "-c", str(self.nginx.config), "-e", "stderr")
        status = f"http://{self.nginx.status_listen}/status"
        spec = ProcessSpec("nginx", (*command, "-g", "daemon off;"))
        await self.launcher.start(spec)
        self.monitor = await self.launcher.start(
            ProcessSpec(
                "prometheus",
                (
                    _program("prometheus", "prometheus"),
                    f"--config.file={self.folder / 'prometheus.yml'}",
                    f"--storage.tsdb.path={self.folder / 'tsdb'}",
                    f"--web.listen-address={self.prometheus}",
                    "--log.level=warn",
                ),
            )
        )
        await _until(lambda: _is_ok(status), "nginx", self._log)
        await _until(lambda: _is_ok(f"http://{self.prometheus}/-/ready"), "prometheus", self._log)

    async def release(self, old: Version, new: Version) -> int:
        """Release a version by `enroll release`; return its exit code."""
        plan = self.folder / f"{new.revision}.yaml"
        plan.write_text(self._plan_text(old, new), "utf-8")
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "cli", "release", "run", str(plan)),
            *("--skip", "error budgets"),
            env={**os.environ, **self.environment, **self.archive},
            stdout=(self.folder / f"release-{new.revision}.log").open("wb"),
            stderr=asyncio.subprocess.STDOUT,
        )
        return await process.wait()

    def said(self, version: Version) -> str:
        """Return what the release of a version printed."""
        return (self.folder / f"release-{version.revision}.log").read_text("utf-8")

    async def enroll(self, *arguments: object) -> str:
        """Run a command of `enroll` from this checkout; it has the extra `backup`."""
        own = {"BACKUP_DATABASE_URL": self.pair.primary.url()}
        environment = {**os.environ, **self.environment, **self.archive, **own}
        return await run_program(sys.executable, "-m", "cli", *arguments, environment=environment)

    @asynccontextmanager
    async def restored(self, data: Path) -> AsyncIterator[str]:
        """Run a server on a restored data folder, which archives nothing; yield its URL."""
        server = self.pair.primary
        cluster = replace(server.cluster, folder=data)
        port = self.launcher.data_dir.ports.assign("restored")
        url = f"postgresql://{server.account}@127.0.0.1:{port}/{DATABASE}?sslmode=disable"

        async def answers() -> bool:
            try:
                async with direct_connection(url):
                    return True
            except (OSError, asyncpg.PostgresError):
                return False

        spec = cluster.server_spec("restored", port, answers, fsync=False)
        off = ("-c", "archive_mode=off", "-c", "synchronous_standby_names=")
        process = await self.launcher.start(replace(spec, command=(*spec.command, *off)))
        try:
            await _until(answers, "restored", self._log)
            yield url
        finally:
            await process.stop()

    async def _log(self, name: str) -> str:
        return tail(self.launcher.data_dir.log(name))

    def _settings(self, revision: str) -> Environment:
        own = {"RELEASE_VERSION": revision, "RELEASE_FAULTS": str(self._faults(revision))}
        return {**self.environment, **own}

    def _faults(self, revision: str) -> Path:
        return self.folder / "faults" / f"{revision}.json"

    def _plan_text(self, old: Version, new: Version) -> str:
        nginx = [_program("nginx", "nginx-light"), "-c", str(self.nginx.config), "-e", "stderr"]
        content: dict[str, Any] = {
            track: {
                "revision": each.revision,
                "instances": [each.address],
                "workers": [each.worker],
            }
            for track, each in (("stable", old), ("canary", new))
        }
        content |= {
            "folder": str(self.folder / f"release-{new.revision}"),
            "nginx": {
                "include": str(self.nginx.config.with_name("upstream.conf")),
                "control": self.control,
                "test": [*nginx, "-t"],
                "reload": [*nginx, "-s", "reload"],
            },
            "prometheus": {"url": f"http://{self.prometheus}"},
            "checks": {"slo": False},
        }
        return json.dumps(content | RELEASE)

    def _write_targets(self) -> None:
        targets = [
            {"targets": [each.metrics], "labels": {"revision": each.revision}}
            for each in self.running.values()
        ]
        content = {
            "global": {"scrape_interval": "500ms", "scrape_timeout": "500ms"},
            "scrape_configs": [{"job_name": "api", "static_configs": targets}],
        }
        (self.folder / "prometheus.yml").write_text(yaml.safe_dump(content), "utf-8")
        if self.monitor:
            self.monitor.signal(signal.SIGHUP)


async def _until(is_ready: Callable[[], Awaitable[bool]], name: str, log: Log) -> None:
    try:
        async with asyncio.timeout(READY_SECONDS):
            await probe.wait_until(is_ready)
    except TimeoutError:
        said = await log(name)
        raise RehearsalError(f"{name} is not ready after {READY_SECONDS} s:\n{said}") from None


@asynccontextmanager
async def running_stage(
    folder: Path, launcher: Launcher, versions: Versions
) -> AsyncIterator[Stage]:
    """Run databases, brokers and the bucket during the block; the rest is started by the script."""
    (folder / "faults").mkdir()
    ports = launcher.data_dir.ports
    async with running(folder / "servers", {"cache", "broker", "storage"}) as servers:
        archive = {
            "DATA_DIR": str(folder / "enroll"),
            "BACKUP_KEY_FILE": str(new_key(folder / "backup.key")),
            "PYTHONPATH": str(Path(__file__).parents[2]),
            **copied_programs(folder),
        }
        # The standby archives, too: what the primary had no time to archive is not lost with it.
        lines = archiving(ARCHIVE_TIMEOUT) | {"archive_mode": "always"}
        settings = "".join(
            "{} = '{}'\n".format(key, value.replace("'", "''")) for key, value in lines.items()
        )
        options = Options(settings, {**servers.environment, **archive}, THROUGH_PYTHON)
        async with running_pair(launcher, synchronous=True, options=options) as pair:
            environment = {
                **servers.environment,
                "DATABASE_URL": pair.url,
                "ENVIRONMENT": "development",  # no server of this stage has TLS
                "ADMIN_USERNAME": ADMIN["username"],
                "ADMIN_PASSWORD": ADMIN["password"],
                "JWT_SECRET": secrets.token_urlsafe(32),
                "HOST": "127.0.0.1",
                "API_WORKERS": "1",
                "WORKER_QUEUES": "*:1",
                "TRUSTED_PROXIES": "127.0.0.1",
                "RATE_LIMIT_EXEMPT": "127.0.0.1",
                "SKIP_MIGRATION": "true",
                "DRAIN_SECONDS": "1",
            }
            control, monitor = ports.assign("control"), ports.assign("prometheus")
            yield Stage(
                *(folder, launcher, versions, pair, environment, archive),
                *(_nginx(folder, launcher.data_dir), f"127.0.0.1:{control}"),
                f"127.0.0.1:{monitor}",
            )


def _nginx(folder: Path, data_dir: DataDir) -> Parameters:
    """Write nginx's configuration and a certificate; return its parameters."""
    plain, port, status = (data_dir.ports.assign(f"nginx-{each}") for each in range(3))
    own = folder / "nginx"
    values = {
        "origin": f"https://localhost:{port}",
        "http_listen": f"127.0.0.1:{plain}",
        "https_listen": f"127.0.0.1:{port}",
        "status_listen": f"127.0.0.1:{status}",
        "certificate": f"{own}/tls.pem",
        **{each: f"{own}/{each}" for each in ("webroot", "folder", "state", "logs")},
        "pid": f"{own}/nginx.pid",
        "user": pwd.getpwuid(os.geteuid()).pw_name,
    }
    parameters = Parameters.of({f"{PREFIX}{key.upper()}": text for key, text in values.items()})
    for each in (parameters.state, parameters.logs):
        Path(each).mkdir(parents=True)
    render_nginx(parameters)
    certificates.bootstrap(parameters)
    return parameters


def _program(name: str, package: str) -> str:
    found = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin")
    if found is None:
        raise RehearsalError(f"there is no {name}: apt-get install {package}")
    return found


async def _is_ok(url: str) -> bool:
    return (await probe.http(url))[0] == 200  # noqa: PLR2004  HTTP's
