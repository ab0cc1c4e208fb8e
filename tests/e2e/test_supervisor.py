"""The supervisor as a user sees it: start, restart, interrupt, kill."""

import asyncio
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import asyncpg
import httpx
import psutil  # type: ignore[import-untyped]
import pytest

from deploy.embedded.errors import StartError
from deploy.embedded.service import ROOT, Service, start_service
from infra.settings import embedded_env_file
from tests.factories import free_ports
from tests.processes import commands_of, processes_of

# Three small programs replace the real services; the test chooses the worker.
DUMMIES = """
import os, sys
from deploy.embedded import probe
from deploy.embedded.__main__ import main
from deploy.embedded.plan import Plan
from deploy.embedded.process import ProcessSpec

def dummies(settings, _data_dir):
    def python(code):
        return (sys.executable, "-c", code)
    async def answers():
        return (await probe.http(f"http://127.0.0.1:{settings.port}/"))[0] == 200
    async def is_ready():
        return "NEVER_READY" not in os.environ
    web = (sys.executable, "-m", "http.server", "--bind", "127.0.0.1", str(settings.port))
    return Plan(
        before=(ProcessSpec("migrate", python("import os; print(os.environ['DATABASE_URL'])")),),
        services=(
            ProcessSpec("api", web, answers),
            ProcessSpec("worker", python(WORKER), is_ready, grace_seconds=3),
        ),
        after=(ProcessSpec("demo", python("pass")),),
    )

WORKER = %r
sys.exit(main(dummies))
"""
SLEEPS = "import time; time.sleep(600)"
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
HAS_CHILD = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {SLEEPS!r}])"

Start = Callable[..., Service]


def dummy_command(worker: str = SLEEPS) -> tuple[str, ...]:
    return (sys.executable, "-c", DUMMIES % worker)


