"""Rows of the audit log cannot be changed, and not be deleted for a year."""

import asyncpg
import pytest
from uuid_utils.compat import uuid7

ADD = (
    "INSERT INTO audit_log (id, at, action, outcome) "
    "VALUES ($1, now() - make_interval(days => $2), 'courses.delete', 'done')"
)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_log SET actor = 'somebody else'",
        "UPDATE audit_log SET at = now() - interval '2 years'",
        "DELETE FROM audit_log",
        "TRUNCATE audit_log",
    ],
)
async def test_an_entry_cannot_be_changed_or_deleted(connection, statement):
    await connection.execute(ADD, uuid7(), 364)
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="append-only"):
        await connection.execute(statement)
    assert await connection.fetchval("SELECT count(*) FROM audit_log WHERE actor IS NULL") == 1


async def test_an_entry_of_more_than_a_year_ago_can_be_deleted(connection):
    await connection.execute(ADD, uuid7(), 366)
    assert await connection.execute("DELETE FROM audit_log") == "DELETE 1"
