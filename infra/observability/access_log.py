"""The access log: a line for each request, written in batches to keep requests cheap."""

import json
import logging
from datetime import UTC, datetime

import orjson

from infra.observability import logs
from infra.observability.events import Event
from infra.text import escape_json

LOGGER = "access"
# A buffer of so many lines is written without waiting for `flush`.
MAX_LINES = 1000

_OPTIONS = orjson.OPT_UTC_Z | orjson.OPT_APPEND_NEWLINE

# Unix time, request id, method, route, status, duration in seconds, client, id of the trace.
Line = tuple[float, str, str, str, int, float, str, str | None]

_lines: list[Line] = []


def record(line: Line) -> None:
    """Buffer a line until the next `flush`."""
    _lines.append(line)
    if len(_lines) >= MAX_LINES:
        flush()


def flush() -> None:
    """Write the buffered lines in the format of `infra.observability.logs`."""
    if not _lines:
        return
    lines = _lines[:]
    _lines.clear()
    if not logging.getLogger(LOGGER).isEnabledFor(logging.INFO):
        return
    if logs.is_json():
        shared = {
            **logs.process_fields(),
            "event": Event.REQUEST,
            "logger": LOGGER,
            "level": "info",
        }
        logs.write(escape_json(b"".join(_json(shared, line) for line in lines).decode()))
        return
    log = logs.get_logger(LOGGER)
    for line in lines:
        log.info(Event.REQUEST, **_fields(line))


def _fields(line: Line) -> dict[str, object]:
    _, request_id, method, route, status, seconds, client, trace_id = line
    fields: dict[str, object] = {
        "request_id": request_id,
        "method": method,
        "route": route,
        "status": status,
        "milliseconds": round(seconds * 1000, 2),
        "client": client,
    }
    if trace_id:
        fields["trace_id"] = trace_id
    return fields


def _json(shared: dict[str, str | int], line: Line) -> bytes:
    whole = {**shared, **_fields(line), "timestamp": datetime.fromtimestamp(line[0], UTC)}
    try:
        return orjson.dumps(whole, option=_OPTIONS)
    except orjson.JSONEncodeError:
        return json.dumps(whole, default=datetime.isoformat).encode() + b"\n"  # a lone surrogate
