"""One declaration an endpoint: its route, access, input and OpenAPI documentation.

`@operation` binds the request's parts to the handler's arguments. A handler only calls a service
and builds the response. The same declaration generates the document, so it matches the code.
"""

import re
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import KW_ONLY, dataclass, field
from enum import StrEnum
from functools import wraps
from typing import Any, get_type_hints

from pydantic import BaseModel
from sanic import Blueprint, HTTPResponse, Request

from api.endpoint import binding, bodies
from api.endpoint.replies import JSON
from api.protocol.request_body import read_body
from api.security import cors, tokens
from api.security.admission import admit
from api.security.tokens import Identity
from infra.errors import DeclaredError
from infra.rate_limits.buckets import RateClass
from services.errors import TooLarge
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


OPERATIONS: list["Operation"] = []


@dataclass(eq=False)
class Operation:
    """The declaration of an endpoint: a decorator of its handler.

    The handler gets the request, a value for each `<name>` of the path, and `query`, `body` and
    `form` if it has such arguments; all are of the types that the handler declares.
    `endpoint` is the method and the path below that of the blueprint, in Sanic's syntax.
    `responses` maps each success status to its JSON body's type, a media type, `Events` or None.
    `links` maps each possible next operation to the places of its parameters in the response.
    `headers` describes the response's headers. `takes` describes the request's headers by a text
    or a type. The handler gets a typed header, or None, as an argument such as `idempotency_key`.
    `media_types` are the body's: by default JSON for `body`, multipart/form-data for `form`.
    Rate limits count the operation in the class `kind`, by default that of its method. An
    `unlimited` operation is not counted.
    """

    blueprint: Blueprint
    endpoint: str
    _: KW_ONLY
    responses: dict[int, Any]
    access: Access = Access.ANYONE
    media_types: tuple[str, ...] = ()
    errors: tuple[type[DeclaredError], ...] = ()
    headers: dict[str, str] = field(default_factory=dict)
    takes: dict[str, Any] = field(default_factory=dict)
    links: dict[str, dict[str, str]] = field(default_factory=dict)
    kind: RateClass | None = None
    unlimited: bool = False
    method: str = field(init=False)
    route: str = field(init=False)
    # What the handler declares.
    handler: Handler = field(init=False)
    parameters: dict[str, Any] = field(init=False)
    query: type[BaseModel] | None = field(init=False)
    body: type[BaseModel] | None = field(init=False)
    form: type[BaseModel] | None = field(init=False)

    def __post_init__(self) -> None:
        self.method, _, self.route = self.endpoint.partition(" ")

    @property
    def name(self) -> str:
        """The handler's name, unique in the service: the operationId."""
        return self.handler.__name__

    @property
    def path(self) -> str:
        """The whole path, in Sanic's syntax."""
        return f"{self.blueprint.url_prefix or ''}{self.route}"

    def __call__(self, handler: Handler) -> Handler:
        """Register the handler for the method and the path."""
        types = get_type_hints(handler, include_extras=True)
        self.handler = handler
        self.parameters = {name: types[name] for name in re.findall(r"<(\w+)>", self.route)}
        self.query, self.body, self.form = map(types.get, ("query", "body", "form"))
        if has_body := bool(self.body or self.form):
            self.media_types = self.media_types or ((JSON,) if self.body else (FORM,))
        self.kind = None if self.unlimited else self.kind or _usual_kind(self.method, self.form)
        OPERATIONS.append(self)
        self.blueprint.add_route(
            self._bound(),
            # Without `:str` Sanic infers the type from the handler and responds 404 to a bad UUID.
            self.route.replace(">", ":str>"),
            methods=[self.method],
            name=self.name,
            unquote=True,
            stream=has_body,
            # Sanic need not wait for a body that the handler does not read.
            ignore_body=not has_body,
        )
        return handler

    def _bound(self) -> Callable[..., Coroutine[Any, Any, HTTPResponse | None]]:
        """Return the handler of a request: it binds the request's parts to arguments."""
        handler, access, kind, media_types = self.handler, self.access, self.kind, self.media_types
        parameters, query, body, form = self.parameters, self.query, self.body, self.form
        taken = {name: type_ for name, type_ in self.takes.items() if not isinstance(type_, str)}
        is_write = self.method != "GET"

        @wraps(handler)
        async def handle(request: Request, **values: str) -> HTTPResponse | None:
            caller = None if access is Access.ANYONE else _caller(request, access)
            await admit(request, caller, kind)
            bound = {
                name: binding.path_value(name, type_, values[name])
                for name, type_ in parameters.items()
            }
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
            try:
                return await handler(request, **bound)
            finally:
                if is_write:
                    request.app.ctx.replica_router.wrote()

        return handle


operation = Operation


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


async def _caller(request: Request, access: Access) -> Identity | None:
    if access is Access.STUDENT:
        return await tokens.greet(request)
    return await tokens.authorize(request, admin=access is Access.ADMIN)
