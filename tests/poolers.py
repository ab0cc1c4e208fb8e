"""PgBouncer in front of each database of a run with POOLED=1: `make test-pgbouncer`.

Each process of the service asks this one for the pooler of its DATABASE_URL when it starts
(tests/pooled/sitecustomize.py), and gets what an operator would set. The tests' own connections
stay direct.
"""

from __future__ import annotations

import os
import shutil
import signal
import socketserver
import subprocess
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urlsplit

import pytest

from deploy.embedded.cluster import chown_to_unprivileged
from deploy.embedded.process import CHILD, PYTHON, UNPRIVILEGED_UID
from deploy.embedded.process_supervisor import tail
from tests.absent import is_absent
from tests.factories import WAIT_SECONDS, free_ports

if TYPE_CHECKING:
    from collections.abc import Iterator

SITE = Path(__file__).with_name("pooled")
# More than the suite's tests hold at once in transactions that wait for locks.
SESSIONS = 20


def program() -> str:
    """Return PgBouncer's path; without it the test is skipped or fails."""
    found = shutil.which("pgbouncer", path=f"/usr/sbin:{os.environ['PATH']}")
    if found is None:
        is_absent("PgBouncer", "pgbouncer")
    return found


def configure(folder: Path, server: SplitResult, port: int, sessions: int) -> Path:
    """Write the files of a PgBouncer in transaction mode; return that of its settings.

    A client gets any database of the server, by its name. No startup parameter is ignored.
    """
    folder.mkdir(mode=0o700)
    users, config = folder / "users.txt", folder / "pgbouncer.ini"
    users.write_text(f'"{server.username}" "{server.password}"\n')
    config.write_text(
        f"[databases]\n* = host={server.hostname} port={server.port}\n"
        f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n"
        f"auth_type = scram-sha-256\nauth_file = {users}\npool_mode = transaction\n"
        f"default_pool_size = {sessions}\nmax_client_conn = 1000\nserver_login_retry = 1\n"
    )
    for each in (folder, users, config):
        chown_to_unprivileged(each)
    return config


def pooled_url(server: SplitResult, port: int) -> str:
    """Return the URL of a database behind the PgBouncer of a port."""
    account = f"{server.username}:{server.password}"
    return server._replace(netloc=f"{account}@127.0.0.1:{port}").geturl()


class Poolers:
    """The PgBouncers of a run, one for each server of databases."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._started: dict[str, tuple[int, subprocess.Popen[bytes]]] = {}

    def in_front_of(self, url: str) -> str:
        """Return the URL of the database behind PgBouncer, which is started if it is not.

        A URL without port or password leads to no server of these tests and stays as it is.
        """
        server = urlsplit(url)
        if not server.port or not server.password:
            return url
        if server.netloc not in self._started:
            self._started[server.netloc] = self._start(server)
        port, _ = self._started[server.netloc]
        return pooled_url(server, port)

    def _start(self, server: SplitResult) -> tuple[int, subprocess.Popen[bytes]]:
        (port,) = free_ports(1)
        config = configure(self._folder / str(port), server, port, SESSIONS)
        log = self._folder / f"{port}.log"
        # PgBouncer refuses root, and pytest's folders are closed to other users.
        user = str(UNPRIVILEGED_UID) if os.geteuid() == 0 else "-"
        as_user = (*PYTHON, str(CHILD), str(os.getpid()), str(int(signal.SIGKILL)), user)
        with log.open("wb") as output:
            process = subprocess.Popen(
                (*as_user, program(), str(config)),
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=config.parent,
            )
        deadline = time.monotonic() + WAIT_SECONDS
        while b"process up" not in log.read_bytes():
            if process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(tail(log))
            time.sleep(0.02)
        return port, process

    def stop(self) -> None:
        """End them; a run without any has tested nothing of them."""
        assert self._started, "no process has asked for a pooler"
        for _, process in self._started.values():
            process.kill()
            process.wait()


@pytest.fixture(scope="session", autouse=True)
def poolers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Put PgBouncer in front of the databases of all processes that tests start, with POOLED=1."""
    if os.environ.get("POOLED", "0") in {"", "0"}:
        yield
        return
    folder = tmp_path_factory.mktemp("poolers")
    folder.chmod(0o755)
    found = Poolers(folder)

    class Answer(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            url = self.rfile.readline().decode().strip()
            self.wfile.write(found.in_front_of(url).encode() + b"\n")

    directory = str(folder / "directory")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("POOLER_DIRECTORY", directory)
        patch.setenv("PYTHONPATH", str(SITE))
        # One thread for all: a PgBouncer ends with the thread that has started it.
        with socketserver.UnixStreamServer(directory, Answer) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            yield
            server.shutdown()
    found.stop()
