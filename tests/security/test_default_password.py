"""The check for the default password reads the database, not the setting."""

import os
import shutil

import asyncpg
import pytest
from passlib.context import CryptContext
from uuid_utils.compat import uuid7

from infra.db.engine import database
from services.auth import accounts
from services.auth.accounts import KnownPassword
from tests import forkserver
from tests.absent import is_absent
from tests.factories import free_ports
from tests.security.conftest import SETTINGS
from tests.security.tls import tls_database

PASSWORD = "admin!dev"
USAGE = 2
HASHES = {
    "argon2id": CryptContext(schemes=["argon2"]).hash(PASSWORD),
    "bcrypt of the old service": CryptContext(
        schemes=["bcrypt"], bcrypt__rounds=4, bcrypt__ident="2a"
    ).hash(PASSWORD),
}


async def add(url, *users):
    connection = await asyncpg.connect(url)
    try:
        for name, role, password_hash, is_disabled in users:
            await connection.execute(
                "INSERT INTO users (id, username, password_hash, role, disabled_at) "
                "VALUES ($1, $2, $3, $4, CASE WHEN $5 THEN now() END)",
                *(uuid7(), name, password_hash, role, is_disabled),
            )
    finally:
        await connection.close()


@pytest.fixture
async def production_database(new_database, tmp_path):
    """A migrated database without accounts: its plain URL, and its URL behind TLS."""
    if shutil.which("openssl") is None:
        is_absent("openssl", "openssl")
    url = await new_database()
    async with tls_database(url, tmp_path) as tls_url:
        yield url, tls_url


async def enroll(service, folder, url, *arguments, said=""):
    """Run a command in production; return its exit code and its lines on standard error."""
    (port,) = free_ports(1)
    own = {"DATABASE_URL": url, "DATA_DIR": str(folder), "LOG_LEVEL": "ERROR", "PORT": str(port)}
    environment = os.environ | service.env | SETTINGS | own
    done = await forkserver.enroll(*arguments, env=environment, typed=said)
    return done.code, done.errors.splitlines()


@pytest.mark.parametrize("command", ["api", "worker"])
@pytest.mark.parametrize("kind", HASHES)
async def test_production_refuses_to_serve_with_a_default_password(
    service, production_database, tmp_path, command, kind
):
    url, tls_url = production_database
    await add(url, ("root", "admin", HASHES[kind], False))
    code, lines = await enroll(service, tmp_path, tls_url, command)
    assert code == USAGE, lines
    [line] = lines
    for words in ("'root'", "default", "enroll users passwd"):
        assert words in line


async def test_only_enabled_admins_are_checked(new_database):
    url = await new_database()
    other = CryptContext(schemes=["argon2"]).hash("correct horse")
    default = HASHES["argon2id"]
    await add(
        url,
        ("other", "admin", other, False),
        ("disabled", "admin", default, True),
        ("student", "student", default, False),
        ("broken", "admin", "no hash at all", False),
        ("default", "admin", default, False),
    )
    async with database(url, pool_size=1):
        assert await accounts.admins_with_password(PASSWORD) == ["default"]
        with pytest.raises(KnownPassword):
            await accounts.enable("disabled", refused_password=PASSWORD)
        assert await accounts.admins_with_password(PASSWORD) == ["default"]
        await accounts.enable("disabled")
        assert await accounts.admins_with_password(PASSWORD) == ["default", "disabled"]


async def test_production_refuses_to_set_the_default_password(
    service, production_database, tmp_path
):
    url, tls_url = production_database
    await add(url, ("asleep", "admin", HASHES["argon2id"], True))
    for arguments in (["add", "new"], ["passwd", "asleep"], ["enable", "asleep"]):
        code, lines = await enroll(
            service, tmp_path, tls_url, "users", *arguments, said=f"{PASSWORD}\n"
        )
        assert (code, lines) == (1, [f"enroll: {KnownPassword.__doc__}"])