def two_ports() -> dict[str, str]:
    return dict(zip(("PORT", "FLOWER_PORT"), map(str, free_ports(2)), strict=True))


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts services that end with the test."""
    with ExitStack() as services:

        def start(worker: str = SLEEPS, folder: str = "data", **environment: str) -> Service:
            service = start_service(
                tmp_path / folder,
                *free_ports(2),
                environment=environment,
                command=dummy_command(worker),
            )
            services.callback(service.stop)
            return service

        yield start


def refused(**environment: str) -> tuple[int, list[str]]:
    """Run a supervisor that cannot start; return its exit code and output."""
    ended = subprocess.run(
        dummy_command(),
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    return ended.returncode, ended.stderr.splitlines()


def wait_until(check: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def said(service: Service) -> str:
    return service.output.read_text(encoding="utf-8")


def pids_of(service: Service, words: str) -> set[int]:
    """Return the parts whose command line has these words."""
    supervisor = psutil.Process(service.process.pid)
    # Before its exec a new part has the supervisor's command line.
    own = supervisor.cmdline()
    commands = commands_of(supervisor).items()
    return {part.pid for part, found in commands if found != own and words in " ".join(found[:4])}


def query(service: Service, sql: str) -> object:
    async def ask() -> object:
        connection = await asyncpg.connect(service.env["DATABASE_URL"])
        try:
            return await connection.fetchval(sql)
        finally:
            await connection.close()

    with asyncio.Runner() as runner:
        return runner.run(ask())


def test_the_start_prints_all_addresses_and_the_stop_is_in_time(start: Start) -> None:
    service = start()
    env_file = embedded_env_file(service.data_dir)

    assert httpx.get(service.base_url).is_success
    assert stat.S_IMODE(env_file.stat().st_mode) == 0o600
    assert service.env["DATA_DIR"] == str(service.data_dir)
    assert service.env["STORAGE_URL"] == "s3://media"
    assert service.env["PORT"] == service.base_url.rpartition(":")[2]
    for words in ("swagger/index.html", service.flower_url, "admin / admin!dev", "migrate: done"):
        assert words in said(service)
    wait_until(lambda: "demo: done" in said(service), 5)

    began = time.monotonic()
    assert service.stop(signal.SIGINT) == 0
    assert time.monotonic() - began < 10
    assert not env_file.exists()
    assert not processes_of(service.data_dir)


def test_a_killed_supervisor_leaves_no_process_and_the_next_start_recovers(start: Start) -> None:
    service = start(HAS_CHILD)
    query(service, "CREATE TABLE kept AS SELECT 42 AS answer")
    assert len(processes_of(service.data_dir)) > 8

    service.process.kill()
    service.process.wait()
    wait_until(lambda: not processes_of(service.data_dir), 5)
    assert embedded_env_file(service.data_dir).exists()

    again = start()
    assert query(again, "SELECT answer FROM kept") == 42
    assert again.env["DATABASE_URL"] == service.env["DATABASE_URL"]
    assert again.env["PORT"] != service.env["PORT"]


@pytest.mark.parametrize(("name", "words"), [("worker", "time.sleep"), ("postgres", "postgres -D")])
def test_a_part_that_dies_is_restarted(start: Start, name: str, words: str) -> None:
    service = start()
    (before,) = pids_of(service, words)
    os.kill(before, signal.SIGKILL)

    line = f"{name} was ended by SIGKILL, restarting in 0.5 s; log: {service.data_dir}"
    wait_until(lambda: line in said(service), 5)
    wait_until(lambda: bool(pids_of(service, words) - {before}), 10)


def test_a_restarted_database_has_the_same_address(start: Start) -> None:
    service = start()
    (before,) = pids_of(service, "postgres -D")
    os.kill(before, signal.SIGKILL)
    wait_until(lambda: not psutil.pid_exists(before), 5)

    def responses() -> bool:
        try:
            return query(service, "SELECT 1") == 1
        except (OSError, asyncpg.PostgresError):
            return False

    wait_until(responses, 15)


def test_a_part_that_ignores_sigterm_is_killed_after_its_grace_period(start: Start) -> None:
    service = start(STUBBORN)
    began = time.monotonic()
    assert service.stop() == 0
    assert 3 <= time.monotonic() - began < 10
    assert not processes_of(service.data_dir)


def test_a_second_ctrl_c_kills_all_parts_at_once(start: Start) -> None:
    service = start(STUBBORN)
    service.process.send_signal(signal.SIGINT)
    wait_until(lambda: "a second signal kills" in said(service), 5)

    def kill_again() -> bool:
        killed = "killed" in said(service)
        if not killed:
            service.process.send_signal(signal.SIGINT)
        return killed

    began = time.monotonic()
    wait_until(kill_again, 2)
    assert service.process.wait(5) == 130
    assert time.monotonic() - began < 2
    assert not processes_of(service.data_dir)


def test_parts_end_before_the_servers_that_they_use(start: Start) -> None:
    worker = """
import os, signal, socket, time
def end(*_):
    time.sleep(0.5)
    port = int(os.environ["DATABASE_URL"].rpartition(":")[2].partition("/")[0])
    socket.create_connection(("127.0.0.1", port)).close()
    print("postgres was there", flush=True)
    raise SystemExit
