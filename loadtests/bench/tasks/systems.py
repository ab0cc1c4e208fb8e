"""The systems side by side: how the sender and the worker of each are started, and its meter."""

import os
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import asyncpg
import redis

from deploy.embedded.servers import servers
from loadtests.bench.results import ROOT
from loadtests.bench.tasks import meters
from loadtests.bench.tasks.fill import Fill, fill
from loadtests.bench.tasks.meters import Meter
from loadtests.bench.venv import bench_python

CONCURRENCY = 2
# The broker's databases: ours has the first; the stamps have their own.
CELERY_DB, DRAMATIQ_DB, STAMPS_DB = 1, 2, 3


@dataclass(frozen=True)
class Side:
    """A version of our code: its name in the table, and its checkout."""

    name: str
    folder: Path


@dataclass(frozen=True)
class System:
    """One of those compared; `module` is the `with_…` that speaks its language."""

    name: str
    module: str
    python: Path
    worker: tuple[str, ...]
    environment: dict[str, str]
    meter: Meter
    # Whether PostgreSQL has its tasks.
    is_durable: bool = False


def in_the_loop(ours: System, at_once: int = 10) -> System:
    """Return a version of ours of which each process runs several tasks at a time."""
    name = ours.name.replace(",", f", {at_once} in the loop,", 1)
    return replace(ours, name=name, environment=ours.environment | {"BENCH_AT_ONCE": str(at_once)})


