"""The writer of denied calls survives every database error."""

import asyncio
from contextlib import suppress

import asyncpg
import pytest

from infra.db.engine import database
from models import AuditEntry
from services.audit import denied
from services.audit.denied import Denial, DeniedAudit
from services.audit.trail import Action
from tests.factories import eventually


@pytest.fixture(scope="module")
async def url(new_database):
    """A database of the test's own."""
    return await new_database()


@pytest.fixture
async def other(url):
    """A connection that the writer does not use."""
    connection = await asyncpg.connect(url)
    yield connection
    await connection.close()


@pytest.fixture
async def written(url, other, monkeypatch):
    """A running writer; `written(code)` adds a denial and returns whether it is stored soon."""
    monkeypatch.setattr(denied, "FLUSH_SECONDS", 0.05)
    writer = DeniedAudit()

    async def written(code):
        writer.add(Denial(Action.REQUEST, code), None)

        async def is_there():
            query = "SELECT FROM audit_log WHERE details->>'code' = $1"
            return await other.fetch(query, code)

        return await eventually(is_there, within=3)

    async with database(url, pool_size=2):
        written.writer = writer
        writing = asyncio.create_task(writer.run())
        yield written
        assert not writing.done()
        writing.cancel()


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.InterfaceError("the connection is closed"),
        asyncpg.ConnectionDoesNotExistError("it was closed in the middle"),
        asyncpg.AdminShutdownError("terminating connection"),
        asyncpg.TooManyConnectionsError("too many clients"),
        asyncpg.CannotConnectNowError("the database system is starting up"),
        ConnectionResetError(),
        ValueError("unforeseen"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_the_writer_continues_after_any_error(written, monkeypatch, capsys, error):
    code = type(error).__name__
    failed = asyncio.Event()
    working = AuditEntry.bulk_create

    async def failing(_entries):
        failed.set()
        raise error

    monkeypatch.setattr(AuditEntry, "bulk_create", failing)
    written.writer.add(Denial(Action.REQUEST, f"LOST-{code}"), None)
    await asyncio.wait_for(failed.wait(), 3)
    monkeypatch.setattr(AuditEntry, "bulk_create", working)
    assert await written(f"NEXT-{code}")
    # The log has what the table does not have.
    assert f"LOST-{code}" in capsys.readouterr().out


async def test_the_writer_continues_after_its_connections_were_terminated(other, written):
    assert await written("BEFORE")
    await other.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    # This entry is lost with its connection if the pool did not notice the loss yet.
    with suppress(AssertionError):
        await written("DURING")
    assert await written("AFTER")


async def test_an_entry_that_the_table_refuses_does_not_affect_others(other, written):
    for number in range(3):
        written.writer.add(Denial(Action.LOGIN, f"NEIGHBOUR-{number}", actor="guessed"), None)
    # A column type cannot exclude this: jsonb has no NUL.
    written.writer.add(Denial(Action.LOGIN, "BAD\0", actor="guessed"), None)
    assert await written("LAST")
    found = await other.fetch("SELECT details->>'code' AS code FROM audit_log")
    assert {f"NEIGHBOUR-{number}" for number in range(3)} <= {row["code"] for row in found}


async def test_texts_of_any_length_and_content_can_be_stored(other, written):
    odd = "\0\ud800" + "x" * 10_000
    refusal = Denial(Action.LOGIN, "LONG", actor=odd, target=odd, address=odd)
    written.writer.add(refusal, odd)
    assert await written("AFTER-LONG")
    [row] = await other.fetch("SELECT * FROM audit_log WHERE details->>'code' = 'LONG'")
    lengths = [len(row[name]) for name in ("actor", "target", "address", "request_id")]
    assert lengths == [255, 512, 64, 128]
