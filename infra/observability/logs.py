"""Structured logs: one JSON object a line, events are constants, ids are fields."""

import atexit
import json
import logging
import os
import re
import sys
import threading
import time
from contextlib import suppress
from contextvars import ContextVar
from typing import Any, Protocol, cast

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from infra.identity import SERVICE, version
from infra.observability.events import Event
from infra.observability.output import STDERR, Output
from infra.text import escape_lines

# How long the end of a process may wait for a slow reader of its last lines.
DRAIN_SECONDS = 1.0

_process: dict[str, str] = {}
# The ids on every log line of the current request or task.
_ids: ContextVar[dict[str, str]] = ContextVar("ids")
_format = "json"
_is_json_explicit = False
# Replaced when the line is written.
_NO_TIME = "1970-01-01T00:00:00Z"
# Data that errors quote: PostgreSQL's DETAIL, pydantic's input.
_QUOTED = re.compile(r"^DETAIL:.*$|(?<=input_value=).*?(?=, input_type=)", re.MULTILINE)
# Sanic warns of a body that a handler did not read, even if it is empty.
_IGNORED_WARNING = "body not consumed"


class Logger(Protocol):
    """A logger that takes members of `Event` only."""

    def debug(self, event: Event, **fields: Any) -> None:
        """Log what only a search for a fault needs."""

    def info(self, event: Event, **fields: Any) -> None:
        """Log what was done."""

    def warning(self, event: Event, **fields: Any) -> None:
        """Log what an operator may want to look at."""

    def error(self, event: Event, **fields: Any) -> None:
        """Log what an operator has to mend."""

    def exception(self, event: Event, **fields: Any) -> None:
        """Log an error that is being handled, with its traceback."""

    def critical(self, event: Event, **fields: Any) -> None:
        """Log what ends a process."""

    def log(self, level: int, event: Event, **fields: Any) -> None:
        """Log at a level."""


def _report_lost(lines: int, reason: str) -> None:
    get_logger(__name__).warning(Event.LOG_LINES_LOST, lines=lines, reason=reason)


_output = Output(_report_lost)
write = _output.write
flush = _output.flush
take_dropped = _output.take_dropped


@atexit.register
def drain() -> None:
    """Write the lines that wait for a slow reader, before the process ends."""
    _output.drain(DRAIN_SECONDS)