class Environment:
    """The servers that all systems share, and what each system needs on them."""

    def __init__(self, env: dict[str, str], folder: Path, stack: AsyncExitStack) -> None:
        self._database_url = env["DATABASE_URL"]
        self._broker_url = env["BROKER_URL"].removesuffix("/0")
        self._folder = folder
        self._stack = stack
        self.stamps = redis.Redis.from_url(self._broker(STAMPS_DB))

    async def versions(self) -> str:
        """Tell which versions the servers are."""
        server = await self._connect(self._database_url)
        postgres = await server.fetchval("SHOW server_version")
        broker = self.stamps.info("server")
        version = broker.get("valkey_version") or broker["redis_version"]
        return f"PostgreSQL {postgres.split()[0]}, broker {version}"

    async def ours(self, rows: Fill, sides: list[Side]) -> list[System]:
        """Return versions of ours, on one database with a filled table."""
        url = await self._database(f"ours_{rows.finished}")
        own = {"DATABASE_URL": url, "BROKER_URL": self._broker(0), "STORAGE_URL": "memory://"}
        plugin = _plugin(self._folder / "plugin")
        _run(sys.executable, "-m", "cli", "migrate", env=self._environment(ROOT) | own)
        connection = await self._connect(url)
        seconds = await fill(connection, rows)
        sys.stderr.write(f"filled the table with {rows} rows in {seconds:.0f} s\n")
        # As many messages prefetched as Celery's default, which the plain one has.
        options = ("--queues=default", f"--concurrency={CONCURRENCY}", "--prefetch=4")
        worker = ("-m", "cli", "worker", *options)
        return [
            System(
                f"{side.name}, {rows}",
                "ours",
                Path(sys.executable),
                worker,
                self._environment(side.folder, plugin, ROOT) | own,
                meters.ours(connection),
            )
            for side in sides
        ]

    async def others(self) -> list[System]:
        """Return those that we are compared with."""
        return [
            self._celery(),
            self._dramatiq(),
            await self._procrastinate(),
            await self._pgqueuer(),
            await self._chancy(),
        ]

    def _celery(self) -> System:
        url = self._broker(CELERY_DB)
        return System(
            "Celery, acks_late",
            "celery",
            Path(sys.executable),
            (
                *("-m", "celery", "--app=loadtests.bench.tasks.with_celery", "worker"),
                *("--pool=prefork", f"--concurrency={CONCURRENCY}", "--loglevel=INFO"),
            ),
            self._environment(ROOT) | {"BENCH_BROKER_URL": url},
            meters.celery(redis.Redis.from_url(url)),
        )

    def _dramatiq(self) -> System:
        url = self._broker(DRAMATIQ_DB)
        return System(
            "dramatiq",
            "dramatiq",
            bench_python(),
            (
                *("-m", "dramatiq", "loadtests.bench.tasks.with_dramatiq"),
                *(f"--processes={CONCURRENCY}", "--threads=1"),
            ),
            self._environment(ROOT) | {"BENCH_BROKER_URL": url},
            meters.dramatiq(redis.Redis.from_url(url)),
        )

    async def _procrastinate(self) -> System:
        url = await self._database("procrastinate")
        env = self._environment(ROOT) | {"DATABASE_URL": url}
        app = "--app=loadtests.bench.tasks.with_procrastinate.app"
        _run(str(bench_python()), "-m", "procrastinate", app, "schema", "--apply", env=env)
        return System(
            "procrastinate",
            "procrastinate",
            bench_python(),
            ("-m", "procrastinate", app, "worker", f"--concurrency={CONCURRENCY}"),
            env,
            meters.procrastinate(await self._connect(url)),
            is_durable=True,
        )

    async def _pgqueuer(self) -> System:
        url = await self._database("pgqueuer")
        env = self._environment(ROOT) | {"DATABASE_URL": url, "PGDSN": url}
        _run(str(bench_python()), "-m", "pgqueuer", "install", env=env)
        # Its cap of concurrent tasks is at least two batches.
        options = ("--batch-size=1", f"--max-concurrent-tasks={CONCURRENCY}")
        return System(
            "PgQueuer",
            "pgqueuer",
            bench_python(),
            ("-m", "pgqueuer", "run", "loadtests.bench.tasks.with_pgqueuer:worker", *options),
            env,
            meters.pgqueuer(await self._connect(url)),
            is_durable=True,
        )

    async def _chancy(self) -> System:
        url = await self._database("chancy")
        env = self._environment(ROOT) | {"DATABASE_URL": url}
        _run(str(bench_python()), "-m", "loadtests.bench.tasks.with_chancy", env=env)
        cli = ("-c", "from chancy.cli.cli import main; main()")
        return System(
            "chancy",
            "chancy",
            bench_python(),
            (*cli, "--app=loadtests.bench.tasks.with_chancy.app", "worker", "start"),
            env,
            meters.chancy(await self._connect(url)),
            is_durable=True,
        )

    def _broker(self, number: int) -> str:
        return f"{self._broker_url}/{number}"

    def _environment(self, *path: Path) -> dict[str, str]:
        """Return the environment of the processes, without the settings of this one."""
        kept = {key: os.environ[key] for key in ("PATH", "HOME", "LANG") if key in os.environ}
        return {
            **kept,
            "PYTHONPATH": os.pathsep.join(map(str, path)),
            "BENCH_STAMPS_URL": self._broker(STAMPS_DB),
            "DATA_DIR": str(self._folder / "none"),
        }

    async def _database(self, name: str) -> str:
        server = await self._connect(self._database_url)
        await server.execute(f'CREATE DATABASE "{name}"')
        return self._database_url.replace("/course_enrollment", f"/{name}")

    async def _connect(self, url: str) -> asyncpg.Connection:
        connection = await asyncpg.connect(url, command_timeout=300)
        self._stack.push_async_callback(connection.close)
        return connection


@asynccontextmanager
async def environment() -> AsyncIterator[Environment]:
    """Run the servers for the length of the block."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-tasks-")))
        env = await stack.enter_async_context(servers(folder / "data", ("postgres", "broker")))
        yield Environment(env, folder, stack)


def _run(*command: str, env: dict[str, str]) -> None:
    subprocess.run(command, env=env, check=True, stdout=subprocess.DEVNULL)


def _plugin(folder: Path) -> Path:
    """Announce the benchmark's tasks as an installed package would."""
    info = folder / "bench_tasks-1.dist-info"
    info.mkdir(parents=True, exist_ok=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: bench-tasks\nVersion: 1\n")
    (info / "entry_points.txt").write_text(
        "[course_enrollment.tasks]\nbench = loadtests.bench.tasks.with_ours\n"
    )
    return folder
