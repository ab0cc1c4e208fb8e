"""One declaration an endpoint: its route, who may call it, its input, and its page in OpenAPI.

`@operation` binds what the request carries to the handler's arguments, so a handler only calls a
service and shapes the answer, and the document can't say anything else than the code does.
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
# An image at its limit, with room for the other fields and the form's own lines.
FORM_OVERHEAD_BYTES = 1024 * 1024

# None: the handler has answered by itself, as a stream.
Handler = Callable[..., Awaitable[HTTPResponse | None]]


@dataclass(frozen=True)
class Events:
    """A response of server-sent events, whose data are each the JSON of a model."""

    data: type[BaseModel]


class Access(StrEnum):
    """Who may call an operation; ENROLLMENT_ACCESS decides who is a student's to act for."""

    ANYONE = "anyone"
    STUDENT = "student"
    USER = "user"
    ADMIN = "admin"


@dataclass(frozen=True)
class Operation:
    """An endpoint as OpenAPI describes it; `path` is Sanic's."""

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


def operation(  # noqa: PLR0913  a declaration has as many parts as an endpoint has sides
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

    `parameters` gives the type of each `<name>` of the path. The handler is called with the
    request, the path's parameters by name, and `query`, `body`, `form`, each if declared.
    `responses` maps each status of success to the type of its JSON body, a media type, `Events` or
    None. `links` maps the names of operations that can follow to where, in the answer, their
    parameters are.
    `headers` describes those of the answer. `takes` does those of the request: by a text, or by
    a type, and then the handler gets it, or None, by its name: `idempotency_key`.
    `media_types` are those of the request's body: a `body` is JSON, a `form` multipart/form-data.
    It counts as what `kind` says or its method does, unless it is `unlimited`.
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

        # Untyped, Sanic would take the type from the handler and answer 404 to a bad UUID.
        route = path.replace(">", ":str>")
        blueprint.add_route(
            handle,
            route,
            methods=[method],
            name=handler.__name__,
            unquote=True,
            stream=bool(body or form),
            # Nobody waits for a body that nobody reads.
            ignore_body=not (body or form),
        )
        return handler

    return register


async def _read_form(request: Request, form: type[BaseModel]) -> BaseModel:
    most = request.app.ctx.settings.max_upload_bytes
    try:
        content = await read_body(request, most + FORM_OVERHEAD_BYTES)
    except TooLarge:
        # All else that a form has is small.
        raise FileTooLarge(most) from None
    return binding.multipart_form(content, request.headers.get("content-type", ""), form)


def _usual_kind(method: str, form: type[BaseModel] | None) -> RateClass:
    if method == "GET":
        return RateClass.READS
    return RateClass.UPLOADS if form else RateClass.WRITES


async def _admit(request: Request, access: Access, kind: RateClass | None) -> None:
    """Find out who calls, and count the call.

    Raises:
        Unauthenticated, Forbidden: whoever calls may not.
        RateLimited: there are too many calls.

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
