"""A process follows ended sessions within a second, without a query per request."""

import asyncio
import time

import asyncpg
import pytest
from uuid_utils.compat import uuid7

from infra.db.engine import database
from infra.db.feed import POLL_SECONDS, DatabaseFeed
from services.auth import sessions
from services.auth.revocations import FRESH_SECONDS, Revocations
from tests.factories import eventually

END = "UPDATE sessions SET revoked_at = clock_timestamp() WHERE id = $1"


@pytest.fixture(scope="module")
async def url(new_database):
    """A database of the test's own."""
    return await new_database()


@pytest.fixture
async def rows(url):
    """Queries the database without the pool."""
    connection = await asyncpg.connect(url)
    yield connection.fetch
    await connection.close()


@pytest.fixture
async def new_session(rows):
    """Opens a session; returns its id."""

    async def make(tokens_until="now() + interval '1 hour'"):
        user_id, session_id = uuid7(), uuid7()
        await rows(
            "INSERT INTO users (id, username, password_hash, role) VALUES ($1, $2, '!', 'student')",
            *(user_id, user_id.hex),
        )
        await rows(
            "INSERT INTO sessions (id, user_id, expires_at, tokens_until) "
            f"VALUES ($1, $2, now() + interval '1 day', {tokens_until})",
            *(session_id, user_id),
        )
        return session_id

    return make


@pytest.fixture
async def revocations(url):
    """The revocations that a process knows, kept up to date."""
    known = Revocations()
    async with database(url, pool_size=2):
        following = asyncio.create_task(DatabaseFeed(url, known).follow())
        await eventually(lambda: asyncio.sleep(0, known.is_fresh))
        yield known
        following.cancel()


@pytest.fixture
def forbid_queries(monkeypatch):
    """Forbids the process to query the database for a session."""

    async def ask(session_id):
        pytest.fail(f"the database was queried for {session_id}")

    monkeypatch.setattr(sessions, "is_revoked", ask)


@pytest.mark.usefixtures("forbid_queries")
async def test_a_notification_is_effective_at_once(revocations, new_session, rows):
    session_id = await new_session()
    assert not await revocations.has(session_id)
    await rows(END, session_id)
    await eventually(lambda: revocations.has(session_id), within=POLL_SECONDS / 2)


@pytest.mark.usefixtures("forbid_queries")
async def test_a_poll_finds_what_no_notification_announced(revocations, new_session, rows):
    session_id = await new_session()
    await rows("ALTER TABLE sessions DISABLE TRIGGER sessions_revoked")
    await rows(END, session_id)
    await eventually(lambda: revocations.has(session_id), within=2 * POLL_SECONDS)
    await rows("ALTER TABLE sessions ENABLE TRIGGER sessions_revoked")


@pytest.mark.usefixtures("forbid_queries")
async def test_sessions_that_ended_before_the_start_are_known(url, new_session, rows):
    session_id = await new_session()
    long_ago = "UPDATE sessions SET revoked_at = now() - interval '5 hours' WHERE id = $1"
    await rows(long_ago, session_id)
    known = Revocations()
    following = asyncio.create_task(DatabaseFeed(url, known).follow())
    await eventually(lambda: asyncio.sleep(0, known.is_fresh))
    assert await known.has(session_id)
    following.cancel()


async def test_a_process_without_a_feed_queries_each_session(url, new_session, rows):
    session_id = await new_session()
    known = Revocations()
    async with database(url, pool_size=2):
        assert not known.is_fresh
        assert not await known.has(session_id)
        await rows(END, session_id)
        assert await known.has(session_id)


async def test_a_lost_connection_is_opened_again(revocations, new_session, rows):
    await rows(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND query LIKE '%tokens_until%' "
        "AND pid <> pg_backend_pid()"
    )
    session_id = await new_session()
    await rows(END, session_id)
    assert await eventually(lambda: revocations.has(session_id), within=1)
    await eventually(lambda: asyncio.sleep(0, revocations.is_fresh), within=5)


async def test_the_known_state_expires_within_a_second(url):
    known = Revocations()
    following = asyncio.create_task(DatabaseFeed(url, known).follow())
    await eventually(lambda: asyncio.sleep(0, known.is_fresh))
    following.cancel()
    started = time.monotonic()
    await eventually(lambda: asyncio.sleep(0, not known.is_fresh), within=FRESH_SECONDS + 0.1)
    assert time.monotonic() - started <= 1


async def test_sessions_whose_tokens_have_expired_are_forgotten(
    url, new_session, rows, monkeypatch
):
    monkeypatch.setattr("services.auth.revocations.RELOAD_SECONDS", 0.0)
    over = await new_session("now() - interval '2 hours'")
    await rows(END, over)
    known = Revocations()
    known.add(over)
    following = asyncio.create_task(DatabaseFeed(url, known).follow())
    async with database(url, pool_size=1):

        async def is_forgotten():
            return known.is_fresh and over not in known.ended

        await eventually(is_forgotten, within=3)
    following.cancel()


async def test_pruning_keeps_sessions_with_valid_tokens(url, new_session, rows):
    held, over = await new_session(), await new_session("now() - interval '2 hours'")
    for session_id in (held, over):
        await rows(END, session_id)
        await rows("UPDATE sessions SET expires_at = now() WHERE id = $1", session_id)
        await rows(
            "INSERT INTO refresh_tokens (digest, session_id, expires_at) VALUES ($1, $2, now())",
            *(session_id.hex, session_id),
        )
    async with database(url, pool_size=1):
        await sessions.prune()
    left = await rows("SELECT id FROM sessions WHERE id = ANY($1)", [held, over])
    assert [row["id"] for row in left] == [held]
    assert await rows("SELECT FROM refresh_tokens WHERE session_id = $1", held) == []
