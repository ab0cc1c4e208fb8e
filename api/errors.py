"""One table from error class to status, one renderer: every error has the contract's envelope."""

from contextlib import suppress
from http import HTTPStatus

import asyncpg
from redis.exceptions import RedisError
from sanic import HTTPResponse, Request, SanicException
from sanic.constants import HTTPMethod
from sanic.exceptions import MethodNotAllowed, PayloadTooLarge, RequestTimeout, ServiceUnavailable
from sanic.exceptions import NotFound as UnknownPath
from sanic.response import empty, raw
from tortoise.exceptions import DBConnectionError, TransactionManagementError

from api.schemas.responses import ErrorDetailsOut, ErrorOut, FaultOut
from api.security import audit
from infra import error_messages
from infra.cache import TooManyFills
from infra.db.pool import PoolFull
from infra.observability import logs
from infra.observability.metrics import CLIENT_GONE
from services import errors
from services.errors import Code, ServiceError

RETRY_AFTER_SECONDS = 2

STATUSES: dict[type[ServiceError], int] = {
    errors.Invalid: 400,
    errors.Unauthenticated: 401,
    errors.Forbidden: 403,
    errors.NotFound: 404,
    errors.Conflict: 409,
    errors.Changed: 412,
    errors.TooLarge: 413,
    errors.UnsupportedMedia: 415,
    errors.RateLimited: 429,
    errors.Unavailable: 503,
}

TITLES = {
    400: "Validation failed",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not found",
    405: "Method not allowed",
    408: "Request timeout",
    409: "Conflict",
    412: "Precondition failed",
    413: "Payload too large",
    415: "Unsupported media type",
    429: "Too many requests",
    500: "Internal server error",
    503: "Service unavailable",
}

# What the driver and the pool raise while the database is away, restarts or has no room.
_DATABASE_AWAY = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.TooManyConnectionsError,
    DBConnectionError,
)

# What ends a transaction that took too long or stood in another's way: it can be tried again.
_TRANSACTION_ENDED = (
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.LockNotAvailableError,
    asyncpg.TransactionRollbackError,
    asyncpg.TransactionTimeoutError,
)

# Kinds of errors, the event in the log, and what a client is told; the first that fits counts.
_UNAVAILABLE: tuple[tuple[tuple[type[BaseException], ...], str, str], ...] = (
    ((ServiceUnavailable,), "response_timeout", "The request took too long; try again soon"),
    (_TRANSACTION_ENDED, "transaction_ended", "The database is busy; try again soon"),
    ((RedisError,), "redis_away", "A part of the service is away; try again soon"),
    (_DATABASE_AWAY, "database_away", "The database is away; try again soon"),
)

log = logs.get_logger(__name__)


def status_of(error: type[ServiceError]) -> int:
    """Return the status of an error class: its own, or that of the parent in the table."""
    return next((STATUSES[kind] for kind in error.__mro__ if kind in STATUSES), 500)


async def render(request: Request, error: Exception) -> HTTPResponse:
    """Turn whatever was raised into the envelope."""
    if isinstance(error, ServiceError):
        audit.note_refusal(request, status_of(type(error)), error.code)
        return _service_error(error)
    if (reason := _why_unavailable(error)) is not None:
        return _service_error(errors.Unavailable(reason))
    if isinstance(error, SanicException) and error.status_code < HTTPStatus.INTERNAL_SERVER_ERROR:
        return _framework_error(request, error)
    log.error("unforeseen_error", exc_info=error)
    return envelope(500, Code.INTERNAL, "Something went wrong on our side")


def _why_unavailable(error: BaseException) -> str | None:
    """Return what a client is told of a part that this call can't do without now."""
    if isinstance(error, PoolFull | TooManyFills):
        return str(error)
    if error_messages.is_disk_full(error):
        log.error("disk_full", error=str(error))
        return "The disk is full; try again later"
    if error_messages.is_read_only(error):
        log.error("database_read_only", error=str(error))
        return "Nothing can be changed now; try again later"
    if isinstance(error, TransactionManagementError) and error.__cause__:
        error = error.__cause__  # Tortoise's wrapping
    for kinds, event, message in _UNAVAILABLE:
        if isinstance(error, kinds):
            log.warning(event, error=str(error))
            return message
    return None


async def gone(_request: Request, _error: BaseException) -> HTTPResponse:
    """Answer a client that has hung up; Sanic would count it as a fault of ours."""
    return empty(CLIENT_GONE)


def _framework_error(request: Request, error: SanicException) -> HTTPResponse:
    match error:
        case UnknownPath():
            return envelope(404, Code.NOT_FOUND, f"There is nothing at {request.path}")
        case MethodNotAllowed():
            message = f"{request.method} is not possible at {request.path}"
            return envelope(405, Code.METHOD_NOT_ALLOWED, message, {"Allow": _allowed(request)})
        case PayloadTooLarge():
            # Sanic says only by its text which of the two it is.
            part = "headers are" if "header" in str(error) else "body is"
            return envelope(413, Code.PAYLOAD_TOO_LARGE, f"The request's {part} too large")
        case RequestTimeout():
            return envelope(408, Code.INVALID_FORMAT, "The request did not arrive in time")
    return envelope(400, Code.INVALID_FORMAT, "The request is malformed")


def _allowed(request: Request) -> str:
    """Return the methods that the path has; Sanic knows them for fixed paths only."""
    allowed = []
    for method in HTTPMethod:
        with suppress(SanicException):
            request.app.router.get(request.path, method, request.host)
            allowed.append(method.value)
    return ", ".join(sorted(allowed))


def _service_error(error: ServiceError) -> HTTPResponse:
    status = status_of(type(error))
    headers: dict[str, str] = {}
    if status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, errors.RateLimited):
        headers |= _limit_headers(error)
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return _response(status, content_of(error), headers)


def _limit_headers(error: errors.RateLimited) -> dict[str, str]:
    return {
        "Retry-After": str(error.retry_after),
        "RateLimit-Limit": str(error.limit),
        "RateLimit-Remaining": "0",
        "RateLimit-Reset": str(error.reset),
    }


def content_of(error: ServiceError) -> ErrorOut:
    """Return the envelope of an error."""
    details = ErrorDetailsOut(code=error.code, field=error.field)
    if isinstance(error, errors.Invalid):
        first = error.faults[0]
        faults = [FaultOut(**vars(fault)) for fault in error.faults]
        several = faults if len(faults) > 1 else None
        details = ErrorDetailsOut(code=first.code, field=first.field, errors=several)
    title = TITLES[status_of(type(error))]
    return ErrorOut(error=title, message=error.message, details=details)


def envelope(
    status: int, code: Code, message: str, headers: dict[str, str] | None = None
) -> HTTPResponse:
    """Return an error response."""
    content = ErrorOut(error=TITLES[status], message=message, details=ErrorDetailsOut(code=code))
    return _response(status, content, headers)


def _response(
    status: int, content: ErrorOut, headers: dict[str, str] | None = None
) -> HTTPResponse:
    body = content.model_dump_json().encode()
    return raw(body, status, headers, content_type="application/json")
