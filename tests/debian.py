"""Debian's PostgreSQL with TLS, and its PgBouncer, which no wheel has."""

import asyncio
import os
import shutil
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

from deploy.embedded import probe
from deploy.embedded.data_dir import DataDir
from deploy.embedded.process import UNPRIVILEGED_UID, Launcher, ProcessSpec
from deploy.embedded.process_supervisor import tail
from tests import poolers
from tests.absent import is_absent
from tests.factories import WAIT_SECONDS, free_ports

# Readable by another user, for the programs refuse root.
_OWNED = 0o600


def postgres_programs() -> Path:
    """Return the newest server's folder of programs; without one the test is skipped or fails."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        is_absent("PostgreSQL of Debian", "postgresql")
    return found[-1].parent


@asynccontextmanager
async def tls_postgres(folder, certificate, key):
    """Run a server that only accepts TLS; yield its port."""
    programs = postgres_programs()
    (port,) = free_ports(1)
    async with Launcher(home := DataDir(folder)) as launcher:
        data, secret = home.root / "tls", home.root / "key.pem"
        shutil.copy(key, secret)
        secret.chmod(_OWNED)
        _give_away(secret)
        data.mkdir(mode=0o700)
        _give_away(data)
        made = (str(programs / "initdb"), "-D", str(data), "-U", "app", "--no-sync", "-A", "trust")
        assert await launcher.run(ProcessSpec("initdb", made, folder=data, unprivileged=True)) == 0
        (data / "pg_hba.conf").write_text("hostssl all all 127.0.0.1/32 trust\n")
        settings = {
            "port": port, "listen_addresses": "127.0.0.1", "unix_socket_directories": "",
            "ssl": "on", "ssl_cert_file": certificate, "ssl_key_file": secret, "fsync": "off",
        }  # fmt: skip
        options = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
        command = (str(programs / "postgres"), "-D", str(data), *options)
        await _run(launcher, ProcessSpec("tls", command, lambda: _takes(port), {}, data, True))  # noqa: FBT003  the class's field
        yield port


@asynccontextmanager
async def pgbouncer(folder, url):
    """Run PgBouncer in transaction mode in front of a database; yield the URL of the pool."""
    command = poolers.program()
    (port,) = free_ports(1)
    server = urlsplit(url)
    async with Launcher(home := DataDir(folder)) as launcher:
        own = home.root / "pgbouncer"
        # Fewer than the clients, so that consecutive transactions use different sessions.
        config = poolers.configure(own, server, port, sessions=4)
        part = ProcessSpec(
            "pgbouncer",
            (command, str(config)),
            lambda: _takes(port),
            folder=own,
            unprivileged=True,
        )
        await _run(launcher, part)
        yield poolers.pooled_url(server, port)


def _give_away(path: Path) -> None:
    """Make the servers' user the owner."""
    if os.geteuid() == 0:
        os.chown(path, UNPRIVILEGED_UID, UNPRIVILEGED_UID)


async def _run(launcher: Launcher, part: ProcessSpec) -> None:
    await launcher.start(part)
    try:
        await asyncio.wait_for(probe.wait_until(part.is_ready), WAIT_SECONDS)
    except TimeoutError:
        raise AssertionError(tail(launcher.data_dir.log(part.name))) from None


async def _takes(port: int) -> bool:
    """Return whether a server listens on the port."""
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True
