"""An API in production mode beside the session's service, on its servers."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import httpx
import pytest

from tests import forkserver
from tests.absent import is_absent
from tests.factories import ADMIN as ADMIN_OF_THE_SERVICE
from tests.factories import eventually, free_ports
from tests.security.tls import tls_database

FRONT_END = "https://app.example.org"
OTHER_FRONT_END = "http://localhost:3000"
# Secrets that must not appear anywhere; the servers' own secrets come with `service`.
CANARIES = {
    "JWT_SECRET": "canary-of-the-tokens-secret-7f3e9a1c5b",
    "ADMIN_PASSWORD": "canary-of-the-admins-password-4d8e2f",
}
ADMIN = {"username": "admin-of-production", "password": CANARIES["ADMIN_PASSWORD"]}
SETTINGS = {
    **CANARIES,
    "ENVIRONMENT": "production",
    # The embedded servers have no TLS.
    "CACHE_PLAINTEXT": "true",
    "BROKER_PLAINTEXT": "true",
    "STORAGE_PLAINTEXT": "true",
    "ADMIN_USERNAME": ADMIN["username"],
    "CORS_ORIGINS": f"{FRONT_END},{OTHER_FRONT_END}",
    "ENROLLMENT_ACCESS": "authenticated",
    "STORAGE_PUBLIC_URL": "",
    "API_WORKERS": "1",
    "LOG_LEVEL": "DEBUG",
}


@dataclass
class Production:
    """A running API in production mode; `output` is its log."""

    client: httpx.AsyncClient
    output: Path


@asynccontextmanager
async def without_default_password(url: str) -> AsyncIterator[None]:
    """Replace the default password of the shared database's admin for the duration of the block.

    Production refuses to start with it.
    """
    name = ADMIN_OF_THE_SERVICE["username"]
    change = "UPDATE users SET password_hash = $2 WHERE username = $1"
    connection = await asyncpg.connect(url)
    try:
        kept = await connection.fetchval(
            "SELECT password_hash FROM users WHERE username = $1", name
        )
        await connection.execute(change, name, "hidden")
        try:
            yield
        finally:
            await connection.execute(change, name, kept)
    finally:
        await connection.close()


@pytest.fixture(scope="session")
async def production(service, tmp_path_factory):
    """The API in production: no defaults, TLS to the database, listed origins."""
    if shutil.which("openssl") is None:
        is_absent("openssl", "openssl")
    folder = tmp_path_factory.mktemp("production")
    output = folder / "api.log"
    (port,) = free_ports(1)
    places = {"PORT": str(port), "DATA_DIR": str(folder / "data"), "DRAIN_SECONDS": "0"}
    async with tls_database(service.env["DATABASE_URL"], folder) as url:
        environment = os.environ | service.env | SETTINGS | places | {"DATABASE_URL": url}
        with output.open("wb") as file:
            process = forkserver.start(
                *("-m", "cli", "api"),
                env=environment,
                stdout=file,
                stderr=file,
            )
        base_url = f"http://127.0.0.1:{port}"
        async with httpx.AsyncClient(base_url=base_url, timeout=30) as client:

            async def responses():
                assert process.poll() is None, output.read_text()
                try:
                    return (await client.get("/health/ready")).status_code == 200
                except httpx.TransportError:
                    return False

            async with without_default_password(service.env["DATABASE_URL"]):
                await eventually(responses)
            yield Production(client, output)
        process.terminate()
        await asyncio.to_thread(process.wait)
