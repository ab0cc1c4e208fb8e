"""The span of a request on the normal path, by OpenTelemetry's conventions for HTTP servers."""

from http import HTTPMethod, HTTPStatus

from sanic import Request
from sanic.response import BaseHTTPResponse

from infra.observability import tracing
from infra.observability.spans import Attributes, Kind, Origin

_METHODS = frozenset(HTTPMethod)
# The conventions' name of a method that is none of HTTP's.
_OTHER = "_OTHER"
# Probes come every few seconds.
_UNTRACED = "/health"


def begin(request: Request, request_id: str) -> None:
    """Begin the request's span, in the caller's trace if it sends one."""
    if tracing.tracer is None or hasattr(request.ctx, "is_traced"):
        return  # Sanic runs the middleware again for an error
    route = f"/{request.route.path}" if request.route else ""
    if route.startswith(_UNTRACED):
        return
    request.ctx.is_traced = True
    method = request.method if request.method in _METHODS else _OTHER
    about = {
        "http.request.method": method,
        "url.scheme": request.scheme,
        "app.request_id": request_id,
    }
    # The route, not the path, because a path may contain an email.
    if route:
        about["http.route"] = route
    name = f"{method} {route}".rstrip()
    headers = request.headers
    caller = Origin(headers.get("traceparent", ""), tracestate=headers.get("tracestate", ""))
    tracing.tracer.open(name, Kind.SERVER, about, caller)


def end(request: Request, response: BaseHTTPResponse) -> None:
    """End the request's span, if it has one."""
    if tracing.tracer is None or not getattr(request.ctx, "is_traced", False):
        return
    about: Attributes = {"http.response.status_code": response.status}
    if response.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        about = {**about, "error.type": str(response.status)}
        tracing.annotate(about, HTTPStatus(response.status).phrase)
    else:
        tracing.annotate(about)
    tracing.tracer.close_current()
