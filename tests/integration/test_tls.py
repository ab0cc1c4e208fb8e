"""Every connection to PostgreSQL verifies the server as its URL says."""

import ssl
from pathlib import Path

import pytest

from infra.db import dsn
from infra.db.engine import database, direct_connection, is_connected, open_pool, primary
from infra.db.migrations import migrate
from infra.settings import Settings, require_database
from tests.debian import tls_postgres
from tests.security.tls import make_certificate

pytestmark = pytest.mark.debian
USES_TLS = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"


@pytest.fixture(scope="module")
async def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    folder.chmod(0o755)
    certificate, key = make_certificate(folder, "DNS:localhost")
    (unknown := folder / "unknown").mkdir()
    make_certificate(unknown, "DNS:localhost")
    async with tls_postgres(folder / "server", certificate, key) as port:
        yield port, certificate


@pytest.fixture
def authority(server, monkeypatch):
    """Makes the server's certificate a trusted one of the system."""

    def trust(certificate: Path | None) -> None:
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate or "/nothing"))
        monkeypatch.setenv("SSL_CERT_DIR", "/nothing")
        dsn.parse.cache_clear()

    yield trust
    dsn.parse.cache_clear()


async def _pool(url: str) -> bool:
    async with database(url, pool_size=1):
        [found] = await primary().execute_query_dict(USES_TLS)
        return found["ssl"]


async def _replica(url: str) -> bool:
    async with open_pool(url, pool_size=1) as source:
        [found] = await source.execute_query_dict(USES_TLS)
        return found["ssl"]


async def _direct(url: str) -> bool:
    async with direct_connection(url) as connection:
        return await connection.fetchval(USES_TLS)


async def _migrations(url: str) -> bool:
    await migrate(url)
    return True


WAYS = pytest.mark.parametrize("connect", [_pool, _replica, _direct, _migrations])


@WAYS
@pytest.mark.parametrize(
    ("host", "query"),
    [
        ("localhost", "sslmode=require"),
        ("localhost", "sslmode=verify-full&sslrootcert={file}"),
        ("127.0.0.1", "sslmode=verify-ca&sslrootcert={file}"),
        ("localhost", "sslmode=verify-full"),
        ("127.0.0.1", "sslmode=verify-ca"),
        ("localhost", "sslrootcert=system"),
        ("localhost", "sslmode=verify-full&sslrootcert=system"),
    ],
)
async def test_a_verified_server_is_accepted(server, authority, connect, host, query):
    port, certificate = server
    authority(certificate)
    url = f"postgresql://app@{host}:{port}/postgres?{query.format(file=certificate)}"
    assert await connect(url)


@WAYS
@pytest.mark.parametrize(
    ("host", "query"),
    [
        ("127.0.0.1", "sslmode=verify-full&sslrootcert={file}"),
        ("localhost", "sslmode=verify-full"),
        ("localhost", "sslmode=verify-ca"),
        ("localhost", "sslrootcert=system"),
        ("localhost", "sslmode=verify-full&sslrootcert={other}"),
    ],
)
async def test_an_unverified_server_is_refused(server, authority, connect, host, query):
    port, certificate = server
    authority(None)
    other = certificate.parent / "unknown" / certificate.name
    url = f"postgresql://app@{host}:{port}/postgres?{query.format(file=certificate, other=other)}"
    with pytest.raises(ssl.SSLCertVerificationError):
        await connect(url)


async def test_health_reports_an_unverified_server(server, authority):
    port, certificate = server
    url = f"postgresql://app@localhost:{port}/postgres?sslmode=verify-full"
    for trusted, connected in ((certificate, True), (None, False)):
        authority(trusted)
        async with open_pool(url, pool_size=1) as source:
            assert await is_connected(source) == connected


@WAYS
@pytest.mark.parametrize("by_file", [True, False])
async def test_tls_can_be_set_by_the_parts_of_the_url(server, authority, connect, by_file):
    port, certificate = server
    authority(None if by_file else certificate)
    root = str(certificate) if by_file else "system"
    settings = Settings(
        _env_file=None, db_host="localhost", db_port=port, db_user="app", db_name="postgres",
        db_sslmode="verify-full", db_sslrootcert=root,
    )  # fmt: skip
    assert await connect(require_database(settings))
