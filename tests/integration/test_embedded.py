"""The embedded servers: access, persistence, and recovery after a kill."""

import asyncio
import fcntl
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import sysconfig
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import boto3
import httpx
import psutil  # type: ignore[import-untyped]
import pytest
from botocore.exceptions import ClientError
from redis.asyncio import Redis

from deploy.embedded import binaries, data_dir, lock, process_supervisor, servers
from deploy.embedded.binaries import WHEELS, Binaries
from deploy.embedded.data_dir import DataDir
from deploy.embedded.errors import (
    DamagedError,
    InUseError,
    NoBinaryError,
    StartError,
    VersionMismatchError,
)
from deploy.embedded.ports import Ports, is_free
from deploy.embedded.postgres import Postgres
from deploy.embedded.process import Launcher, ProcessSpec
from deploy.embedded.process_supervisor import ProcessSupervisor
from deploy.embedded.servers import Servers
from infra.process.private_files import private_folder
from tests.absent import is_absent
from tests.processes import commands_of, connections_of


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder of their own; other tests of this process run servers as well."""
    return tmp_path_factory.mktemp("all")


@pytest.fixture(scope="module")
async def running(folder: Path) -> AsyncIterator[Servers]:
    """All servers on that folder."""
    async with servers.running(folder, fsync=False) as chosen:
        yield chosen


@pytest.fixture
def environment(running: Servers) -> dict[str, str]:
    return running.environment


async def wait_until(check: Callable[[], Awaitable[bool]], seconds: float) -> None:
    async with asyncio.timeout(seconds):
        while not await check():  # noqa: ASYNC110  # another process has no event to set
            await asyncio.sleep(0.02)


async def fetch(environment: dict[str, str], sql: str) -> Any:  # any SQL value
    connection = await asyncpg.connect(environment["DATABASE_URL"])
    try:
        return await connection.fetchval(sql)
    finally:
        await connection.close()


def s3(environment: dict[str, str], *, secret: str | None = None) -> Any:  # boto3's
    return boto3.client(
        "s3",
        endpoint_url=environment["S3_ENDPOINT_URL"],
        region_name=environment["AWS_REGION"],
        aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=secret or environment["AWS_SECRET_ACCESS_KEY"],
    )


async def test_postgresql_has_the_needed_extensions(environment: dict[str, str]) -> None:
    assert await fetch(environment, "SHOW max_connections") == "200"
    assert await fetch(environment, "SHOW shared_buffers") == "256MB"
    assert await fetch(environment, "SHOW server_encoding") == "UTF8"
    await fetch(environment, "CREATE EXTENSION IF NOT EXISTS pg_trgm")
    await fetch(environment, "CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
    assert await fetch(environment, "SELECT count(*) >= 0 FROM pg_stat_statements")
    assert await fetch(environment, "SELECT lower('ÅÑ')") == "åñ"


async def test_postgresql_requires_the_password(environment: dict[str, str]) -> None:
    parts = urlsplit(environment["DATABASE_URL"])
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(host=parts.hostname, port=parts.port, user="enroll", password="guess")


async def test_the_cache_evicts_and_the_broker_does_not(environment: dict[str, str]) -> None:
    expected = {
        "CACHE_URL": {
            "maxmemory": str(256 << 20), "maxmemory-policy": "allkeys-lru", "appendonly": "no"
        },
        "BROKER_URL": {
            "maxmemory-policy": "noeviction", "appendonly": "yes", "appendfsync": "everysec"
        },
    }  # fmt: skip
    for variable, options in expected.items():
        async with Redis.from_url(environment[variable]) as redis:
            found = await redis.config_get("maxmemory*", "append*")
        assert options.items() <= found.items()


def test_images_are_public_and_all_else_needs_the_services_credentials(
    environment: dict[str, str],
) -> None:
    s3(environment).put_object(Bucket="media", Key="courses/1/a.webp", Body=b"picture")
    bucket = f"{environment['S3_ENDPOINT_URL']}/media"

    assert httpx.get(f"{bucket}/courses/1/a.webp").content == b"picture"
    for refused in (
        httpx.get(f"{bucket}/"),
        httpx.get(f"{bucket}?list-type=2"),
        httpx.get(f"{environment['S3_ENDPOINT_URL']}/"),
        httpx.put(f"{bucket}/courses/1/b.webp", content=b"mine"),
        httpx.put(f"{bucket}/courses/1/a.webp", content=b"mine"),
        httpx.delete(f"{bucket}/courses/1/a.webp"),
        httpx.put(f"{environment['S3_ENDPOINT_URL']}/other"),
    ):
        assert refused.status_code == 403, refused.request
    with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
        s3(environment, secret="guess").put_object(Bucket="media", Key="c", Body=b"")
    assert s3(environment).list_objects_v2(Bucket="media")["KeyCount"] >= 1


def test_all_servers_listen_on_loopback_only(environment: dict[str, str]) -> None:
    addresses = [
        each.laddr
        for connections in connections_of(psutil.Process().children(recursive=True)).values()
        for each in connections
        if each.status == psutil.CONN_LISTEN
    ]
    assert {urlsplit(environment["S3_ENDPOINT_URL"]).port} < {address.port for address in addresses}
    assert {address.ip for address in addresses} == {"127.0.0.1"}


def files_with(folder: Path, words: list[str]) -> list[Path]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    texts = {path: path.read_text(encoding="utf-8", errors="replace") for path in files}
    found = [path for path, text in texts.items() if any(word in text for word in words)]
    assert found
    return found


async def test_secrets_are_readable_by_their_owner_only(tmp_path: Path) -> None:
    async with servers.servers(tmp_path, {"cache", "broker"}) as environment:
        passwords = [urlsplit(url).password or "?" for url in environment.values()]
        for path in files_with(tmp_path, passwords):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
        commands = commands_of(psutil.Process()).values()
        lines = [" ".join(command) for command in commands]
        assert lines
        assert not [line for line in lines if any(word in line for word in passwords)]


async def test_only_the_chosen_servers_run(tmp_path: Path) -> None:
    async with servers.servers(tmp_path, {"cache"}) as environment:
        assert set(environment) == {"CACHE_URL"}
        async with Redis.from_url(environment["CACHE_URL"]) as redis:
            assert await redis.ping()


@pytest.mark.parametrize("end", ["stop", "kill"])
async def test_data_survives_a_restart(end: str, tmp_path: Path) -> None:
    async with Launcher(DataDir(tmp_path)) as launcher:
        chosen = Servers(launcher)
        await chosen.start_all()
        first = chosen.environment
        await fetch(first, "SELECT count(*) FROM (VALUES (1)) AS x")
        await fetch(first, "CREATE TABLE kept AS SELECT 42 AS answer")
        s3(first).put_object(Bucket="media", Key="kept", Body=b"kept")
        for variable in ("BROKER_URL", "CACHE_URL"):
            async with Redis.from_url(first[variable]) as redis:
                await redis.set("kept", "kept")
        if end == "stop":
            await chosen.stop_all()

    async with servers.servers(tmp_path) as second:
        assert second == first
        assert await fetch(second, "SELECT answer FROM kept") == 42
        kept = s3(second).get_object(Bucket="media", Key="kept")
        assert kept["Body"].read() == b"kept"
        async with Redis.from_url(second["BROKER_URL"]) as redis:
            assert await redis.get("kept") == b"kept"
        async with Redis.from_url(second["CACHE_URL"]) as redis:
            assert await redis.get("kept") is None


@pytest.mark.parametrize("name", ["cache", "broker", "postgres", "storage"])
async def test_a_server_that_dies_is_restarted_on_its_port(
    running: Servers, folder: Path, name: str
) -> None:
    (before,) = [each for each in psutil.Process().children() if _is(each, folder, name)]
    before.send_signal(signal.SIGKILL)

    async def is_back() -> bool:
        parts = psutil.Process().children()
        return any(each.pid != before.pid and _is(each, folder, name) for each in parts)

    await wait_until(is_back, 10)
    await wait_until(lambda: running.is_ready(name), 20)


def _is(process: psutil.Process, folder: Path, name: str) -> bool:
    with suppress(psutil.Error):
        place = Path(process.cwd())
        named = place.name.endswith({"storage": "seaweedfs"}.get(name, name))
        return named and place.parent == folder
    return False


async def test_a_stale_pid_file_of_another_process_is_ignored(tmp_path: Path) -> None:
    async with servers.servers(tmp_path, {"postgres"}, fsync=False):
        pass
    stranger = os.getpid()
    (tmp_path / "postgres" / "postmaster.pid").write_text(f"{stranger}\n", encoding="utf-8")
    async with servers.servers(tmp_path, {"postgres"}, fsync=False) as environment:
        assert await fetch(environment, "SELECT 1") == 1


async def test_an_interrupted_initdb_is_repeated(tmp_path: Path) -> None:
    (tmp_path / "postgres.new" / "half").mkdir(parents=True)
    async with servers.servers(tmp_path, {"postgres"}, fsync=False) as environment:
        assert await fetch(environment, "SELECT 1") == 1


def program(folder: Path, name: str, output: str) -> Path:
    """Create a program that only prints its version."""
    path = folder / name
    path.write_text(f"#!/bin/sh\necho '{output}'\n", encoding="utf-8")
    path.chmod(0o755)
    return path


async def test_the_wheels_programs_are_preferred_to_those_on_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, output in (
        *(("postgres", "postgres (PostgreSQL) 99.1"), ("initdb", "initdb (PostgreSQL) 99.1")),
        *(("valkey-server", "Valkey server v=99.0.0"), ("redis-server", "Redis server v=99.0.0")),
        ("weed", "version 8000GB 99.0 linux amd64"),
    ):
        program(tmp_path, name, output)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    wheels = Path(sysconfig.get_path("purelib")), Path(sysconfig.get_path("scripts"))
    for found in (
        binaries.find_postgres().folder,
        binaries.find_valkey().path,
        binaries.find_weed().path,
    ):
        assert any(found.is_relative_to(wheel) for wheel in wheels), found
    async with servers.servers(tmp_path / "data", fsync=False) as environment:
        assert await fetch(environment, "SHOW server_version") == "18.6"
        async with Redis.from_url(environment["BROKER_URL"]) as redis:
            assert (await redis.info("server"))["valkey_version"] == "9.1.2"


def test_a_setting_selects_another_program(tmp_path: Path) -> None:
    redis = program(tmp_path, "redis-server", "Redis server v=7.0.15 sha=0 malloc=x")
    assert str(binaries.find_valkey(redis).version) == "Redis 7.0.15"
    weed = program(tmp_path, "weed", "version 8000GB 4.50 linux amd64")
    assert str(binaries.find_weed(weed).version) == "SeaweedFS 4.50"
    for find, setting in (
        (binaries.find_valkey, "EMBEDDED_REDIS_BIN"),
        (binaries.find_weed, "EMBEDDED_WEED_BIN"),
        (binaries.find_postgres, "EMBEDDED_POSTGRES_BIN"),
    ):
        with pytest.raises(NoBinaryError, match=f"{setting} /nowhere"):
            find(Path("/nowhere"))


@pytest.mark.parametrize(
    ("reader", "writer", "reads"),
    [
        ("Valkey 9.1.2", "Redis 7.0.15", True),
        ("Valkey 9.1.2", "Redis 7.4.0", False),
        ("Valkey 9.1.2", "Valkey 8.0.1", True),
        ("Valkey 9.1.2", "Valkey 9.1.9", True),
        ("Valkey 9.1.2", "Valkey 9.2.0", False),
        ("Redis 7.0.15", "Valkey 9.1.2", False),
        ("Redis 7.0.15", "Redis 8.0.0", False),
        ("SeaweedFS 4.48", "SeaweedFS 4.50", False),
    ],
)
def test_which_version_can_read_which_data(reader: str, writer: str, *, reads: bool) -> None:
    versions = [binaries.Version.parse(text) for text in (reader, writer)]
    assert versions[0]
    assert versions[1]
    assert versions[0].reads(versions[1]) is reads


@pytest.fixture
def other_redis() -> Binaries:
    """Return the path of Debian's Redis."""
    program = Path("/usr/bin/redis-server")
    if not program.exists():
        is_absent("Redis", "redis-server")
    return Binaries(redis=program)


