"""A stage for releases: two versions behind nginx, Prometheus that watches both, and a load."""

import asyncio
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil
import yaml

from deploy.release.nginx import render
from deploy.release.plan import Plan
from deploy.release.state import Phase
from deploy.release.store import read
from infra.settings import default_metrics_port
from loadtests.steady import sending
from tests.absent import is_absent
from tests.factories import WAIT_SECONDS, Api, eventually, free_ports
from tests.prometheus import program
from tests.security.servers import own_api
from tests.steady_load import FAILURES, Connection

ROOT = Path(__file__).parents[1]
STABLE, CANARY = "1.0.0", "1.1.0"
RATE = 200
# A client notices it; the service answers in some milliseconds.
SLOW_SECONDS = 0.1
SETTINGS = {"RATE_LIMIT_EXEMPT": "127.0.0.1", "DRAIN_SECONDS": "1", "LOG_LEVEL": "ERROR"}
NGINX = """
worker_processes 2;
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log crit;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
  uwsgi_temp_path {folder}; scgi_temp_path {folder};
  include {folder}/upstream.conf;
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://$upstream;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_connect_timeout 1s;
      proxy_next_upstream error timeout;
    }}
  }}
}}
"""
# Debian's package must not start its own.
NGINX_ENVIRONMENT = {"PATH": f"/usr/sbin:{os.environ['PATH']}"}


def scrape_config(targets, *, interval="500ms", dropped="nothing"):
    """Return Prometheus's configuration for the targets by revision."""
    return yaml.safe_dump(
        {
            "global": {"scrape_interval": interval, "scrape_timeout": interval},
            "scrape_configs": [
                {
                    "job_name": "api",
                    "static_configs": [
                        {"targets": [address], "labels": {"revision": revision}}
                        for revision, address in targets.items()
                    ],
                    "metric_relabel_configs": [
                        {"source_labels": ["__name__"], "regex": dropped, "action": "drop"}
                    ],
                }
            ],
        }
    )


@dataclass
class Load:
    """Reads; what harms a client is a failure, an error, or a long wait."""

    address: str
    paths: tuple[str, ...]
    sent: int = 0
    errors: int = 0
    slow: int = 0
    is_silent: bool = False
    seen: list[str] = field(default_factory=list)

    def forget(self):
        """Begin to count anew."""
        self.sent = self.errors = self.slow = 0
        self.seen.clear()

    def requests(self):
        """Yield the requests, for `sending`."""
        return map(self._send, itertools.cycle(self.paths))

    async def _send(self, path):
        if self.is_silent:
            return
        began = time.monotonic()
        self.sent += 1
        try:
            # A new one each, as a reload closes kept ones.
            connection = await Connection.open(self.address)
            try:
                answer = await connection.exchange("GET", path)
            finally:
                connection.close()
        except (*FAILURES, TimeoutError) as error:
            self.errors += 1
            self.seen.append(repr(error))
            return
        if answer.status >= 500:
            self.errors += 1
            self.seen.append(f"{answer.status}")
        elif time.monotonic() - began > SLOW_SECONDS:
            self.slow += 1


class Stage:
    """The parts, each of which a test can break."""

    def __init__(self, folder, addresses, environment):
        self.folder = folder
        self.environment = os.environ | environment | NGINX_ENVIRONMENT
        self.stable, self.canary = addresses
        self.front, self.control, self.metrics = free_ports(3)
        self.faults = folder / "faults.json"
        self.load = None
        self.nginx = self.prometheus = self.process = self.start_version = None
        self.nginx_config = folder / "nginx.conf"
        self.prometheus_config = folder / "prometheus.yml"
        self.targets = {
            revision: f"127.0.0.1:{default_metrics_port(int(address.rpartition(':')[2]))}"
            for revision, address in ((STABLE, self.stable), (CANARY, self.canary))
        }

    def plan(self, **changes):
        """Write a plan, and return its file."""
        nginx = ["nginx", "-c", str(self.nginx_config), "-e", str(self.folder / "error.log")]
        content = {
            "stable": {"revision": STABLE, "instances": [self.stable]},
            "canary": {"revision": CANARY, "instances": [self.canary]},
            "folder": str(self.folder / "release"),
            "nginx": {
                "include": str(self.folder / "upstream.conf"),
                "control": f"127.0.0.1:{self.control}",
                "test": [*nginx, "-t"],
                "reload": [*nginx, "-s", "reload"],
            },
            "prometheus": {"url": f"http://127.0.0.1:{self.metrics}", "timeout_seconds": 1},
            "checks": {"slo": False, "schema_linter": ["true"]},
        }
        path = self.folder / "plan.yaml"
        path.write_text(json.dumps(content | changes))
        return path

    def command(self, *arguments, group="release"):
        """Return a command of `enroll`."""
        return [sys.executable, "-m", "cli", group, *map(str, arguments)]

    def start(self, plan):
        """Start a controller."""
        command = self.command("run", plan, "--skip", "error budgets")
        with (self.folder / "controller.log").open("ab") as log:
            return subprocess.Popen(command, cwd=ROOT, env=self.environment, stdout=log, stderr=log)

    async def run(self, *arguments, group="release"):
        """Run a command of `enroll release`, while the load goes on."""
        return await asyncio.to_thread(
            subprocess.run, self.command(*arguments, group=group), cwd=ROOT, check=False,
            env=self.environment, capture_output=True, text=True,
        )  # fmt: skip

    @property
    def state(self):
        """The state that the controller keeps; None before there is one."""
        path = self.folder / "release" / "state.json"
        return read(path) if path.exists() else None

    async def until(self, process, reached, within=WAIT_SECONDS):
        """Wait until the state is as wanted, or the controller has ended."""

        async def is_there():
            state = self.state
            return process.poll() is not None or (state is not None and reached(state))

        await eventually(is_there, within=within)
        return self.state

    async def ended(self, process, within=120):
        """Wait until the controller has ended; return its last state."""
        deadline = time.monotonic() + within
        while process.poll() is None:
            assert time.monotonic() < deadline, self.log
            await asyncio.sleep(0.05)
        return self.state

    @property
    def log(self):
        """What the controllers have printed."""
        return (self.folder / "controller.log").read_text()

    async def start_canary(self, version=CANARY):
        """Start the new version at its address."""
        self.process = (await self.start_version(version)).process

    async def kill_canary(self):
        """Kill the new version with all its processes."""
        killed = [self.process, *self.process.children(recursive=True)]
        for each in killed:
            with suppress(psutil.NoSuchProcess):
                each.kill()
        await asyncio.to_thread(psutil.wait_procs, killed[1:], 10)

    def break_canary(self, **faults):
        """Let the canary have these faults, or none."""
        draft = self.faults.with_suffix(".new")
        draft.write_text(json.dumps(faults))
        draft.replace(self.faults)

    def scrape(self, **changes):
        """Let Prometheus scrape in another way."""
        targets = changes.pop("targets", self.targets)
        self.prometheus_config.write_text(scrape_config(targets, **changes))
        if self.prometheus:
            self.prometheus.send_signal(signal.SIGHUP)

    async def reset(self):
        """Make all whole: no faults, no traffic to the canary, no release."""
        self.break_canary()
        self.scrape()
        shutil.rmtree(self.folder / "release", ignore_errors=True)
        (self.folder / "controller.log").write_text("")
        self.write_nginx()
        plan = Plan.model_validate_json(self.plan().read_text())
        (self.folder / "upstream.conf").write_text(render(plan, plan.nginx, 0))
        if self.nginx:
            self.nginx.send_signal(signal.SIGHUP)
        if self.load:
            self.load.is_silent = False
            self.load.forget()

    def write_nginx(self, extra=""):
        """Write nginx's own configuration."""
        text = NGINX.format(folder=self.folder, port=self.front)
        self.nginx_config.write_text(text + extra)


