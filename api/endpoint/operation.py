"""One declaration an endpoint: its route, access, input and OpenAPI documentation.

`@operation` binds the request's parts to the handler's arguments. A handler only calls a service
and builds the response. The same declaration generates the document, so it matches the code.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import StrEnum
from functools import wraps
from typing import Any

from pydantic import BaseModel
from sanic import Blueprint, HTTPResponse, Request

from api.endpoint import binding, bodies
from api.endpoint.replies import JSON
from api.protocol.request_body import read_body
from api.security import audit, cors, tokens
from api.security.rate_limits import Limits
from api.security.tokens import Identity
from infra.errors import DeclaredError
from infra.rate_limits import RateClass
from services.errors import Forbidden, TooLarge, Unauthenticated
from services.images.headers import FileTooLarge

API_PREFIX = "/api/v1"
EVENT_STREAM = "text/event-stream"
FORM = "multipart/form-data"
# Added to the image limit: room for the other fields and the multipart delimiters.
FORM_OVERHEAD_BYTES = 1024 * 1024

# None: the handler has already streamed its response.
Handler = Callable[..., Awaitable[HTTPResponse | None]]


@dataclass(frozen=True)
class Events:
    """A response of server-sent events; the data of each event are a model's JSON."""

    data: type[BaseModel]


class Access(StrEnum):
    """Who may call an operation; ENROLLMENT_ACCESS decides if STUDENT operations need a token."""

    ANYONE = "anyone"
    STUDENT = "student"
    USER = "user"
    ADMIN = "admin"


@dataclass(frozen=True)
class Operation:
    """An endpoint and its declaration; `path` has Sanic's syntax."""

    method: str
    path: str
    handler: Handler
    tag: str
    access: Access
    parameters: dict[str, Any]
    query: type[BaseModel] | None
    body: type[BaseModel] | None
    media_types: tuple[str, ...]
    form: type[BaseModel] | None
    responses: dict[int, Any]
    errors: tuple[type[DeclaredError], ...]
    headers: dict[str, str] = field(default_factory=dict)
    takes: dict[str, Any] = field(default_factory=dict)
    links: dict[str, dict[str, str]] = field(default_factory=dict)
    kind: RateClass | None = None

    @property
    def name(self) -> str:
        """The handler's name, unique in the service: the operationId."""
        return self.handler.__name__


OPERATIONS: list[Operation] = []


def operation(  # noqa: PLR0913  each parameter declares one aspect of an endpoint
    blueprint: Blueprint,
    method: str,
    path: str,
    *,
    responses: dict[int, Any],
    access: Access = Access.ANYONE,
    parameters: dict[str, Any] | None = None,
    query: type[BaseModel] | None = None,
    body: type[BaseModel] | None = None,
    media_types: tuple[str, ...] = (),
    form: type[BaseModel] | None = None,
    errors: tuple[type[DeclaredError], ...] = (),
    headers: dict[str, str] | None = None,
    takes: dict[str, Any] | None = None,
    links: dict[str, dict[str, str]] | None = None,
    kind: RateClass | None = None,
    unlimited: bool = False,
) -> Callable[[Handler], Handler]:
    """Register a handler for a method and a path below the blueprint's.

    `parameters` maps each `<name>` of the path to its type. The handler gets the request, the
    path's parameters by name, and `query`, `body` and `form` where declared.
    `responses` maps each success status to its JSON body's type, a media type, `Events` or None.
    `links` maps each possible next operation to the places of its parameters in the response.
    `headers` describes the response's headers. `takes` describes the request's headers by a text
    or a type. The handler gets a typed header, or None, as an argument such as `idempotency_key`.
    `media_types` are the body's: by default JSON for `body`, multipart/form-data for `form`.
    Rate limits count the operation in the class `kind`, by default that of its method. An
    `unlimited` operation is not counted.
    """
    types = parameters or {}
    taken = {name: type_ for name, type_ in (takes or {}).items() if not isinstance(type_, str)}
    if body or form:
        media_types = media_types or ((JSON,) if body else (FORM,))
    counted = None if unlimited else kind or _usual_kind(method, form)

    def register(handler: Handler) -> Handler:
        declared = Operation(
            method=method,
            path=f"{blueprint.url_prefix or ''}{path}",
            handler=handler,
            tag=blueprint.name,
            access=access,
            parameters=types,
            query=query,
            body=body,
            media_types=media_types,
            form=form,
            responses=responses,
            errors=errors,
            headers=headers or {},
            takes=takes or {},
            links=links or {},
            kind=counted,
        )
        OPERATIONS.append(declared)

        @wraps(handler)
        async def handle(request: Request, **values: str) -> HTTPResponse | None:
            await _admit(request, access, counted)
            bound = {name: binding.path_value(name, types[name], values[name]) for name in types}
            for name, type_ in taken.items():
                bound[name.lower().replace("-", "_")] = binding.header(request, name, type_)
            if media_types:
                cors.check_media_type(request, media_types)
            if query:
                bound["query"] = binding.query(request, query)
            if body:
                content = await read_body(request, bodies.MAX_JSON_BYTES)
                bound["body"] = binding.json_body(content, body)
            if form:
                bound["form"] = await _read_form(request, form)
            if method == "GET":
                return await handler(request, **bound)
            try:
                return await handler(request, **bound)
            finally:
                request.app.ctx.replica_router.wrote()

        # Without `:str` Sanic infers the type from the handler and responds 404 to a bad UUID.
        route = path.replace(">", ":str>")
        blueprint.add_route(
            handle,
            route,
            methods=[method],
            name=handler.__name__,
            unquote=True,
            stream=bool(body or form),
            # Sanic need not wait for a body that the handler does not read.
            ignore_body=not (body or form),
        )
        return handler

    return register


async def _read_form(request: Request, form: type[BaseModel]) -> BaseModel:
    max_bytes = request.app.ctx.settings.max_upload_bytes
    try:
        content = await read_body(request, max_bytes + FORM_OVERHEAD_BYTES)
    except TooLarge:
        # The other parts of a form are small, so the file exceeds its limit.
        raise FileTooLarge(max_bytes) from None
    return binding.multipart_form(content, request.headers.get("content-type", ""), form)


def _usual_kind(method: str, form: type[BaseModel] | None) -> RateClass:
    if method == "GET":
        return RateClass.READS
    return RateClass.UPLOADS if form else RateClass.WRITES


async def _admit(request: Request, access: Access, kind: RateClass | None) -> None:
    """Authorize the caller, and count the call in its rate limit.

    A denied call counts as a read.

    Raises:
        Unauthenticated, Forbidden: the caller has no access.
        RateLimited: the caller's limit is exhausted.

    """
    limits: Limits = request.app.ctx.limits
    if access is not Access.ANYONE:
        try:
            request.ctx.identity = await _caller(request, access)
            audit.set_caller(request, request.ctx.identity)
        except (Unauthenticated, Forbidden):
            request.ctx.identity = getattr(request.ctx, "caller", None)
            await limits.spend(request, RateClass.READS)
            raise
    if kind:
        await limits.spend(request, kind)


async def _caller(request: Request, access: Access) -> Identity | None:
    if access is Access.STUDENT:
        return await tokens.greet(request)
    return await tokens.authorize(request, admin=access is Access.ADMIN)
