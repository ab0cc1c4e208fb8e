"""Pebble, a certificate authority that validates challenges as Let's Encrypt does."""

import asyncio
import json
import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from deploy.embedded import probe
from deploy.embedded.data_dir import DataDir
from deploy.embedded.process import Launcher, ProcessSpec
from tests.absent import is_absent
from tests.factories import eventually, free_ports
from tests.security.tls import make_certificate

DAYS = 90
PROGRAMS = ("pebble", "pebble-challtestsrv")


@dataclass
class Authority:
    """A running authority."""

    directory: str
    # Verifies the authority's own server.
    bundle: Path
    management: str

    async def root(self, folder: Path) -> Path:
        """Return a file of the certificate that signs what it issues."""
        async with httpx.AsyncClient(verify=False) as client:  # noqa: S501  the root of a test
            found = await client.get(f"{self.management}/roots/0")
        path = folder / "root.pem"
        path.write_text(found.text)
        return path


def certbot() -> str:
    """Return certbot; without it the test is skipped or fails."""
    return shutil.which("certbot") or is_absent("certbot", "certbot")


@asynccontextmanager
async def pebble(folder: Path, http_port: int) -> AsyncIterator[Authority]:
    """Run Pebble, which finds all names on the loopback address and the challenges at this port."""
    programs = [shutil.which(name) or is_absent(name, "pebble") for name in PROGRAMS]
    certificate, key = await asyncio.to_thread(_certificate, folder)
    listen, management, dns, dns_management, tls = free_ports(5)
    settings = {
        "listenAddress": f"127.0.0.1:{listen}",
        "managementListenAddress": f"127.0.0.1:{management}",
        "certificate": str(certificate),
        "privateKey": str(key),
        "httpPort": http_port,
        "tlsPort": tls,
        "ocspResponderURL": "",
        "externalAccountBindingRequired": False,
        "certificateValidityPeriod": DAYS * 24 * 3600,
    }
    config = folder / "pebble.json"
    config.write_text(json.dumps({"pebble": settings}))
    names = (
        *(programs[1], "-dns01", f"127.0.0.1:{dns}", "-http01", "", "-https01", ""),
        *("-tlsalpn01", "", "-management", f"127.0.0.1:{dns_management}"),
        *("-defaultIPv4", "127.0.0.1", "-defaultIPv6", ""),
    )
    authority = (programs[0], "-config", str(config), "-dnsserver", f"127.0.0.1:{dns}", "-strict")
    quick = {"PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "0"}
    async with Launcher(DataDir(folder / "processes")) as launcher:
        await launcher.start(ProcessSpec("names", names))
        await launcher.start(ProcessSpec("pebble", authority, environment=quick))
        await eventually(lambda: probe.listens(listen), within=30)
        await eventually(lambda: probe.listens(dns_management), within=30)
        yield Authority(
            f"https://127.0.0.1:{listen}/dir", certificate, f"https://127.0.0.1:{management}"
        )


def _certificate(folder: Path) -> tuple[Path, Path]:
    folder.mkdir()
    return make_certificate(folder)


def run(command: list[str], environment: dict[str, str]) -> None:
    """Run a command to its end, which must be good."""
    done = subprocess.run(
        command,
        env=os.environ | environment,
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
