"""The writer of refusals outlives whatever becomes of the database."""

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
    """A database of its own."""
    return await new_database()


@pytest.fixture
async def other(url):
    """A connection that is none of the writer's."""
    connection = await asyncpg.connect(url)
    yield connection
    await connection.close()


@pytest.fixture
async def written(url, other, monkeypatch):
    """A writer at work; `written(code)` adds a refusal and tells whether it is written soon."""
    monkeypatch.setattr(denied, "FLUSH_SECONDS", 0.05)
    writer = DeniedAudit()

    async def written(code):
        writer.add(Denial(Action.REQUEST, code), None)

        async def is_there():
            question = "SELECT FROM audit_log WHERE details->>'code' = $1"
            return await other.fetch(question, code)

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
        ValueError("nobody foresaw it"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_the_writer_goes_on_after_any_error(written, monkeypatch, capsys, error):
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
    # What the table does not have, the log does.
    assert f"LOST-{code}" in capsys.readouterr().out


async def test_the_writer_goes_on_after_its_connections_were_ended(other, written):
    assert await written("BEFORE")
    await other.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    # This one is lost with its connection, if nobody knew yet that it is dead.
    with suppress(AssertionError):
        await written("DURING")
    assert await written("AFTER")


async def test_an_entry_that_the_table_refuses_costs_none_of_its_neighbours(other, written):
    for number in range(3):
        written.writer.add(Denial(Action.LOGIN, f"NEIGHBOUR-{number}", actor="guessed"), None)
    # Details no column type can bound: jsonb has no NUL.
    written.writer.add(Denial(Action.LOGIN, "BAD\0", actor="guessed"), None)
    assert await written("LAST")
    found = await other.fetch("SELECT details->>'code' AS code FROM audit_log")
    assert {f"NEIGHBOUR-{number}" for number in range(3)} <= {row["code"] for row in found}


async def test_texts_of_any_length_and_kind_are_entries(other, written):
    odd = "\0\ud800" + "x" * 10_000
    refusal = Denial(Action.LOGIN, "LONG", actor=odd, target=odd, address=odd)
    written.writer.add(refusal, odd)
    assert await written("AFTER-LONG")
    [row] = await other.fetch("SELECT * FROM audit_log WHERE details->>'code' = 'LONG'")
    lengths = [len(row[name]) for name in ("actor", "target", "address", "request_id")]
    assert lengths == [255, 512, 64, 128]
