"""Structured logs: one JSON object a line, events are constants, ids are fields."""

import json
import logging
import re
import sys
import threading
from contextvars import ContextVar
from typing import Any, TextIO, cast

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from infra import error_messages
from infra.text import escape_lines

_process: dict[str, str] = {}
# The ids on every log line of the current request or task.
_ids: ContextVar[dict[str, str]] = ContextVar("ids")
_format = "json"
_is_json_explicit = False
# Data that errors quote: PostgreSQL's DETAIL, pydantic's input.
_QUOTED = re.compile(r"^DETAIL:.*$|(?<=input_value=).*?(?=, input_type=)", re.MULTILINE)
# Sanic warns of a body that a handler did not read, even if it is empty.
_IGNORED_WARNING = "body not consumed"


class _Output:
    """Standard error; lines that can't be written, as on a full disk, are dropped and counted."""

    def __init__(self) -> None:
        self._lost = 0
        self._reason = ""

    def write(self, text: str) -> None:
        """Write lines."""
        try:
            sys.stderr.write(text)
            sys.stderr.flush()
        except OSError as error:
            self._lost += text.count("\n")
            self._reason = (
                error_messages.DISK_FULL if error_messages.is_disk_full(error) else str(error)
            )
            return
        if self._lost:
            lost, self._lost = self._lost, 0
            get_logger(__name__).warning("log_lines_lost", lines=lost, reason=self._reason)

    def flush(self) -> None:
        """Do nothing: `write` flushes."""


_output = _Output()


def write(lines: str) -> None:
    """Write rendered lines."""
    _output.write(lines)


def configure(level: str, log_format: str, **process: str) -> None:
    """Send all log lines, those of libraries too, to standard error as `json` or `console`."""
    global _process, _format
    _process, _format = process, log_format
    shared: list[Processor] = [
        _add_ids,
        structlog.stdlib.add_logger_name,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
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

    def add_process(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        return {**process, **event}

    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(cast("TextIO", _output))
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                add_process,
                *renderer,
            ],
        )
    )
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


def log_uncaught(*, is_json_explicit: bool) -> None:
    """Log what Python would print: warnings and uncaught errors.

    `is_json_explicit`: LOG_FORMAT is set, so errors of commands are log lines too, not sentences.
    """
    global _is_json_explicit  # noqa: PLW0603  the format of the process
    _is_json_explicit = is_json_explicit and is_json()
    logging.captureWarnings(capture=True)
    log = get_logger(__name__)

    def uncaught(kind: Any, error: Any, trace: Any) -> None:
        log.critical("uncaught_error", exc_info=(kind, error, trace))

    def in_thread(args: threading.ExceptHookArgs) -> None:
        uncaught(args.exc_type, args.exc_value, args.exc_traceback)

    def unraisable(args: "sys.UnraisableHookArgs") -> None:
        uncaught(args.exc_type, args.exc_value, args.exc_traceback)

    sys.excepthook = uncaught
    threading.excepthook = in_thread
    sys.unraisablehook = unraisable


def render_line(event: str, logger: str) -> bytes:
    """Return a rendered log line, for a process that can't log any more."""
    if not is_json():
        return f"{event}\n".encode()
    whole = {**_process, "event": event, "logger": logger, "level": "critical"}
    return json.dumps(whole).encode() + b"\n"


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


def process_fields() -> dict[str, str]:
    """Return the fields on every line of this process."""
    return _process


def configure_command(level: str, log_format: str, **process: str) -> None:
    """Configure the log of a command: a terminal shows warnings and errors only."""
    configure("WARNING" if sys.stderr.isatty() else level, log_format, **process)


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """Return the logger of a module, given its `__name__`."""
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return logger


def bind(**ids: str | None) -> None:
    """Set the ids on every line of this request or task; they replace earlier ones."""
    _ids.set({key: value for key, value in ids.items() if value})


def request_id() -> str | None:
    """Return the id of the current request, if there is one."""
    return _ids.get({}).get("request_id")
