"""The measured servers: the embedded ones, databases of each size, this service, and peers."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import httpx
import psutil
import redis

from deploy.embedded.servers import servers
from infra.process.system import die_with_parent
from loadtests.bench import bulk
from loadtests.bench.results import ROOT
from loadtests.bench.venv import bench_python

GOPATH = Path("/usr/share/gocode")  # where Debian's packages put the sources of Go libraries
GO_NEEDS = ("github.com/gin-gonic/gin", "github.com/gomodule/redigo")
MANY_ENROLLMENTS = 1_000_000
START_SECONDS = 30.0
STOP_SECONDS = 15.0
CACHES = 16  # how many databases a Redis has
LIST = "/api/v1/courses?limit=20"
CACHED_KEY = "bench:list"

# As in production, but with higher limits, because all clients have one address. Not exempt: the
# cost of the limits is measured, too. One client leases tokens of Redis less often than many do.
OURS = {
    "STORAGE_URL": "memory://",
    "SKIP_MIGRATION": "true",
    "LOG_LEVEL": "INFO",
    "RATE_LIMIT_READS": "100000000",
    "RATE_LIMIT_WRITES": "100000000",
}
NO_CACHE = {"CACHE_URL": "memory://", "CACHE_MEMORY_BYTES": "0"}


@dataclass(frozen=True)
class Database:
    """A seeded database, a file with the ids of some of its courses, and a Redis for its cache.

    Two databases with one Redis would serve each other's responses.
    """

    url: str
    ids: Path
    cache_url: str


@dataclass(frozen=True)
class Instance:
    """A running server: its address, and its first process."""

    name: str
    url: str
    pid: int


class CommandFailed(SystemExit):
    """A required command failed."""


class Environment:
    """Starts servers, and stops all of them at its end."""

    def __init__(self, env: dict[str, str], folder: Path, stack: AsyncExitStack) -> None:
        self._database_url = env["DATABASE_URL"]
        self.cache_url = env["CACHE_URL"]
        self._broker_url = env["BROKER_URL"]
        self._folder = folder
        self._stack = stack
        self._port = 20_000 + os.getpid() % 10_000
        # The peers have number 0.
        self.known: dict[str, Database] = {}
        self._caches = iter(range(1, CACHES))
        self.groups = _embedded_groups()

    async def versions(self) -> str:
        """Return the versions of the servers."""
        connection = await asyncpg.connect(self._database_url)
        postgres = await connection.fetchval("SHOW server_version")
        await connection.close()
        return f"PostgreSQL {postgres.split()[0]}"

    async def database(
        self, name: str, courses: int, enrollments: int, ids_of: int = 100
    ) -> Database:
        """Return a new database of this size; its file has the ids of the newest `ids_of`."""
        server = await asyncpg.connect(self._database_url)
        await server.execute(f'CREATE DATABASE "{name}"')
        await server.close()
        url = self._database_url.replace("/course_enrollment", f"/{name}")
        env = self._environment() | OURS | {"DATABASE_URL": url}
        await _run(sys.executable, "-m", "cli", "migrate", env=env)
        is_much = enrollments > MANY_ENROLLMENTS
        sizes = (f"--courses={courses}", f"--enrollments={0 if is_much else enrollments}")
        await _run(sys.executable, "-m", "cli", "seed", *sizes, env=env)
        connection = await asyncpg.connect(url, command_timeout=600)
        if is_much:
            await bulk.enrol(connection, enrollments)
        # The tasks that would tell the cache of new courses: no process has read anything yet, and
        # there is no worker here.
        await connection.execute("DELETE FROM tasks")
        await connection.execute("VACUUM ANALYZE")
        await connection.execute("CHECKPOINT")
        ids = self._folder / f"{name}.ids"
        rows = await connection.fetch(
            "SELECT id FROM courses ORDER BY created_at DESC LIMIT $1", ids_of
        )
        ids.write_text("\n".join(str(row["id"]) for row in rows), "ascii")
        await connection.close()
        cache_url = f"{self.cache_url.removesuffix('/0')}/{next(self._caches)}"
        self.known[name] = Database(url, ids, cache_url)
        return self.known[name]

    def one_of(self, database: Database) -> Path:
        """Return a file with one course of the database: the hot one."""
        path = database.ids.with_suffix(".one")
        path.write_text(database.ids.read_text("ascii").split()[-1], "ascii")
        return path

    async def ours(self, name: str, database: Database, **settings: str) -> Instance:
        """Start our API."""
        env = OURS | {
            "DATABASE_URL": database.url,
            "CACHE_URL": database.cache_url,
            "BROKER_URL": self._broker_url,
            "DATA_DIR": str(self._folder / name),
            "API_WORKERS": "1",
            "DRAIN_SECONDS": "0",
        }
        command = (sys.executable, "-m", "cli", "api")
        return await self._start(name, command, env | settings, "/health/live")

    def two_cores(self) -> tuple[int, ...]:
        """Return two cores of this process; none if there are fewer or affinity is missing."""
        if not hasattr(os, "sched_setaffinity"):
            return ()
        first, *others = sorted(os.sched_getaffinity(0))
        return (first, others[0]) if others else ()

    def pin(self, instance: Instance, cores: tuple[int, ...]) -> None:
        """Pin each server process to a core of its own; the metrics process is none."""
        port = urlsplit(instance.url).port
        serving = [
            child
            for child in psutil.Process(instance.pid).children()
            if any(
                each.status == psutil.CONN_LISTEN and each.laddr.port == port
                for each in child.net_connections("tcp")
            )
        ]
        for process, core in zip(serving, cores, strict=True):
            process.cpu_affinity([core])

    async def bare(self, name: str, database: Database, processes: int = 1) -> Instance:
        """Start bare Sanic; `remember` must have run."""
        env = {
            "DATABASE_URL": database.url,
            "BENCH_BODIES": str(self._folder),
            "PROCESSES": str(processes),
        }
        command = (sys.executable, "-m", "loadtests.bench.peers.bare_sanic")
        return await self._start(name, command, env, "/list")

    async def fastapi(self, database: Database) -> Instance:
        """Start FastAPI on uvicorn."""
        self._port += 1
        command = (
            *(str(bench_python()), "-m", "uvicorn", "loadtests.bench.peers.with_fastapi:app"),
            *("--port", str(self._port + 1), "--no-access-log", "--backlog", "4096"),
        )
        env = {"DATABASE_URL": database.url, "CACHE_URL": self.cache_url}
        return await self._start("fastapi", command, env, "/cached")

    async def gin(self) -> Instance | str:
        """Build and start the design of the Go service, or return why it can't run."""
        missing = [need for need in GO_NEEDS if not (GOPATH / "src" / need).is_dir()]
        if shutil.which("go") is None or missing:
            return (
                "no Go here: apt-get install golang golang-github-gin-gonic-gin-dev "
                "golang-github-gomodule-redigo-dev"
            )
        program = self._folder / "gin"
        env = self._environment() | {
            "GO111MODULE": "off",
            "GOPATH": str(GOPATH),
            "GOCACHE": str(self._folder / "go"),
            "GOFLAGS": "",
        }
        source = str(Path(__file__).parent / "peers" / "gin" / "main.go")
        try:
            await _run("go", "build", "-o", str(program), source, env=env)
        except CommandFailed as error:
            return str(error)
        return await self._start("gin", (str(program),), {"CACHE_URL": self.cache_url}, "/cached")

    async def remember(self, instance: Instance, course_id: str) -> str:
        """Store this service's responses for the peers; return the list's ETag, if it has one."""
        async with httpx.AsyncClient(base_url=instance.url) as client:
            listed = (await client.get(LIST)).raise_for_status()
            detail = (await client.get(f"/api/v1/courses/{course_id}")).raise_for_status()
        (self._folder / "list").write_bytes(listed.content)
        (self._folder / "detail").write_bytes(detail.content)
        redis.Redis.from_url(self.cache_url).set(CACHED_KEY, listed.content)
        return str(listed.headers.get("etag", ""))

    async def _start(
        self, name: str, command: tuple[str, ...], env: Mapping[str, str], path: str
    ) -> Instance:
        self._port += 1
        url = f"http://127.0.0.1:{self._port}"
        log = self._folder / f"{name}.log"
        with log.open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                *command,
                cwd=ROOT,
                env=self._environment() | dict(env) | {"PORT": str(self._port)},
                stdout=output,
                stderr=output,
                start_new_session=True,
                preexec_fn=die_with_parent,
            )
        self._stack.push_async_callback(_stop, process)
        async with httpx.AsyncClient() as client:
            deadline = asyncio.get_running_loop().time() + START_SECONDS
            while True:
                with suppress(httpx.HTTPError):
                    if (await client.get(url + path)).is_success:
                        return Instance(name, url, process.pid)
                if process.returncode is not None or asyncio.get_running_loop().time() > deadline:
                    raise SystemExit(f"{name} did not start:\n{log.read_text()[-2000:]}")
                await asyncio.sleep(0.05)

    def _environment(self) -> dict[str, str]:
        """Return the environment of the processes, without the settings of this one."""
        kept = {key: os.environ[key] for key in ("PATH", "HOME", "LANG") if key in os.environ}
        return kept | {"PYTHONPATH": str(ROOT), "DATA_DIR": str(self._folder / "none")}


@asynccontextmanager
async def environment() -> AsyncIterator[Environment]:
    """Run the embedded servers for the length of the block."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        only = ("postgres", "cache", "broker")
        env = await stack.enter_async_context(servers(folder / "data", only))
        yield Environment(env, folder, stack)


def _embedded_groups() -> dict[str, int]:
    names = {"postgres": "PostgreSQL", "valkey-server": "Redis", "redis-server": "Redis"}
    return {
        names[child.name()]: child.pid
        for child in reversed(psutil.Process().children())
        if child.name() in names
    }


async def _run(*command: str, env: dict[str, str]) -> None:
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=ROOT,
        env=env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        preexec_fn=die_with_parent,
    )
    _, said = await process.communicate()
    if process.returncode != 0:
        program = Path(command[0]).name
        last = said.decode(errors="replace").strip().splitlines()[-1:]
        raise CommandFailed(f"{' '.join((program, *command[1:3]))} failed: {' '.join(last)}")


async def _stop(process: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        process.terminate()
    with suppress(TimeoutError):
        await asyncio.wait_for(process.wait(), STOP_SECONDS)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()
