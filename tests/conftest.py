"""The running service, once a session, and databases for tests that need their own."""

import os
import signal

import asyncpg
import httpx
import pytest
from passlib.context import CryptContext
from uuid_utils.compat import uuid7

from deploy.embedded.service import start_service
from infra.cache import NoCache
from infra.db.engine import database
from infra.db.migrations import migrate
from infra.queue import hooks
from services.task_hooks import TaskHooks
from tests import forkserver
from tests.factories import Api, free_ports

pytest_plugins = ["tests.application", "tests.faults.table", "tests.poolers"]
# A shell's background jobs ignore Ctrl-C, and so would all that the tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)


class FailureLines:
    """Names each failure at once, for a run that is cut short has no summary."""

    def __init__(self, config):
        self._config = config

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logreport(self, report):
        if report.failed:
            crash = getattr(report.longrepr, "reprcrash", None)
            message = crash.message if crash else report.longreprtext
            self._config.get_terminal_writer().line(f"\n{report.nodeid} failed: {message}")


def pytest_configure(config):
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(FailureLines(config))


@pytest.fixture(scope="session")
def service(tmp_path_factory):
    """The complete service as `make run` starts it: real servers, processes and HTTP."""
    port, flower_port = free_ports(2)
    # The tests send many requests from one address; tests of the limits use other addresses.
    environment = {
        "RATE_LIMIT_EXEMPT": "127.0.0.1",
        "TRUSTED_PROXIES": "127.0.0.1",
        "RATE_LIMIT_READS": "300",
        "RATE_LIMIT_WRITES": "30",
        "RATE_LIMIT_UPLOADS": "10",
        "RATE_LIMIT_LOGINS": "40",
    }
    folder = tmp_path_factory.mktemp("service")
    running = start_service(folder, port, flower_port, environment=environment)
    yield running
    running.stop()


@pytest.fixture(scope="session")
def enroll(service):
    """Runs `enroll` with the service's settings; returns exit code, output and errors."""

    async def run(*arguments, typed="", environment=None):
        env = os.environ | service.env | {"COLUMNS": "250"} | (environment or {})
        done = await forkserver.enroll(*arguments, env=env, typed=typed)
        return done.code, done.output, done.errors

    return run


@pytest.fixture(scope="session")
async def client(service):
    """An HTTP client of the running API."""
    async with httpx.AsyncClient(base_url=service.base_url, timeout=30) as client:
        yield client


@pytest.fixture(scope="session")
async def api(client):
    """The API with an admin's token."""
    return await Api.log_in(client)


@pytest.fixture(scope="session")
async def new_database(service):
    """Creates databases on the service's server; they end with it."""
    url = service.env["DATABASE_URL"]
    server = await asyncpg.connect(url)
    templates = []

    async def create(template: str = "template1") -> tuple[str, str]:
        name = f"test_{uuid7().hex}"
        await server.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        return name, url.replace("/course_enrollment", f"/{name}")

    async def make(*, migrated: bool = True) -> str:
        if migrated and not templates:
            template, own = await create()
            await migrate(own)
            # A copy takes a fraction of the time of all migrations.
            templates.append(template)
        _, own = await create(*templates[:migrated])
        return own

    yield make
    await server.close()


@pytest.fixture(scope="session")
async def new_user(service):
    """Creates accounts of the service; returns their credentials."""
    connection = await asyncpg.connect(service.env["DATABASE_URL"])
    # A cheap hash of the old service's kind, so that all tests verify one.
    hashes = CryptContext(schemes=["bcrypt"], bcrypt__rounds=4, bcrypt__ident="2a")

    async def make(*, role: str = "student", password: str = "correct horse") -> dict[str, str]:
        username = f"user-{uuid7().hex}"
        await connection.execute(
            "INSERT INTO users (id, username, password_hash, role) VALUES ($1, $2, $3, $4)",
            *(uuid7(), username, hashes.hash(password), role),
        )
        return {"username": username, "password": password}

    yield make
    await connection.close()


@pytest.fixture
def task_hooks():
    """What each process of the service registers before it operates on tasks."""
    with hooks.registered(TaskHooks(NoCache())):
        yield


@pytest.fixture
async def connect(new_database):
    """Open connections to a database of the test's own, as relays have them."""
    url, opened = await new_database(), []

    async def connect():
        opened.append(await asyncpg.connect(url))
        return opened[-1]

    async with database(url, pool_size=3):
        yield connect
    for connection in opened:
        await connection.close()


@pytest.fixture
async def connection(new_database):
    """A connection to a migrated, empty database."""
    connection = await asyncpg.connect(await new_database())
    yield connection
    await connection.close()
