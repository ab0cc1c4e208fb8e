"""Real servers and worker processes, and the tasks that were accepted on them."""

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg
import orjson
import psutil
import redis
from uuid_utils.compat import uuid7

from deploy.embedded.servers import Servers, running
from infra.db.migrations import migrate
from tests.factories import WAIT_SECONDS
from tests.faults.plugin.fault_effects import HELD, PLACES, REFUSED
from tests.forkserver import Running, start

HERE = Path(__file__).parent
TASKS = int(os.environ.get("FAULT_TASKS", "50"))
# `make test-faults` uses the full outage, `make test` a sixth of it.
AWAY_SECONDS = 30 if TASKS >= 500 else 5
SETTLE_SECONDS = WAIT_SECONDS + TASKS / 5
POLL_SECONDS = 0.1
GONE = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError)


@dataclass
class Site:
    """The servers, their workers, a connection for queries, and the accepted tasks."""

    servers: Servers
    environment: dict[str, str]
    folder: Path
    database: asyncpg.Pool
    broker: redis.Redis
    accepted: set[str] = field(default_factory=set)
    # Tasks whose commit was interrupted: each exists completely or not at all.
    uncertain: set[str] = field(default_factory=set)
    workers: list[Running] = field(default_factory=list)

    def start_worker(
        self, fault: str = "", queues: str = "", name: str = "", **environment: str
    ) -> Running:
        """Start a worker of two processes in a process group of its own."""
        chosen = ["--queues", queues] if queues else []
        chosen += ["--name", name] if name else []
        with self.log_of(len(self.workers)).open("wb") as output:
            worker = start(
                *(HERE / "launcher.py", "worker", "--concurrency", "2", *chosen),
                env=self.environment | {"FAULT": fault} | environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.workers.append(worker)
        return worker

    def log_of(self, number: int) -> Path:
        """Return the path of a worker's log."""
        return self.folder / f"worker-{number}.log"

    def refused(self, state: str) -> list[str]:
        """Return the ids of the tasks, by their state then, for which a worker was refused a claim.

        A task that was refused twice is listed twice.
        """
        start = f"{REFUSED} {state} "
        return [
            line.removeprefix(start)
            for number in range(len(self.workers))
            for line in self.log_of(number).read_text(errors="replace").splitlines()
            if line.startswith(start)
        ]

    @asynccontextmanager
    async def kept_worker(self) -> AsyncIterator[None]:
        """Keep a worker running: a new one starts when it dies, as under a supervisor."""

        async def keep() -> None:
            while True:
                if not self.workers or self.workers[-1].poll() is not None:
                    self.start_worker()
                await asyncio.sleep(POLL_SECONDS)

        keeper = asyncio.create_task(keep())
        try:
            yield
        finally:
            keeper.cancel()

    def server_process(self, name: str) -> psutil.Process:
        """Return the process that listens on a server's port."""
        port = {"broker": "BROKER_URL", "storage": "S3_ENDPOINT_URL", "postgres": "DATABASE_URL"}
        number = self.environment[port[name]].rpartition("127.0.0.1:")[2].split("/")[0]
        return next(
            psutil.Process(each.pid)
            for each in psutil.net_connections("tcp")
            if each.status == psutil.CONN_LISTEN and each.laddr.port == int(number)
        )

    async def enqueue(self, count: int, name: str = "fault.effect", **args: object) -> list[str]:
        """Accept that many tasks in one transaction; return their ids."""
        ids = [uuid7() for _ in range(count)]
        rows = [(each, name, orjson.dumps(args).decode()) for each in ids]
        async with self.database.acquire() as connection, connection.transaction():
            await connection.executemany(
                "INSERT INTO tasks (id, name, args) VALUES ($1, $2, $3)", rows
            )
            await connection.execute("SELECT pg_notify('tasks', '')")
        made = [str(each) for each in ids]
        self.accepted.update(made)
        return made

    async def enqueue_one_by_one(self, count: int) -> None:
        """Accept that many tasks in a transaction each, in spite of faults of the database."""
        while len(self.accepted) < count:
            task_id = uuid7()
            try:
                await self.database.execute(
                    "INSERT INTO tasks (id, name, args) VALUES ($1, 'fault.effect', '{}')", task_id
                )
                self.accepted.add(str(task_id))
            except GONE:
                self.uncertain.add(str(task_id))
            await asyncio.sleep(0.01)

    def doom(self, victim: str, place: str, ids: list[str]) -> None:
        """Leave notes: at this point of these tasks `child` or `main` dies, once."""
        for task_id in ids:
            (Path(self.environment["FAULT_NOTES"]) / place / task_id).write_text(victim)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold tasks of `fault.beside` and `fault.holding` until the end of the block."""
        note = Path(self.environment["FAULT_NOTES"], HELD)
        note.touch()
        yield
        note.unlink()

    def doomed(self) -> list[str]:
        """Return the notes that were not used yet."""
        return [str(note) for note in Path(self.environment["FAULT_NOTES"]).glob("*/*")]

    async def until(self, condition: str, seconds: float = SETTLE_SECONDS) -> None:
        """Wait until a condition over the tasks table holds."""
        deadline = time.monotonic() + seconds
        while True:
            with suppress(*GONE):
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

    async def wait_for(self, holds: Callable[[], bool], seconds: float = WAIT_SECONDS) -> None:
        """Wait until a condition that can only be polled is true."""
        deadline = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < deadline, "not in time"
            await asyncio.sleep(0.002)

    async def some_done(self) -> None:
        """Wait until about a third of the tasks are done."""
        await self.until(f"count(*) FILTER (WHERE state = 'succeeded') >= {TASKS // 3}")


@asynccontextmanager
async def machine(folder: Path) -> AsyncIterator[Servers]:
    """Run PostgreSQL, broker and S3 in a folder; databases are copies of one that is migrated."""
    async with running(folder / "servers", ("postgres", "broker", "storage")) as servers:
        await migrate(servers.environment["DATABASE_URL"])
        yield servers


@asynccontextmanager
async def site(servers: Servers, folder: Path) -> AsyncIterator[Site]:
    """Give a test a database and a prefix of its own, an empty broker, and no worker yet."""
    environment = os.environ | servers.environment
    name = f"fault_{uuid7().hex}"
    server = await asyncpg.connect(environment["DATABASE_URL"], database="postgres")
    await server.execute(f"CREATE DATABASE {name} TEMPLATE course_enrollment")
    await server.close()
    environment |= {
        "DATABASE_URL": environment["DATABASE_URL"].replace("/course_enrollment", f"/{name}"),
        "STORAGE_URL": f"{environment['STORAGE_URL']}/{name}",
        "DATA_DIR": str(folder / "data"),
        "CACHE_URL": "memory://",
        "PYTHONPATH": str(HERE / "plugin"),
        "FAULT_NOTES": str(folder / "notes"),
    }
    for place in PLACES:
        (folder / "notes" / place).mkdir(parents=True)
    broker = redis.Redis.from_url(environment["BROKER_URL"])
    broker.flushall()
    pool = await asyncpg.create_pool(environment["DATABASE_URL"], min_size=1, max_size=4)
    await pool.execute("CREATE TABLE effects (task_id uuid NOT NULL, attempt int NOT NULL)")
    made = Site(servers, environment, folder, pool, broker)
    try:
        yield made
    finally:
        for worker in made.workers:
            with suppress(ProcessLookupError):
                os.killpg(worker.pid, signal.SIGKILL)
            worker.wait()
        broker.close()
        pool.terminate()