@asynccontextmanager
async def broker(folder: Path, programs: Binaries = WHEELS) -> AsyncIterator[Redis]:
    """Run the broker of a data folder; yield a client."""
    async with (
        servers.running(folder, {"broker"}, binaries=programs) as chosen,
        Redis.from_url(chosen.environment["BROKER_URL"]) as client,
    ):
        yield client


@pytest.mark.parametrize("forgets", [False, True])
async def test_redis_refuses_to_start_on_data_of_valkey(
    tmp_path: Path, other_redis: Binaries, *, forgets: bool
) -> None:
    async with broker(tmp_path) as client:
        await client.set("kept", "kept")
    if forgets:  # a folder of an older release does not have the version file
        (tmp_path / "valkey-broker" / binaries.VERSION_FILE).unlink()

    with pytest.RaisesGroup(VersionMismatchError) as caught:
        async with broker(tmp_path, other_redis):
            pass
    [sentence] = map(str, caught.value.exceptions)
    assert "\n" not in sentence
    for words in ("Valkey 9", "Redis 7", "EMBEDDED_REDIS_BIN", "another DATA_DIR"):
        assert words in sentence
    async with broker(tmp_path) as client:
        assert await client.get("kept") == b"kept"


async def test_valkey_starts_on_data_of_redis(tmp_path: Path, other_redis: Binaries) -> None:
    async with broker(tmp_path, other_redis) as client:
        await client.set("kept", "kept")
        await client.lpush("queue", *range(1000))
    for _ in range(2):
        async with broker(tmp_path) as client:
            assert await client.get("kept") == b"kept"
            assert await client.llen("queue") == 1000


