"""The messages of errors from the system and the database."""

import errno
import os
import socket

import asyncpg
import pytest
from tortoise.exceptions import BaseORMException, OperationalError

from infra import error_messages


def of(number, filename=None):
    return OSError(number, os.strerror(number), filename)


def translated():
    """Return the database's error as Tortoise raises it."""
    error = OperationalError("could not extend file")
    error.__cause__ = asyncpg.DiskFullError("no space")
    return error


@pytest.mark.parametrize(
    ("error", "is_full"),
    [
        (of(errno.ENOSPC), True),
        (of(errno.EDQUOT, "/data"), True),
        (asyncpg.DiskFullError("could not extend file"), True),
        (translated(), True),
        (of(errno.EIO), False),
        (ConnectionRefusedError(errno.ECONNREFUSED, "refused"), False),
        (asyncpg.TooManyConnectionsError("too many"), False),
    ],
)
def test_a_full_disk_is_told_from_other_errors(error, is_full):
    assert error_messages.is_disk_full(error) == is_full


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (of(errno.ENOSPC, "/data/keys.json"), "disk full: /data/keys.json"),
        (asyncpg.DiskFullError("could not extend file"), "disk full"),
        (of(errno.EACCES, "/data"), "/data can't be used: Permission denied"),
        (OSError("Multiple exceptions: refused"), "the database can't be used: Multiple"),
        (socket.gaierror(-2, "Name or service not known"), "the database can't be used"),
        (asyncpg.InvalidPasswordError("no"), "the database can't be used: no"),
    ],
)
def test_a_command_reports_the_cause(error, message):
    assert error_messages.describe(error).startswith(message)


def test_the_databases_refusal_has_its_message():
    error = BaseORMException("Can't establish connection to database None")
    error.__cause__ = asyncpg.InvalidCatalogNameError('database "app" does not exist')
    assert error_messages.describe(error).endswith('can\'t be used: database "app" does not exist')


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (errno.EADDRINUSE, "METRICS_PORT: 80 of 127.0.0.1 is taken by another program"),
        (errno.EACCES, "METRICS_PORT: 80 may not be taken by this user"),
        (errno.EADDRNOTAVAIL, "HOST: nothing can listen on 127.0.0.1 here, port 80"),
    ],
)
def test_an_address_that_cannot_be_bound_is_named_by_its_setting(number, message):
    assert error_messages.address_message(
        "HOST", "METRICS_PORT", "127.0.0.1", 80, of(number)
    ).startswith(message)
    assert error_messages.is_address_error(of(number))
