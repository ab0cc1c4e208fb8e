"""Messages for errors of the operating system and the database."""

import errno
import logging
import socket
from collections.abc import Iterator
from dataclasses import dataclass

import asyncpg
from tortoise.exceptions import (
    BaseORMException,
    DBConnectionError,
    TransactionManagementError,
)

from infra.observability.events import Event
from infra.redis_py import RedisError

DISK_FULL = "disk full"
# The errors that `describe` explains.
DATABASE_ERRORS = (OSError, asyncpg.PostgresError, BaseORMException)
_DISK_FULL_ERRNOS = frozenset({errno.ENOSPC, errno.EDQUOT})
_SCHEMA_ERRORS = (asyncpg.UndefinedTableError, asyncpg.UndefinedColumnError)
_ADDRESS_ERRNOS = frozenset({errno.EADDRINUSE, errno.EADDRNOTAVAIL, errno.EACCES})


@dataclass(frozen=True)
class Outage:
    """A temporary outage: its log event, and its message for a client."""

    event: Event
    message: str
    level: int = logging.WARNING


_DISK_FULL = Outage(Event.DISK_FULL, "The disk is full; try again later", logging.ERROR)
_READ_ONLY = Outage(
    Event.DATABASE_READ_ONLY, "The service is read-only now; try again later", logging.ERROR
)
# The database ended a transaction that took too long or blocked another; a retry can succeed.
_TRANSACTION_ENDED = (
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.LockNotAvailableError,
    asyncpg.TransactionRollbackError,
    asyncpg.TransactionTimeoutError,
)
# Errors of the driver and the pool while the database is down, restarting or overloaded.
_DATABASE_DOWN = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.TooManyConnectionsError,
    DBConnectionError,
)
# The first match counts.
_OUTAGES: tuple[tuple[tuple[type[BaseException], ...], Outage], ...] = (
    (_TRANSACTION_ENDED, Outage(Event.TRANSACTION_ENDED, "The database is busy; try again soon")),
    (
        (RedisError,),
        Outage(Event.REDIS_UNAVAILABLE, "The service is degraded; try again soon"),
    ),
    (
        _DATABASE_DOWN,
        Outage(Event.DATABASE_UNAVAILABLE, "The database is unavailable; try again soon"),
    ),
)


def outage(error: BaseException) -> Outage | None:
    """Return the outage that a driver's error indicates, if it indicates one."""
    if is_disk_full(error):
        return _DISK_FULL
    if is_read_only(error):
        return _READ_ONLY
    if isinstance(error, TransactionManagementError) and error.__cause__:
        error = error.__cause__  # Tortoise wraps the driver's error
    return next((found for kinds, found in _OUTAGES if isinstance(error, kinds)), None)


def is_disk_full(error: BaseException) -> bool:
    """Return whether an error, or one of its causes, is due to a full disk."""
    return any(
        isinstance(each, asyncpg.DiskFullError)
        or (isinstance(each, OSError) and each.errno in _DISK_FULL_ERRNOS)
        for each in _chain(error)
    )


def is_read_only(error: BaseException) -> bool:
    """Return whether the database is read-only: its disk is full, or it is a standby."""
    return any(isinstance(each, asyncpg.ReadOnlySQLTransactionError) for each in _chain(error))


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def is_address_error(error: OSError) -> bool:
    """Return whether an error of a listening program is due to its address."""
    return isinstance(error, socket.gaierror) or (
        error.errno in _ADDRESS_ERRNOS and error.filename is None
    )


def describe(error: OSError | asyncpg.PostgresError | BaseORMException) -> str:
    """Return a message that names what failed: the disk, a file, or else the database.

    An OSError without a file comes from the database driver: all other errors of a command are
    translated where they are raised.
    """
    if is_disk_full(error):
        where = f": {error.filename}" if isinstance(error, OSError) and error.filename else ""
        return f"{DISK_FULL}{where}"
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename} can't be used: {error.strerror}"
    if any(isinstance(each, _SCHEMA_ERRORS) for each in _chain(error)):
        return f"the database is not migrated, run `enroll migrate`: {error}"
    # The driver's error names a missing database; Tortoise's doesn't.
    causes = (each for each in _chain(error) if isinstance(each, asyncpg.PostgresError))
    return f"the database can't be used: {next(causes, error)}"


def address_message(host_key: str, port_key: str, host: str, port: int, error: OSError) -> str:
    """Return why a server can't listen at an address; the keys are the settings that name it."""
    if error.errno == errno.EADDRINUSE:
        return f"{port_key}: {port} of {host} is taken by another program; set another {port_key}"
    if error.errno == errno.EACCES:
        return f"{port_key}: {port} may not be taken by this user; set one from 1024 on"
    reason = error.strerror or str(error)
    return f"{host_key}: nothing can listen on {host} here, port {port}: {reason}"


def same_port_message(first_key: str, second_key: str, port: int) -> str:
    """Return that two settings name the same port."""
    return f"{first_key} and {second_key} are both {port}; set one to another port"