def test_ports_are_kept_while_they_are_free(tmp_path: Path) -> None:
    path = tmp_path / "ports.json"
    first = Ports(path).assign("cache")
    assert Ports(path).assign("cache") == first
    with socket.create_server(("127.0.0.1", first)):
        assert not is_free(first)
        assert Ports(path).assign("cache") != first


@pytest.mark.parametrize("content", ["", "{", "7", "[]x"])
def test_a_damaged_ports_file_is_replaced(tmp_path: Path, content: str) -> None:
    path = tmp_path / "ports.json"
    path.write_text(content, encoding="utf-8")
    port = Ports(path).assign("cache")
    assert Ports(path).assign("cache") == port


def test_ports_with_grpc_are_free_with_their_second_port(tmp_path: Path) -> None:
    path = tmp_path / "ports.json"
    port = Ports(path).assign("weed", with_grpc=True)
    assert port + 10_000 < 32_768  # the start of Linux's ephemeral ports
    with socket.create_server(("127.0.0.1", port + 10_000)):
        assert Ports(path).assign("weed", with_grpc=True) != port


def test_reserved_ports_are_not_used(tmp_path: Path) -> None:
    path = tmp_path / "ports.json"
    port = Ports(path).assign("cache")
    ports = Ports(path)
    ports.reserve(port)
    assert ports.assign("cache") != port


