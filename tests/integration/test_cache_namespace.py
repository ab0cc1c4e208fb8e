"""The cache's key prefix differs between deployments that share one Redis."""

import re
from uuid import uuid4

import asyncpg
import pytest

from infra.db.engine import database
from services.catalogue import read

PLACE = "/media/{}".format


@pytest.fixture
async def guest(new_database):
    """An account that may only connect: makes its URL of a database."""
    server = await asyncpg.connect(await new_database(migrated=False))
    name = f"guest_{uuid4().hex}"
    await server.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'guest'")

    async def make(url):
        own = await asyncpg.connect(url)
        await own.execute("REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC")
        await own.close()
        return re.sub(r"//[^@]*@", f"//{name}:guest@", url)

    yield make
    await server.execute(f"DROP ROLE {name}")
    await server.close()


async def _namespace(url, place=PLACE):
    async with database(url, pool_size=1):
        return await read.namespace(place)


async def test_each_database_has_its_own_namespace_under_any_of_its_host_names(new_database):
    url, other = await new_database(migrated=False), await new_database(migrated=False)
    elsewhere = url.replace("127.0.0.1", "localhost")
    assert elsewhere != url
    namespace = await _namespace(url)
    assert await _namespace(elsewhere) == namespace
    assert await _namespace(other) != namespace
    assert await _namespace(url, "https://images.example.org/{}".format) != namespace


async def test_a_namespace_needs_no_right_to_read_the_servers_identifier(new_database, guest):
    one, other = [await guest(await new_database(migrated=False)) for _ in range(2)]
    namespaces = [await _namespace(url) for url in (one, other, one)]
    assert namespaces[0] != namespaces[1]
    assert namespaces[0] == namespaces[2]