def _start(folder, name, *command):
    with (folder / f"{name}.log").open("ab") as log:
        return subprocess.Popen(command, stdout=log, stderr=log)


@asynccontextmanager
async def stage(service, folder, database):
    """Run two versions, nginx, Prometheus and the load."""
    nginx = shutil.which("nginx", path=NGINX_ENVIRONMENT["PATH"])
    if nginx is None:
        is_absent("nginx", "nginx-light")
    prometheus = program("prometheus")
    folder.chmod(0o755)
    async with AsyncExitStack() as stack:
        ports = free_ports(2)
        made = Stage(folder, [f"127.0.0.1:{port}" for port in ports], service.env)
        healthy = folder / "healthy.json"
        healthy.write_text("{}")
        made.break_canary()

        async def start(port, version, faults):
            own = folder / f"api-{port}"
            own.mkdir(exist_ok=True)
            settings = SETTINGS | {
                "PORT": str(port), "DATABASE_URL": database, "SKIP_MIGRATION": "true",
                "RELEASE_VERSION": version, "RELEASE_FAULTS": str(faults),
            }  # fmt: skip
            api = own_api(service, own, module="loadtests.rehearsal.launcher", **settings)
            return await stack.enter_async_context(api)

        made.start_version = lambda version: start(ports[1], version, made.faults)
        await asyncio.gather(start(ports[0], STABLE, healthy), made.start_canary())
        await made.reset()
        made.nginx = _start(folder, "nginx", nginx, "-c", str(made.nginx_config), "-e",
                            str(folder / "error.log"))  # fmt: skip
        stack.callback(_stop, made.nginx)
        made.prometheus = _start(
            folder, "prometheus", prometheus, f"--config.file={made.prometheus_config}",
            f"--storage.tsdb.path={folder / 'tsdb'}",
            f"--web.listen-address=127.0.0.1:{made.metrics}", "--log.level=warn",
        )  # fmt: skip
        stack.callback(_stop, made.prometheus)
        address = f"http://127.0.0.1:{made.front}"
        async with httpx.AsyncClient(base_url=address, timeout=30) as client:
            await eventually(lambda: _answers(client, "/health/ready"))
            course = await (await Api.log_in(client)).new_course()
            await eventually(lambda: _answers(client, f"http://127.0.0.1:{made.metrics}/-/ready"))
        paths = (f"/api/v1/courses/{course['id']}", "/api/v1/courses?limit=5")
        made.load = Load(address, paths)
        await stack.enter_async_context(sending(made.load.requests(), RATE))
        yield made


async def versions(address):
    """Return the versions that new connections reach."""
    limits = httpx.Limits(max_keepalive_connections=0)
    async with httpx.AsyncClient(base_url=address, timeout=10, limits=limits) as client:
        answers = await asyncio.gather(*(client.get("/health") for _ in range(40)))
    return {answer.json()["version"] for answer in answers}


async def _answers(client, path):
    try:
        return (await client.get(path)).status_code == 200
    except httpx.TransportError:
        return False


def _stop(process):
    process.send_signal(signal.SIGCONT)
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def times_of(state):
    """Return the seconds from the first weight to the rollback, and those of the rollback."""
    entered = {}
    for entry in state.history:
        entered.setdefault(entry.phase, entry.at)
    back = entered.get(Phase.ROLLING_BACK)
    if back is None or Phase.SHIFTING not in entered:
        return None, None
    return back - entered[Phase.SHIFTING], state.history[-1].at - back