def test_a_locked_folder_names_the_process_that_holds_it(tmp_path: Path) -> None:
    holding = rf"process {os.getpid()}, started .* on port 8080"
    with lock.hold(tmp_path, 8080), pytest.raises(InUseError, match=holding), lock.hold(tmp_path):
        pass
    with lock.hold(tmp_path):
        pass


def test_an_empty_lock_file_is_still_a_lock(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    with (tmp_path / "run" / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(InUseError), lock.hold(tmp_path):
            pass


def test_a_long_log_is_truncated_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data_dir, "LOG_LIMIT_BYTES", 100)
    monkeypatch.setattr(data_dir, "LOG_KEPT_BYTES", 50)
    log = DataDir(tmp_path).log("api")
    log.write_text("\n".join(f"line {number}" for number in range(100)), encoding="utf-8")
    DataDir(tmp_path)
    kept = log.read_text(encoding="utf-8").splitlines()
    assert kept[-1] == "line 99"
    assert kept[0].startswith("line ")
    assert log.stat().st_size <= 50


def test_secrets_are_stable(tmp_path: Path) -> None:
    first = DataDir(tmp_path).secrets
    assert DataDir(tmp_path).secrets == first
    assert json.loads((tmp_path / "secrets.json").read_text(encoding="utf-8")) == first
    assert len(first["s3_encryption_key"]) == 64


@pytest.mark.parametrize("content", [b"", b"eighteen", b"\xff"])
async def test_a_damaged_database_folder_is_named(tmp_path: Path, content: bytes) -> None:
    DataDir(tmp_path)  # with that folder's secrets
    folder = private_folder(tmp_path / "postgres")
    (folder / "PG_VERSION").write_bytes(content)
    launcher = Launcher(DataDir(tmp_path))
    with pytest.raises(DamagedError, match=str(folder / "PG_VERSION")):
        await Postgres(launcher.data_dir, launcher).prepare()


async def test_a_part_that_never_becomes_ready_ends_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process_supervisor, "READY_SECONDS", 0.3)

    async def never() -> bool:
        return False

    code = "import time; print('thinking', flush=True); time.sleep(600)"
    part = ProcessSpec("api", (sys.executable, "-c", code), never)
    async with Launcher(DataDir(tmp_path)) as launcher:
        kept = ProcessSupervisor(part, launcher, {}, lambda _: None)
        with pytest.raises(StartError, match=r"api is not ready after 0.3 s; the end of .*api.log"):
            await kept.start()
        await kept.stop()


