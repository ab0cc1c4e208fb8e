"""The last admin who can log in is not disabled by mistake or by two concurrent commands."""

import asyncio
import os
import pty
from contextlib import suppress

import asyncpg
import pytest
from uuid_utils.compat import uuid7

from infra.db.engine import database
from services.auth import accounts
from services.auth.accounts import LastAdmin
from tests import forkserver

FAILED, USAGE = 1, 2


@pytest.fixture
async def url(new_database):
    """A database with two admins, one of them disabled, and a student."""
    url = await new_database()
    connection = await asyncpg.connect(url)
    for name, role, is_disabled in (
        ("ada", "admin", False),
        ("bob", "admin", True),
        ("eve", "student", False),
    ):
        await connection.execute(
            "INSERT INTO users (id, username, password_hash, role, disabled_at) "
            "VALUES ($1, $2, 'none', $3, CASE WHEN $4 THEN now() END)",
            *(uuid7(), name, role, is_disabled),
        )
    await connection.close()
    return url


async def admins(url):
    connection = await asyncpg.connect(url)
    try:
        rows = await connection.fetch(
            "SELECT username FROM users WHERE role = 'admin' AND disabled_at IS NULL"
        )
    finally:
        await connection.close()
    return {row["username"] for row in rows}


async def disable(url, *arguments, terminal=None):
    """Run `enroll users disable`; return its exit code and output."""
    environment = os.environ | {"DATABASE_URL": url, "CACHE_URL": "memory://", "TERM": "dumb"}
    done = await forkserver.enroll("users", "disable", *arguments, env=environment, stdin=terminal)
    return done.code, done.output + done.errors


async def test_a_script_needs_an_option_to_disable_the_last_admin(url):
    code, output = await disable(url, "ada")
    assert code == USAGE
    assert output == "enroll: This is the last admin who may log in; --yes disables it anyway\n"
    assert await admins(url) == {"ada"}

    code, output = await disable(url, "ada", "--yes")
    assert code == 0, output
    assert await admins(url) == set()


async def test_other_users_are_disabled_without_confirmation(url):
    for name in ("eve", "bob"):
        code, output = await disable(url, name)
        assert code == 0, output


@pytest.mark.parametrize(("reply", "expected"), [("y", 0), ("n", FAILED), ("", FAILED)])
async def test_an_operator_on_a_terminal_has_to_confirm(url, reply, expected):
    ours, theirs = pty.openpty()
    try:
        os.write(ours, f"{reply}\n".encode())
        code, output = await disable(url, "ada", terminal=theirs)
    finally:
        os.close(theirs)
        with suppress(OSError):
            os.close(ours)
    assert code == expected, output
    assert "Disable ada anyway?" in output
    assert await admins(url) == (set() if reply == "y" else {"ada"})


async def test_of_two_concurrent_commands_one_is_refused(url):
    async with database(url, pool_size=2):
        for _ in range(10):
            await accounts.enable("ada")
            await accounts.enable("bob")
            outcomes = await asyncio.gather(
                accounts.disable("ada"), accounts.disable("bob"), return_exceptions=True
            )
            assert [isinstance(each, LastAdmin) for each in outcomes].count(True) == 1, outcomes
            assert len(await admins(url)) == 1
