"""What is counted of each statement of the pools: its time, and the reason of its error."""

import asyncio
import re
from functools import lru_cache
from typing import Any

import asyncpg

from infra.observability import metrics

OPERATIONS = frozenset({"select", "insert", "update", "delete"})
# Statements are constants or made by the ORM in a few forms.
MAX_STATEMENTS = 512

_INNERMOST = re.compile(r"\([^()]*\)")
_VERB = re.compile(r"\b(?:select|insert|update|delete)\b", re.IGNORECASE)
# A constraint that refuses a row answers the statement: that is how the service works.
_ANSWERS = (asyncio.CancelledError, asyncpg.IntegrityConstraintViolationError)
# The first match counts: some of the classes are derived from later ones.
_REASONS: tuple[tuple[str, tuple[type[BaseException], ...]], ...] = (
    (
        "timeout",
        (
            TimeoutError,
            asyncpg.QueryCanceledError,
            asyncpg.IdleInTransactionSessionTimeoutError,
            asyncpg.TransactionTimeoutError,
        ),
    ),
    ("conflict", (asyncpg.TransactionRollbackError, asyncpg.LockNotAvailableError)),
    (
        "resources",
        (asyncpg.InsufficientResourcesError, asyncpg.ReadOnlySQLTransactionError, MemoryError),
    ),
    (
        "connection",
        (
            OSError,
            asyncpg.InterfaceError,
            asyncpg.InternalClientError,
            asyncpg.PostgresConnectionError,
            asyncpg.OperatorInterventionError,
            asyncpg.InvalidAuthorizationSpecificationError,
            asyncpg.InvalidCatalogNameError,
        ),
    ),
)


def count_statement(logged: Any) -> None:
    """Count a statement (asyncpg's `LoggedQuery`), unless its caller cancelled it."""
    error = logged.exception
    if not isinstance(error, asyncio.CancelledError):
        metrics.queries.observe(logged.elapsed, (operation_of(logged.query),))
    if error is not None and not isinstance(error, _ANSWERS):
        metrics.database_errors.inc(labels=(reason_of(error),))


@lru_cache(maxsize=MAX_STATEMENTS)
def operation_of(statement: str) -> str:
    """Return what a statement does: its main verb, after the parts of a WITH, or `other`."""
    words = statement.lstrip("( \n").split(None, 1)
    verb = words[0].lower() if words else ""
    if verb == "with":
        shorter, longer = statement, ""
        while shorter != longer:
            longer, shorter = shorter, _INNERMOST.sub("", shorter)
        found = _VERB.search(shorter)
        verb = found[0].lower() if found else ""
    return verb if verb in OPERATIONS else "other"


def reason_of(error: BaseException) -> str:
    """Return why a statement or a connection failed; `statement` if the statement is at fault."""
    return next((reason for reason, kinds in _REASONS if isinstance(error, kinds)), "statement")
