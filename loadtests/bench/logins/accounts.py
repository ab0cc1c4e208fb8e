"""The accounts of the measurement, and the service that has them."""

import asyncio
import socket
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
from passlib.context import CryptContext
from uuid_utils.compat import uuid7

from deploy.embedded.service import Service, start_service

PASSWORD = "correct horse battery staple"  # pragma: allowlist secret
# Go's bcrypt has this cost unless told otherwise.
OLD_COST = 10
_argon2 = CryptContext(
    schemes=["argon2"],
    argon2__type="ID",
    argon2__time_cost=2,
    argon2__memory_cost=19 * 1024,
    argon2__parallelism=1,
)
_bcrypt = CryptContext(schemes=["bcrypt"], bcrypt__rounds=OLD_COST, bcrypt__ident="2a")


@asynccontextmanager
async def service() -> AsyncIterator[Service]:
    """Run an empty service that does not limit this machine."""
    with tempfile.TemporaryDirectory() as folder, socket.socket() as one, socket.socket() as two:
        ports = []
        for each in (one, two):
            each.bind(("127.0.0.1", 0))
            ports.append(each.getsockname()[1])
        one.close()
        two.close()
        running = await asyncio.to_thread(
            start_service,
            Path(folder) / "data",
            *ports,
            environment={"RATE_LIMIT_EXEMPT": "127.0.0.1", "LOG_LEVEL": "WARNING"},
        )
        try:
            yield running
        finally:
            await asyncio.to_thread(running.stop)


async def add(running: Service, username: str, *, old: bool = False) -> None:
    """Add a student: with a hash as we make them, or as the old service made them."""
    connection = await asyncpg.connect(running.env["DATABASE_URL"])
    try:
        await connection.execute(
            "INSERT INTO users (id, username, password_hash, role) VALUES ($1, $2, $3, 'student')",
            *(uuid7(), username, (_bcrypt if old else _argon2).hash(PASSWORD)),
        )
    finally:
        await connection.close()