async def test_a_cancellation_while_a_part_is_stopped_is_not_swallowed(tmp_path: Path) -> None:
    async with Launcher(DataDir(tmp_path)) as launcher:
        kept = ProcessSupervisor(
            ProcessSpec("api", ("/bin/sleep", "600")), launcher, {}, lambda _: None
        )
        await kept.start()
        stopping = asyncio.create_task(kept.stop())
        await asyncio.sleep(0)
        stopping.cancel()
        with pytest.raises(asyncio.CancelledError):
            await stopping


async def test_restarts_are_delayed_longer_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process_supervisor, "FIRST_DELAY_SECONDS", 0.02)
    monkeypatch.setattr(process_supervisor, "LONGEST_DELAY_SECONDS", 0.08)
    lines: list[str] = []
    async with Launcher(DataDir(tmp_path)) as launcher:
        kept = ProcessSupervisor(ProcessSpec("api", ("/bin/false",)), launcher, {}, lines.append)
        await kept.start()

        async def five() -> bool:
            return len(lines) >= 5

        await wait_until(five, 10)
        await kept.stop()
    delays = [line.partition("restarting in ")[2].partition(" s")[0] for line in lines[:5]]
    assert delays == ["0.02", "0.04", "0.08", "0.08", "0.08"]
    assert lines[0].startswith("api ended with exit code 1,")


async def test_a_restarted_part_is_reported_as_ready(tmp_path: Path) -> None:
    lines: list[str] = []
    async with Launcher(DataDir(tmp_path)) as launcher:
        kept = ProcessSupervisor(
            ProcessSpec("api", ("/bin/sleep", "600")), launcher, {}, lines.append
        )
        await kept.start()
        sleeping: list[psutil.Process] = []

        async def is_asleep() -> bool:
            sleeping[:] = [
                each
                for each in psutil.Process().children(recursive=True)
                if each.cmdline() == ["/bin/sleep", "600"]
            ]
            return bool(sleeping)

        await wait_until(is_asleep, 10)
        sleeping[0].kill()

        async def is_reported() -> bool:
            return len(lines) == 2

        await wait_until(is_reported, 10)
        await kept.stop()
    assert lines[0].startswith("api was ended by SIGKILL, restarting")
    assert lines[1] == "api is ready again"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of its parent's end")
def test_a_child_dies_with_its_parent() -> None:
    child = "from infra.process.system import die_with_parent; die_with_parent(); import time\n"
    child += "print('ready', flush=True); time.sleep(600)"
    parent = "import subprocess, sys, time\n"
    parent += f"child = subprocess.Popen([sys.executable, '-c', {child!r}])\n"
    parent += "print(child.pid, flush=True); time.sleep(600)"
    with subprocess.Popen((sys.executable, "-c", parent), stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout
        lines = {run.stdout.readline().strip() for _ in range(2)}
        process = psutil.Process(int((lines - {"ready"}).pop()))
        run.kill()
        run.wait()
        assert psutil.wait_procs([process], timeout=5)[1] == []
