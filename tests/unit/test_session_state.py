"""State of a database session is used on direct connections only: a pooler gives each transaction
another session, and a pooled connection is not reset when it is released."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("api", "cli", "infra", "models", "services", "tasks", "worker")
# Keywords are upper case in our SQL.
STATE = re.compile(
    r"\bpg_(?:try_)?advisory_(?:un)?lock"  # those of transactions have `_xact_`
    r"|(?:^|;)\s*(?:UN)?LISTEN\s+[\w*]"
    r"|(?:^|;)\s*(?:PREPARE|DEALLOCATE|DISCARD|RESET|COPY|LOAD)\s"
    r"|(?:^|;)\s*SET\s+(?!LOCAL\b|TRANSACTION\b|CONSTRAINTS\b)\w+\s*(?:=|TO\b)"
    r"|\bWITH\s+HOLD\b|\bCREATE\s+(?:LOCAL\s+)?TEMP"
    r"|\bset_config\s*\([^;]*?,\s*false\s*\)|\b(?:curr|last)val\s*\("
)
# Each uses a connection of `direct_connection`.
DIRECT = {"infra/backup/source.py", "infra/db/migrations.py", "infra/queue/liveness.py"}


def _texts(source: str) -> Iterator[str]:
    """Yield the string literals; in place of each value of an f-string there is a name."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.JoinedStr(values):
                parts = (getattr(each, "value", None) for each in values)
                yield "".join(part if isinstance(part, str) else "value" for part in parts)
            case ast.Constant(str() as text):
                yield text


def _uses() -> Iterator[str]:
    for room in ROOMS:
        for file in sorted((ROOT / room).rglob("*.py")):
            if any(STATE.search(text) for text in _texts(file.read_text("utf-8"))):
                yield str(file.relative_to(ROOT))
    for file in sorted((ROOT / "migrations").rglob("*.sql")):
        # Comments and bodies of functions have several statements.
        lines = re.sub(r"--.*", "", file.read_text("utf-8"))
        if STATE.search(lines):
            yield str(file.relative_to(ROOT))


def test_only_direct_connections_have_state_of_a_session():
    assert set(_uses()) == DIRECT


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT pg_advisory_lock(1)",
        "SELECT pg_try_advisory_lock_shared($1)",
        "LISTEN catalogue",
        "SET statement_timeout = 0",
        "BEGIN; SET work_mem TO '1GB'",
        "SELECT set_config('a.b', $1, false)",
        "PREPARE one AS SELECT 1",
        "DECLARE c CURSOR WITH HOLD FOR SELECT 1",
        "CREATE TEMP TABLE x (y int)",
        "SELECT currval('s')",
    ],
)
def test_such_statements_are_found(statement):
    assert STATE.search(statement)


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT pg_try_advisory_xact_lock(1, 2)",
        "UPDATE tasks SET state = 'queued'",
        "BEGIN;SET LOCAL statement_timeout = '35s';",
        "PERFORM set_config('catalogue.version', mine::text, true)",
        "SET CONSTRAINTS courses_noted IMMEDIATE",
    ],
)
def test_those_of_a_transaction_are_not(statement):
    assert not STATE.search(statement)
