"""Maps error classes to statuses and renders every error in the contract's envelope."""

from contextlib import suppress
from http import HTTPStatus

from sanic import HTTPResponse, Request, SanicException
from sanic.constants import HTTPMethod
from sanic.exceptions import MethodNotAllowed, PayloadTooLarge, RequestTimeout, ServiceUnavailable
from sanic.exceptions import NotFound as UnknownPath
from sanic.response import empty, raw

from api.schemas.responses import ErrorDetailsOut, ErrorOut, FaultOut
from api.security import audit
from infra import error_messages
from infra.cache import TooManyFills
from infra.db.pool import PoolFull
from infra.error_messages import Outage
from infra.errors import DeclaredError
from infra.observability import logs
from infra.observability.events import Event
from infra.observability.metrics import CLIENT_GONE
from infra.queue.errors import (
    QueueNotFound,
    QueueNotPaused,
    TaskNotFound,
    TaskStateConflict,
    WorkflowNotFound,
    WorkflowStateConflict,
)
from services import errors
from services.errors import Code, ServiceError

_RESPONSE_TIMEOUT = Outage(Event.RESPONSE_TIMEOUT, "The request took too long; try again soon")

STATUSES: dict[type[DeclaredError], int] = {
    errors.Invalid: 400,
    errors.Unauthenticated: 401,
    errors.Forbidden: 403,
    errors.NotFound: 404,
    TaskNotFound: 404,
    QueueNotFound: 404,
    WorkflowNotFound: 404,
    errors.Conflict: 409,
    TaskStateConflict: 409,
    WorkflowStateConflict: 409,
    QueueNotPaused: 409,
    errors.Changed: 412,
    errors.TooLarge: 413,
    errors.UnsupportedMedia: 415,
    errors.RateLimited: 429,
    errors.Unavailable: 503,
}

TITLES = {
    status: HTTPStatus(status).phrase.capitalize() for status in {*STATUSES.values(), 405, 408, 500}
} | {400: "Validation failed", 413: "Payload too large"}

log = logs.get_logger(__name__)


def status_of(error: type[DeclaredError]) -> int:
    """Return the status of an error class, or that of its nearest parent in the table."""
    return next((STATUSES[kind] for kind in error.__mro__ if kind in STATUSES), 500)


async def render(request: Request, error: Exception) -> HTTPResponse:
    """Render an exception as the envelope."""
    if isinstance(error, DeclaredError):
        audit.record_denial(request, status_of(type(error)), _code_of(error))
        return _declared_error(error)
    if (reason := _why_unavailable(error)) is not None:
        return _declared_error(errors.Unavailable(reason))
    if isinstance(error, SanicException) and error.status_code < HTTPStatus.INTERNAL_SERVER_ERROR:
        return _framework_error(request, error)
    log.error(Event.UNFORESEEN_ERROR, exc_info=error)
    return envelope(500, Code.INTERNAL, "Something went wrong on our side")


def _why_unavailable(error: BaseException) -> str | None:
    """Return the client's message if an outage caused the error; else None."""
    if isinstance(error, PoolFull | TooManyFills):
        return str(error)
    outage = (
        _RESPONSE_TIMEOUT if isinstance(error, ServiceUnavailable) else error_messages.outage(error)
    )
    if outage is None:
        return None
    # A timeout has no message.
    log.log(outage.level, outage.event, error=str(error) or type(error).__name__)
    return outage.message


async def gone(_request: Request, _error: BaseException) -> HTTPResponse:
    """Respond to a closed connection; Sanic's own handler would count a server error."""
    return empty(CLIENT_GONE)


def _framework_error(request: Request, error: SanicException) -> HTTPResponse:
    match error:
        case UnknownPath():
            return envelope(404, Code.NOT_FOUND, f"There is nothing at {request.path}")
        case MethodNotAllowed():
            message = f"{request.method} is not possible at {request.path}"
            return envelope(405, Code.METHOD_NOT_ALLOWED, message, {"Allow": _allowed(request)})
        case PayloadTooLarge():
            # Only the text of Sanic's exception differs between the two cases.
            part = "headers are" if "header" in str(error) else "body is"
            return envelope(413, Code.PAYLOAD_TOO_LARGE, f"The request's {part} too large")
        case RequestTimeout():
            return envelope(408, Code.INVALID_FORMAT, "The request did not arrive in time")
    return envelope(400, Code.INVALID_FORMAT, "The request is malformed")


def _allowed(request: Request) -> str:
    """Return the methods of the path; Sanic's exception has them for fixed paths only."""
    allowed = []
    for method in HTTPMethod:
        with suppress(SanicException):
            request.app.router.get(request.path, method, request.host)
            allowed.append(method.value)
    return ", ".join(sorted(allowed))


def _declared_error(error: DeclaredError) -> HTTPResponse:
    status = status_of(type(error))
    headers: dict[str, str] = {}
    if status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, errors.RateLimited):
        headers |= _limit_headers(error)
    if isinstance(error, errors.Unavailable):
        headers["Retry-After"] = str(error.retry_after_seconds)
    return _response(status, content_of(error), headers)


def _limit_headers(error: errors.RateLimited) -> dict[str, str]:
    return {
        "Retry-After": str(error.retry_after),
        "RateLimit-Limit": str(error.limit),
        "RateLimit-Remaining": "0",
        "RateLimit-Reset": str(error.reset),
    }


def _code_of(error: DeclaredError) -> Code:
    if isinstance(error, ServiceError):
        return error.code
    is_missing = status_of(type(error)) == HTTPStatus.NOT_FOUND
    return Code.NOT_FOUND if is_missing else Code.TASK_STATE


def content_of(error: DeclaredError) -> ErrorOut:
    """Return the envelope of an error."""
    field = error.field if isinstance(error, ServiceError) else None
    details = ErrorDetailsOut(code=_code_of(error), field=field)
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
