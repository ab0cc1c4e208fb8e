"""Structured logs: one JSON object a line, events are constants, ids are fields."""

import logging
import sys
from typing import TextIO, cast

import structlog
from structlog.contextvars import bind_contextvars, clear_contextvars, get_contextvars
from structlog.typing import EventDict, Processor, WrappedLogger

from infra import faults

_process: dict[str, str] = {}
_format = "json"


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
            self._reason = faults.DISK_FULL if faults.is_disk_full(error) else str(error)
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
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    renderer: list[Processor]
    if log_format == "console":
        renderer = [structlog.dev.ConsoleRenderer()]
    else:
        renderer = [
            structlog.processors.format_exc_info,
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


def is_json() -> bool:
    """Tell whether lines are written as JSON."""
    return _format == "json"


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
    clear_contextvars()
    bind_contextvars(**{key: value for key, value in ids.items() if value})


def request_id() -> str | None:
    """Return the id of the request that is being answered, if one is."""
    return get_contextvars().get("request_id")
