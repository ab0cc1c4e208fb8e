"""The access log is written in batches, in the form of all other log lines."""

import asyncio
import json
import logging
import os
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from api import middleware
from infra.observability import access_log, logs

LINE = (1_763_946_000.25, "id-1", "GET", "/api/v1/courses", 200, 0.0123456, "127.0.0.1", None)


@pytest.fixture
def written(capsys):
    """The text written to standard error since the last call."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    logs.configure("INFO", "json", process="api")
    yield lambda: capsys.readouterr().err
    access_log.flush()
    root.handlers[:] = handlers
    root.setLevel(level)


def test_a_line_has_the_form_of_other_log_lines(written):
    access_log.record(LINE)
    assert written() == ""
    access_log.flush()
    line = json.loads(written())
    assert line.pop("version")
    assert line == {
        "service": "course-enrollment-service",
        "pid": os.getpid(),
        "process": "api",
        "request_id": "id-1",
        "method": "GET",
        "route": "/api/v1/courses",
        "status": 200,
        "milliseconds": 12.35,
        "client": "127.0.0.1",
        "event": "request",
        "logger": "access",
        "level": "info",
        "timestamp": "2025-11-24T01:00:00.250000Z",
    }


def test_lines_are_written_once_and_in_order(written):
    for number in range(5):
        access_log.record((*LINE[:4], 200 + number, *LINE[5:]))
    access_log.flush()
    access_log.flush()
    statuses = [json.loads(line)["status"] for line in written().splitlines()]
    assert statuses == [200, 201, 202, 203, 204]


def test_a_full_buffer_is_written_without_a_flush(written):
    for _ in range(access_log.MAX_LINES):
        access_log.record(LINE)
    assert written().count("\n") == access_log.MAX_LINES


def test_a_path_of_any_bytes_can_be_logged(written):
    access_log.record((*LINE[:2], "G\udcc3T", *LINE[3:]))
    access_log.flush()
    assert json.loads(written())["method"] == "G\udcc3T"


def test_the_log_level_is_respected(written):
    logs.configure("WARNING", "json", process="api")
    access_log.record(LINE)
    access_log.flush()
    assert written() == ""


@pytest.fixture
def full_disk():
    """A file whose writes fail."""
    with suppress(OSError), Path("/dev/full").open("w", encoding="utf-8") as file:
        yield file


async def test_a_full_disk_loses_lines_and_raises_nothing(written, full_disk, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", full_disk)
        for _ in range(access_log.MAX_LINES + 1):
            access_log.record(LINE)
        async with middleware.flush_telemetry():
            await asyncio.sleep(2 * middleware.FLUSH_SECONDS)
            logs.get_logger("test").warning("not_written")
    access_log.record(LINE)
    access_log.flush()
    first, second = map(json.loads, written().splitlines())
    assert first["event"] == "request"
    assert (second["event"], second["reason"]) == ("log_lines_lost", "disk full")
    assert second["lines"] == access_log.MAX_LINES + 2