signal.signal(signal.SIGTERM, end)
print("ready", flush=True)
time.sleep(600)
"""
    service = start(worker)
    log = service.data_dir / "logs" / "worker.log"
    wait_until(lambda: "ready" in log.read_text(encoding="utf-8"), 5)
    service.stop()
    assert "postgres was there" in log.read_text(encoding="utf-8")


def test_two_instances_run_side_by_side(start: Start) -> None:
    one, other = start(folder="one"), start(folder="other")
    assert httpx.get(one.base_url).is_success
    assert httpx.get(other.base_url).is_success
    assert not set(one.env.values()) & set(other.env.values()) - {"s3://media", "ap-southeast-2"}


def test_a_server_with_a_url_is_not_started(start: Start) -> None:
    service = start(CACHE_URL="memory://", STORAGE_URL="file:///tmp/media")
    assert "CACHE_URL" not in service.env
    assert "S3_ENDPOINT_URL" not in service.env
    assert not (service.data_dir / "logs" / "storage.log").exists()
    assert "file:///tmp/media" in said(service)


def test_a_second_start_names_the_process_that_holds_the_folder(start: Start) -> None:
    service = start()
    code, lines = refused(DATA_DIR=str(service.data_dir), PORT=two_ports()["PORT"])
    assert code == 2
    assert len(lines) == 1
    for words in (f"process {service.process.pid}", "started 20", f"port {service.env['PORT']}"):
        assert words in lines[0]


@pytest.mark.parametrize("key", ["PORT", "FLOWER_PORT"])
def test_a_port_in_use_is_named(key: str, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        ports = two_ports() | {key: port}
        code, lines = refused(DATA_DIR=str(tmp_path), **ports)
    said = f"enroll: {key}: {port} of 127.0.0.1 is taken by another program; set another {key}"
    assert (code, lines) == (2, [said])


@pytest.mark.parametrize("host", ["203.0.113.1", "no.such.host.invalid"])
def test_an_address_of_another_machine_is_not_reported_as_in_use(host: str, tmp_path: Path) -> None:
    ports = two_ports()
    code, lines = refused(DATA_DIR=str(tmp_path), HOST=host, **ports)
    assert (code, len(lines)) == (2, 1)
    assert lines[0].startswith(f"enroll: HOST: nothing can listen on {host} here")


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[1]", b"7", b"\xff\xfe"],
    ids=["empty", "cut", "list", "number", "binary"],
)
def test_damaged_secrets_are_reported_in_one_sentence(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "secrets.json"
    path.write_bytes(content)
    ports = two_ports()
    code, lines = refused(DATA_DIR=str(tmp_path), **ports)
    assert (code, len(lines)) == (1, 1)
    assert lines[0].startswith(f"enroll: {path} is damaged")
    assert path.read_bytes() == content


def test_data_without_its_secrets_is_reported_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "postgres").mkdir()
    ports = two_ports()
    code, lines = refused(DATA_DIR=str(tmp_path), **ports)
    assert (code, len(lines)) == (1, 1)
    assert f"{tmp_path / 'secrets.json'} is missing" in lines[0]


def test_bad_settings_are_named_without_a_traceback(tmp_path: Path) -> None:
    code, lines = refused(DATA_DIR=str(tmp_path), PORT="http", API_WORKERS="0")
    assert code == 2
    assert [line.split(":")[:2] for line in lines] == [
        ["enroll", " PORT"],
        ["enroll", " API_WORKERS"],
    ]


def test_a_part_that_cannot_start_ends_all_others_and_shows_its_log(
    start: Start, tmp_path: Path
) -> None:
    with pytest.raises(StartError, match="worker ended 3 times while starting"):
        start("raise SystemExit('no such luck')", NEVER_READY="yes")
    output = (tmp_path / "data.out").read_text(encoding="utf-8")
    assert "no such luck" in output
    assert "stopped" in output
    assert not processes_of(tmp_path / "data")


def test_an_interrupt_during_the_start_leaves_no_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sleep = time.sleep

    def interrupted(seconds: float) -> None:
        sleep(seconds)
        if "PostgreSQL is ready" in (tmp_path / "data.out").read_text():
            patch.undo()
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(time, "sleep", interrupted)
        with pytest.raises(KeyboardInterrupt):
            start_service(
                tmp_path / "data",
                *free_ports(2),
                environment={"NEVER_READY": "1"},
                command=dummy_command(),
            )
    assert not processes_of(tmp_path / "data")


def test_the_real_service_is_healthy_and_leaves_no_process_when_killed(tmp_path: Path) -> None:
    service = start_service(tmp_path / "data", *free_ports(2))
    try:
        assert httpx.get(f"{service.base_url}/health/ready").is_success
        wait_until(lambda: "demo: done" in said(service), 60)
    finally:
        service.process.kill()
        service.process.wait()
    wait_until(lambda: not processes_of(service.data_dir), 5)
