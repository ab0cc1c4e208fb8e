"""A real streaming replica is read exactly while its answers are current."""

import asyncio
import os
import shutil
import time
from pathlib import Path

import asyncpg
import httpx
import pytest

from deploy.embedded.binaries import find_postgres
from deploy.embedded.data_dir import DataDir
from deploy.embedded.process import UNPRIVILEGED_UID, Launcher, ProcessSpec
from deploy.embedded.servers import running
from tests.factories import ADMIN, COURSE, bearer, eventually, free_ports
from tests.instances import instance

LIST = "/api/v1/admin/enrollments"


@pytest.fixture(scope="module")
async def databases(tmp_path_factory):
    """A primary and its replica: their URLs."""
    folder = tmp_path_factory.mktemp("replica")
    async with running(folder / "primary", {"postgres"}, fsync=False) as servers:
        url = servers.environment["DATABASE_URL"]
        home = DataDir(folder / "replica")
        (port,) = free_ports(1)
        async with Launcher(home) as launcher:
            copy = home.root / "copy"
            copy.mkdir(mode=0o700)
            if os.geteuid() == 0:
                shutil.chown(copy, UNPRIVILEGED_UID, UNPRIVILEGED_UID)
            programs = find_postgres().folder
            await _run(
                launcher,
                *(
                    str(programs / "pg_basebackup"),
                    "-d",
                    url.partition("?")[0].replace("/course_enrollment", "/postgres"),
                    "-D",
                    str(copy),
                    "-R",
                    "-X",
                    "stream",
                    "-c",
                    "fast",
                    "--no-sync",
                ),
            )
            settings = {"port": port, "listen_addresses": "127.0.0.1", "fsync": "off",
                        "max_connections": 200, "unix_socket_directories": ""}  # fmt: skip
            options = [
                part for each in settings.items() for part in ("-c", "=".join(map(str, each)))
            ]
            program = (str(programs / "postgres"), "-D", str(copy), *options)
            await launcher.start(ProcessSpec("replica", program, folder=copy, unprivileged=True))
            replica = url.replace(f":{url.rpartition(':')[2].partition('/')[0]}/", f":{port}/")

            async def responses() -> bool:
                try:
                    connection = await asyncpg.connect(replica)
                except (OSError, asyncpg.PostgresError):
                    return False
                await connection.close()
                return True

            await eventually(responses, within=20)
            yield url, replica


async def _run(launcher, *command: str) -> None:
    folder = Path(command[command.index("-D") + 1])
    part = ProcessSpec("basebackup", command, folder=folder, unprivileged=True)
    assert await launcher.run(part) == 0, launcher.data_dir.log("basebackup").read_text()


@pytest.fixture(scope="module")
async def clients(service, databases, tmp_path_factory):
    """Two instances on both databases, each with the admin's headers."""
    primary, replica = databases
    environment = service.env | {"DATABASE_URL": primary, "CACHE_URL": "memory://"}
    own = {"DATABASE_REPLICA_URL": replica, "API_WORKERS": "2", "SKIP_MIGRATION": "false"}
    folder = tmp_path_factory.mktemp("instances")
    async with (
        instance(folder, environment, **own) as one,
        instance(folder, environment, **own) as other,
        httpx.AsyncClient(base_url=one) as first,
        httpx.AsyncClient(base_url=other) as second,
    ):
        for client in (first, second):
            login = await client.post("/api/v1/auth/login", json=ADMIN)
            assert login.status_code == 200, login.text
            client.headers.update(bearer(login.json()["token"]))
        yield first, second


async def _total(client) -> int:
    return (await client.get(LIST)).json()["total"]


async def _scans(replica: str) -> int:
    """Return the number of scans of enrollments on the replica."""
    connection = await asyncpg.connect(replica)
    query = "SELECT coalesce(seq_scan, 0) + coalesce(idx_scan, 0) FROM pg_stat_user_tables "
    found = await connection.fetchval(query + "WHERE relname = 'enrollments'")
    await connection.close()
    return found or 0


async def _enrol(client, course: dict, number: int) -> None:
    body = {"student_email": f"student{number}@example.org", "course_id": course["id"]}
    response = await client.post("/api/v1/enrollments", json=body)
    assert response.status_code == 201, response.text


async def test_lists_are_read_from_a_current_replica(databases, clients):
    first, _ = clients
    await first.post("/api/v1/courses", json=COURSE)
    before = await _scans(databases[1])

    async def is_used() -> bool:
        await first.get(LIST)
        return await _scans(databases[1]) > before

    await eventually(is_used, within=10)


async def test_a_write_is_listed_at_once_on_its_instance_and_soon_on_others(clients):
    first, second = clients
    course = (await first.post("/api/v1/courses", json=COURSE)).json()
    for number in range(20):
        total = await _total(first)
        await _enrol(first, course, number)
        answered = time.monotonic()
        assert await _total(first) == total + 1
        mine = await first.get(f"/api/v1/students/student{number}@example.org/enrollments")
        assert mine.json()["total"] == 1
        students = await first.get(f"/api/v1/courses/{course['id']}/students")
        assert students.json()["total"] == number + 1

        async def is_seen(total=total) -> bool:
            return await _total(second) == total + 1

        await eventually(is_seen, within=max(0.0, answered + 1 - time.monotonic()))


async def test_a_lagging_replica_is_not_used(databases, clients):
    first, second = clients
    course = (await first.post("/api/v1/courses", json=COURSE)).json()
    replica = await asyncpg.connect(databases[1])
    await replica.execute("SELECT pg_wal_replay_pause()")
    try:
        for number in range(100, 103):
            total = await _total(first)
            await _enrol(first, course, number)
            assert await _total(first) == total + 1
            await asyncio.sleep(1)
            assert await _total(first) == total + 1
            assert await _total(second) == total + 1
    finally:
        await replica.execute("SELECT pg_wal_replay_resume()")
        await replica.close()


async def test_another_primary_is_not_used_as_a_replica(
    service, databases, clients, new_database, tmp_path
):
    """A primary does not report a replication lag."""
    environment = service.env | {"DATABASE_URL": databases[0], "CACHE_URL": "memory://"}
    own = {"DATABASE_REPLICA_URL": await new_database(), "API_WORKERS": "1"}
    async with (
        instance(tmp_path, environment, **own) as base,
        httpx.AsyncClient(base_url=base, headers=clients[0].headers) as client,
    ):
        await asyncio.sleep(1)
        assert await _total(client) == await _total(clients[0]) > 0
