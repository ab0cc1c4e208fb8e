"""Real servers and worker processes, a count of effects, and the verdict after a fault."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg
import orjson
import psutil
import redis
from uuid_utils.compat import uuid7

from deploy.embedded.servers import Servers, running
from infra.database import migrate
from infra.settings import Settings
from infra.storage import open_storage

HERE = Path(__file__).parent
TASKS = int(os.environ.get("FAULT_TASKS", "50"))
SETTLE_SECONDS = 90.0
POLL_SECONDS = 0.1
EFFECTS = "effects/"


@dataclass
class Outcome:
    """What became of the tasks of one fault."""

    fault: str
    accepted: int
    done: int
    failed: int
    lost: int
    duplicated: int
    seconds: float


OUTCOMES: list[Outcome] = []


@dataclass
class Site:
    """The servers, the workers on them, and a connection to look with."""

    servers: Servers
    environment: dict[str, str]
    folder: Path
    database: asyncpg.Pool
    workers: list["subprocess.Popen[bytes]"] = field(default_factory=list)

    def start_worker(self, fault: str = "", **environment: str) -> "subprocess.Popen[bytes]":
        """Start a worker of two processes in a group of its own."""
        log = self.folder / f"worker-{len(self.workers)}.log"
        with log.open("wb") as output:
            worker = subprocess.Popen(
                [sys.executable, HERE / "launcher.py", "worker", "--concurrency", "2"],
                env=self.environment | {"FAULT": fault} | environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.workers.append(worker)
        return worker

    def kill(self, worker: "subprocess.Popen[bytes]", signum: int = signal.SIGKILL) -> None:
        """Send a signal to the worker's main process alone."""
        with suppress(ProcessLookupError):
            os.kill(worker.pid, signum)

    def server_process(self, name: str) -> psutil.Process:
        """Return the process that listens on a server's port."""
        port = {"broker": "BROKER_URL", "storage": "S3_ENDPOINT_URL", "postgres": "DATABASE_URL"}
        number = self.environment[port[name]].rpartition("127.0.0.1:")[2].split("/")[0]
        return next(
            psutil.Process(each.pid)
            for each in psutil.net_connections("tcp")
            if each.status == psutil.CONN_LISTEN and each.laddr.port == int(number)
        )

    async def enqueue(self, count: int, name: str = "fault.effect", **args: object) -> None:
        """Accept so many tasks, in one transaction."""
        rows = [(uuid7(), name, orjson.dumps(args).decode()) for _ in range(count)]
        async with self.database.acquire() as connection, connection.transaction():
            await connection.executemany(
                "INSERT INTO tasks (id, name, args) VALUES ($1, $2, $3)", rows
            )
            await connection.execute("SELECT pg_notify('tasks', '')")

    async def until(self, condition: str, seconds: float = SETTLE_SECONDS) -> None:
        """Wait until a condition over the tasks table holds."""
        deadline = time.monotonic() + seconds
        while True:
            with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                if await self.database.fetchval(f"SELECT {condition} FROM tasks"):
                    return
            assert time.monotonic() < deadline, await self._standing(condition)
            await asyncio.sleep(POLL_SECONDS)

    async def _standing(self, condition: str) -> str:
        rows = await self.database.fetch(
            "SELECT name, state, attempts, max_attempts, published_at, lease_until, error, now() "
            "FROM tasks WHERE state IN ('queued', 'running') LIMIT 5"
        )
        return f"not in time: {condition}; {[dict(row) for row in rows]}"

    async def wait_for(self, holds: Callable[[], bool], seconds: float = 30) -> None:
        """Wait until something that only looking tells is so."""
        deadline = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < deadline, "not in time"
            await asyncio.sleep(0.002)

    async def some_done(self) -> None:
        """Wait until about a third of the tasks are done."""
        await self.until(f"count(*) FILTER (WHERE state = 'succeeded') >= {TASKS // 3}")

    async def verdict(self, fault: str, since: float, name: str = "fault.%") -> Outcome:
        """Wait until all is settled; count, note and assert that nothing is lost or done twice."""
        await self.until("count(*) FILTER (WHERE state IN ('queued', 'running')) = 0")
        seconds = time.monotonic() - since
        states = dict(
            await self.database.fetch(
                "SELECT state, count(*)::int FROM tasks WHERE name LIKE $1 GROUP BY 1", name
            )
        )
        succeeded = {
            str(row["id"])
            for row in await self.database.fetch(
                "SELECT id FROM tasks WHERE name = 'fault.effect' AND state = 'succeeded'"
            )
        }
        effects = [str(r["task_id"]) for r in await self.database.fetch("SELECT * FROM effects")]
        storage = open_storage(Settings(_env_file=None, **_lower(self.environment)))
        objects = {key.removeprefix(EFFECTS) for key in await storage.list_keys(EFFECTS)}
        outcome = Outcome(
            fault,
            sum(states.values()),
            states.get("succeeded", 0),
            states.get("failed", 0),
            len(succeeded - set(effects)) + len(succeeded - objects),
            len(effects) - len(set(effects)) + len(set(effects) - succeeded),
            seconds,
        )
        OUTCOMES.append(outcome)
        assert outcome.done + outcome.failed == outcome.accepted
        assert (outcome.lost, outcome.duplicated) == (0, 0)
        return outcome


@asynccontextmanager
async def machine(folder: Path) -> AsyncIterator[Servers]:
    """Run PostgreSQL, broker and S3 in a folder."""
    async with running(folder / "servers", ("postgres", "broker", "storage")) as servers:
        yield servers


@asynccontextmanager
async def site(servers: Servers, folder: Path) -> AsyncIterator[Site]:
    """Give a test a database of its own, an empty broker, and no worker yet."""
    environment = os.environ | servers.environment
    name = f"fault_{uuid7().hex}"
    server = await asyncpg.connect(environment["DATABASE_URL"])
    await server.execute(f"CREATE DATABASE {name}")
    await server.close()
    environment |= {
        "DATABASE_URL": environment["DATABASE_URL"].replace("/course_enrollment", f"/{name}"),
        "DATA_DIR": str(folder / "data"),
        "CACHE_URL": "memory://",
        "PYTHONPATH": str(HERE / "plugin"),
    }
    redis.Redis.from_url(environment["BROKER_URL"]).flushall()
    await migrate(environment["DATABASE_URL"])
    pool = await asyncpg.create_pool(environment["DATABASE_URL"], min_size=1, max_size=2)
    await pool.execute("CREATE TABLE effects (task_id uuid NOT NULL)")
    made = Site(servers, environment, folder, pool)
    try:
        yield made
    finally:
        for worker in made.workers:
            with suppress(ProcessLookupError):
                os.killpg(worker.pid, signal.SIGKILL)
            worker.wait()
        pool.terminate()


def _lower(environment: dict[str, str]) -> dict[str, str]:
    wanted = ("STORAGE_URL", "S3_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    return {name.lower(): environment[name] for name in wanted}