class _Handler(logging.Handler):
    """Writes log lines; also of a record that can't be rendered, as with a wrong `%d`."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line."""
        try:
            write(f"{self.format(record)}\n")
        except Exception:  # noqa: BLE001  as the handlers of logging do
            self.handleError(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  logging's name
        """Report the record without its arguments."""
        if not isinstance(record.msg, dict):  # a line of ours
            get_logger(record.name).exception(Event.LINE_NOT_RENDERED, message=str(record.msg))


def configure(level: str, log_format: str, *, process: str) -> None:
    """Send all log lines, those of libraries too, to standard error as `json` or `console`."""
    global _process, _format  # noqa: PLW0603  the configuration of the process
    _process = {"service": SERVICE, "version": version(), "process": process}
    _format = log_format
    _output.open()
    shared: list[Processor] = [
        _add_ids,
        structlog.stdlib.add_logger_name,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    of_libraries = shared
    renderer: list[Processor]
    if log_format == "console":
        renderer = [
            structlog.processors.format_exc_info,
            _escape_controls,
            structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback),
        ]
    else:
        renderer = [
            structlog.processors.format_exc_info,
            _redact_quoted_data,
            structlog.processors.JSONRenderer(),
        ]
        of_libraries = [*shared, _name_event]

    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = _Handler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=of_libraries,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _add_process,
                *renderer,
            ],
        )
    )
    # Of loggers that propagate nothing and have no handler, as billiard's.
    logging.lastResort = _Handler(logging.WARNING)
    logging.lastResort.setFormatter(handler.formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    # Our line for each task replaces the two of Celery.
    quiet = ("celery.worker.strategy", "celery.app.trace")
    vendors = ("sanic", "botocore", "boto3", "urllib3", "PIL", "tortoise", "kombu", "amqp")
    for noisy in (*vendors, *quiet):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    sanic = logging.getLogger("sanic.error")
    sanic.filters[:] = [_drop_request_target]
    logging.getLogger("asyncpg.pool").filters[:] = [_shorten_pool_error]


def _add_process(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    return {**process_fields(), **event}


def _name_event(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Give a line of a library an event; its text is a field."""
    if isinstance(event["_record"].msg, Event):
        return event
    return {**event, "event": Event.LIBRARY_MESSAGE, "message": event["event"]}


def _add_ids(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    return {**_ids.get({}), **event}


def _drop_request_target(record: logging.LogRecord) -> bool:
    """Remove the request's target from Sanic's lines: it may contain an email address."""
    record.args = ()
    return _IGNORED_WARNING not in str(record.msg)


def _shorten_pool_error(record: logging.LogRecord) -> bool:
    """Log in one line that the pool can't connect."""
    if record.exc_info:
        record.msg, record.exc_info = f"{record.msg}: {record.exc_info[1]!r}", None
    return True


def _redact_quoted_data(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Remove quoted data from errors."""
    for key in ("exception", "error"):
        if isinstance(text := event.get(key), str):
            event[key] = _QUOTED.sub("…", text)
    return event


def replace_sentences() -> None:
    """Make each sentence of a command a JSON line, from its start on: LOG_FORMAT is set to that."""
    global _is_json_explicit  # noqa: PLW0603  the format of the process
    _is_json_explicit = True
    configure("INFO", "json", process="enroll")


def log_uncaught() -> None:
    """Log what Python would print: warnings and uncaught errors."""
    logging.captureWarnings(capture=True)
    log = get_logger(__name__)

    def uncaught(kind: Any, error: Any, trace: Any) -> None:
        log.critical(Event.UNCAUGHT_ERROR, exc_info=(kind, error, trace))

    def in_thread(args: threading.ExceptHookArgs) -> None:
        uncaught(args.exc_type, args.exc_value, args.exc_traceback)

    def unraisable(args: "sys.UnraisableHookArgs") -> None:
        uncaught(args.exc_type, args.exc_value, args.exc_traceback)

    sys.excepthook = uncaught
    threading.excepthook = in_thread
    sys.unraisablehook = unraisable


def render_line(event: Event, logger: str) -> bytes:
    """Return a rendered log line, for `write_last`."""
    if not is_json():
        return f"{event}\n".encode()
    about = {"event": event, "logger": logger, "level": "critical", "timestamp": _NO_TIME}
    whole = {**process_fields(), **about}
    return json.dumps(whole).encode() + b"\n"


def write_last(line: bytes) -> None:
    """Write a rendered line, and the time if there is memory for it."""
    with suppress(MemoryError):
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        line = line.replace(_NO_TIME.encode(), now.encode())
    os.write(STDERR, line)


def _escape_controls(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Escape control characters in texts; `repr` escapes them in other values."""
    return {
        key: escape_lines(value) if isinstance(value, str) else value
        for key, value in event.items()
    }


def is_json() -> bool:
    """Return whether lines are written as JSON."""
    return _format == "json"


def is_json_explicit() -> bool:
    """Return whether LOG_FORMAT was set to JSON explicitly."""
    return _is_json_explicit


def process_fields() -> dict[str, str | int]:
    """Return the fields on every line of this process."""
    return {**_process, "pid": os.getpid()}


def configure_command(level: str, log_format: str, *, process: str) -> None:
    """Configure the log of a command: a terminal shows warnings and errors only."""
    configure("WARNING" if sys.stderr.isatty() else level, log_format, process=process)


def get_logger(name: str) -> Logger:
    """Return the logger of a module, given its `__name__`."""
    return cast("Logger", structlog.stdlib.get_logger(name))


def bind(**ids: str | None) -> None:
    """Set these ids on every line of this request or task; None removes one."""
    bound = {**_ids.get({}), **ids}
    _ids.set({key: value for key, value in bound.items() if value})


def request_id() -> str | None:
    """Return the id of the current request, if there is one."""
    return _ids.get({}).get("request_id")
