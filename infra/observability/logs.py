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
from infra.text import harmless_lines

_process: dict[str, str] = {}
# The ids on every line of the request or task that is being worked on.
_ids: ContextVar[dict[str, str]] = ContextVar("ids")
_format = "json"
_is_json_wanted = False
# What errors quote of the data that they are about: PostgreSQL's DETAIL, pydantic's input.
_QUOTED = re.compile(r"^DETAIL:.*$|(?<=input_value=).*?(?=, input_type=)", re.MULTILINE)
# Sanic's line about a body that a handler did not read; an empty one is not there to be read.
_NO_FAULT = "body not consumed"


class _Output:
    """Standard error; lines that it does not take, on a full disk, are counted and forgotten."""

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
        """Do nothing: `write` has."""


_output = _Output()


def write(lines: str) -> None:
    """Write lines that are rendered already."""
    _output.write(lines)


def configure(level: str, log_format: str, **process: str) -> None:
    """Send everything, the libraries' lines too, to standard error as `json` or `console`."""
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
            _make_harmless,
            structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback),
        ]
    else:
        renderer = [
            structlog.processors.format_exc_info,
            _keep_no_quotes,
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
    # Of Celery's two lines a task ours says the same, with its id, name and request.
    quiet = ("celery.worker.strategy", "celery.app.trace")
    vendors = ("sanic", "botocore", "boto3", "urllib3", "PIL", "tortoise", "kombu", "amqp")
    for noisy in (*vendors, *quiet):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    sanic = logging.getLogger("sanic.error")
    sanic.filters[:] = [_name_no_request]
    logging.getLogger("asyncpg.pool").filters[:] = [_without_traceback]


def _add_ids(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    return {**_ids.get({}), **event}


def _name_no_request(record: logging.LogRecord) -> bool:
    """Take the request's address out of Sanic's lines: it may have an email in it."""
    record.args = ()
    return _NO_FAULT not in str(record.msg)


def _without_traceback(record: logging.LogRecord) -> bool:
    """Say in one line that the pool can't connect: the database is away."""
    if record.exc_info:
        record.msg, record.exc_info = f"{record.msg}: {record.exc_info[1]!r}", None
    return True


def _keep_no_quotes(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Take out of errors what they quote of the data that they are about."""
    for key in ("exception", "error"):
        if isinstance(text := event.get(key), str):
            event[key] = _QUOTED.sub("…", text)
    return event


def take_over(*, is_json_wanted: bool) -> None:
    """Log what Python would print: warnings, and errors that nobody catches.

    `is_json_wanted` tells whether somebody chose the format, and so is no person who waits for a
    sentence.
    """
    global _is_json_wanted  # noqa: PLW0603  the process's
    _is_json_wanted = is_json_wanted and is_json()
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


def line_of(event: str, logger: str) -> bytes:
    """Return a line as it would be logged, for a process that can't log any more."""
    if not is_json():
        return f"{event}\n".encode()
    whole = {**_process, "event": event, "logger": logger, "level": "critical"}
    return json.dumps(whole).encode() + b"\n"


def _make_harmless(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Escape what would steer a terminal; of what is no text, `repr` does."""
    return {
        key: harmless_lines(value) if isinstance(value, str) else value
        for key, value in event.items()
    }


def is_json() -> bool:
    """Tell whether lines are written as JSON."""
    return _format == "json"


def is_json_wanted() -> bool:
    """Tell whether sentences for people are to be lines of the log, too."""
    return _is_json_wanted


def process_fields() -> dict[str, str]:
    """Return what is on every line of this process."""
    return _process


def configure_command(level: str, log_format: str, **process: str) -> None:
    """Do so for a command: whoever looks at its terminal is told of trouble only."""
    configure("WARNING" if sys.stderr.isatty() else level, log_format, **process)


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """Return the logger of a module, given its `__name__`."""
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return logger


def bind(**ids: str | None) -> None:
    """Put ids on every line of this request or task, and forget those of the one before."""
    _ids.set({key: value for key, value in ids.items() if value})


def request_id() -> str | None:
    """Return the id of the request that is being answered, if one is."""
    return _ids.get({}).get("request_id")
