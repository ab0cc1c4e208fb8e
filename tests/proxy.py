"""Debian's nginx with the configuration of `deploy/nginx`, in front of instances of the API."""

import asyncio
import json
import os
import pwd
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from deploy.embedded import probe
from deploy.embedded.data_dir import DataDir
from deploy.embedded.process import Launcher, Process, ProcessSpec
from deploy.nginx import certificates
from deploy.nginx.parameters import PREFIX, Parameters
from deploy.nginx.render import render
from tests.absent import is_absent
from tests.factories import eventually, free_ports

# More than the interval in which nginx writes its log.
FLUSH_SECONDS = 1.2


@dataclass
class Proxy:
    """A running nginx; `address` is where clients reach it, `plain` the port of HTTP."""

    address: str
    plain: str
    status: str
    parameters: Parameters
    environment: dict[str, str]
    process: Process

    @property
    def log(self) -> Path:
        return Path(self.parameters.logs) / "access.json"

    async def lines(self) -> list[dict]:
        """Return the access log, including all requests answered so far."""
        await asyncio.sleep(FLUSH_SECONDS)
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def tls(self) -> ssl.SSLContext:
        """Return a context that trusts its present certificate alone."""
        return ssl.create_default_context(cafile=self.parameters.certificate)

    def signal(self, name: str) -> None:
        """Send a signal as `nginx -s` does."""
        command = [program(), "-c", str(self.parameters.config), "-s", name]
        subprocess.run(command, check=True, capture_output=True)


def program() -> str:
    """Return nginx; without it the test is skipped or fails."""
    found = shutil.which("nginx", path=f"/usr/sbin:{os.environ['PATH']}")
    if found is None:
        is_absent("nginx", "nginx-light")
    return found


def prepare(folder: Path, upstreams: Iterable[str], given: dict[str, str]) -> dict[str, str]:
    """Write the configuration and a certificate; return the variables of the parameters."""
    plain, port, status = free_ports(3)
    settings = {
        "origin": f"https://localhost:{port}",
        "upstreams": ",".join(each.removeprefix("http://") for each in upstreams),
        "http_listen": f"127.0.0.1:{plain}",
        "https_listen": f"127.0.0.1:{port}",
        "status_listen": f"127.0.0.1:{status}",
        "certificate": f"{folder}/tls.pem",
        "webroot": f"{folder}/www",
        "folder": f"{folder}/conf",
        "state": f"{folder}/state",
        "logs": f"{folder}/logs",
        "pid": f"{folder}/nginx.pid",
        "user": pwd.getpwuid(os.geteuid()).pw_name,
    } | given
    environment = {f"{PREFIX}{name.upper()}": value for name, value in settings.items()}
    parameters = Parameters.of(environment)
    for each in (parameters.state, parameters.logs):
        Path(each).mkdir(parents=True, exist_ok=True)
    render(parameters)
    certificates.bootstrap(parameters)
    return environment


@asynccontextmanager
async def nginx(folder: Path, upstreams: Iterable[str], **given: str) -> AsyncIterator[Proxy]:
    """Run nginx in front of these addresses (URLs or `host:port`); `given` are its parameters."""
    started = program()
    environment = prepare(folder, upstreams, given)
    parameters = Parameters.of(environment)
    plain = f"http://{parameters.http_listen[0]}"
    status = f"http://{parameters.status_listen}/status"

    async def is_ready() -> bool:
        return (await probe.http(status))[0] == 200

    command = (started, "-c", str(parameters.config), "-e", "stderr", "-g", "daemon off;")
    async with Launcher(DataDir(folder / "processes")) as launcher:
        part = ProcessSpec("nginx", command, is_ready)
        process = await launcher.start(part)
        try:
            await eventually(is_ready)
        except AssertionError:
            raise AssertionError(launcher.data_dir.log("nginx").read_text()) from None
        address = parameters.origin if parameters.tls else plain
        yield Proxy(address, plain, status, parameters, environment, process)
        await process.stop()
