"""The declaration of the console's pages, and how they and their errors are rendered.

The pages are no operations of the API: they are not in its document.
"""

import re
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from datetime import UTC, datetime
from functools import wraps
from http import HTTPStatus
from pathlib import Path
from typing import Any, get_type_hints
from urllib.parse import urlencode

import orjson
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from pydantic import BaseModel
from sanic import Blueprint, HTTPResponse, Request
from sanic.response import html as html_response
from sanic.response import redirect

from api import errors
from api.console import drawing, sessions
from api.endpoint import binding
from api.protocol.request_body import read_body
from api.security import tokens
from api.security.admission import admit
from infra.observability import logs
from infra.queue.graphs import STATES
from infra.rate_limits.buckets import RateClass
from services.errors import Unauthenticated

Handler = Callable[..., Awaitable[HTTPResponse]]

HOME = "/console/tasks"
LOGIN = "/console/login"
ASSETS = Path(__file__).with_name("assets")
# Room for the ids of `MOST_IN_BULK` tasks.
MAX_FORM_BYTES = 64 * 1024
MAX_SHOWN = 20_000
REFRESH_SECONDS = 3
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    # With `no-referrer` browsers send forms without their origin.
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_EMAIL = re.compile(r"[^\s\"'<>()\[\],;:@]+@[^\s\"'<>()\[\],;:@]+")

console = Blueprint("console", url_prefix=sessions.PATH)
for _asset in ("htmx.min.js", "console.css", "icon.svg"):
    console.static(f"/assets/{_asset}", ASSETS / _asset, name=_asset.replace(".", "_"))


class Form(BaseModel):
    """A form without fields of its own."""

    csrf: str = ""


def page(
    endpoint: str, *, kind: RateClass | None = None, is_public: bool = False
) -> Callable[[Handler], Handler]:
    """Declare a page, or what a form does: its method and its path below `/console`.

    The handler gets the request, a value for each `<name>` of the path, and `query` and `form` if
    it has such arguments. Without a session the caller gets the login page, unless it `is_public`.
    Each other form must have the CSRF token of the session.
    """
    method, _, route = endpoint.partition(" ")

    def register(handler: Handler) -> Handler:
        hints = get_type_hints(handler, include_extras=True)
        answer = _bound(handler, endpoint, hints, kind or _usual_kind(method), is_public=is_public)

        @wraps(handler)
        async def handle(request: Request, **values: str) -> HTTPResponse:
            try:
                return await answer(request, values)
            except Exception as error:  # noqa: BLE001  the API's renderer logs what is unforeseen
                return await _refusal(request, error)

        console.add_route(
            handle,
            route.replace(">", ":str>"),
            methods=[method],
            name=handler.__name__,
            unquote=True,
            stream=method == "POST",
            ignore_body=method == "GET",
        )
        return handler

    return register


def _usual_kind(method: str) -> RateClass:
    return RateClass.READS if method == "GET" else RateClass.WRITES


def _bound(
    handler: Handler, endpoint: str, hints: dict[str, Any], kind: RateClass, *, is_public: bool
) -> Callable[[Request, dict[str, str]], Coroutine[Any, Any, HTTPResponse]]:
    method = endpoint.partition(" ")[0]
    parameters = {name: hints[name] for name in re.findall(r"<(\w+)>", endpoint)}
    query, form = hints.get("query"), hints.get("form")

    async def answer(request: Request, values: dict[str, str]) -> HTTPResponse:
        token = sessions.token_of(request)
        if is_public:
            await admit(request, None, kind)
        elif token is None:
            await admit(request, None, RateClass.READS)
            return _to_login(request)
        else:
            await admit(request, tokens.verify(request, token, admin=True), kind)
        bound = {
            name: binding.path_value(name, of, values[name]) for name, of in parameters.items()
        }
        if query:
            bound["query"] = binding.query(request, query)
        if method == "GET":
            return await handler(request, **bound)
        content = await _read_form(request, form or Form, None if is_public else token)
        if form:
            bound["form"] = content
        try:
            return await handler(request, **bound)
        finally:
            request.app.ctx.replica_router.wrote()

    return answer


async def _read_form(request: Request, model: type[Form], token: str | None) -> Form:
    """Return the form of a request, which a page of ours sent.

    Raises:
        ForeignForm: another page sent it.
        Invalid: its fields do not fit the model.

    """
    sessions.check_origin(request)
    body = await read_body(request, MAX_FORM_BYTES)
    if token is not None:
        sessions.check_form(token, binding.urlencoded_form(body, Form).csrf)
    return binding.urlencoded_form(body, model)


def _to_login(request: Request) -> HTTPResponse:
    """Lead to the login page, and from there back to a page that was read."""
    back = request.path if request.method in {"GET", "HEAD"} else HOME
    if request.method == "GET" and request.query_string:
        back += f"?{request.query_string}"
    address = f"{LOGIN}?{urlencode({'next': back})}"
    if "hx-request" in request.headers:
        # Without it htmx would put the login page into the page.
        return HTTPResponse(status=HTTPStatus.UNAUTHORIZED, headers={"HX-Redirect": address})
    return redirect(address, status=HTTPStatus.SEE_OTHER)


async def _refusal(request: Request, error: Exception) -> HTTPResponse:
    """Return the page of an error; status, headers and records are those of the API."""
    rendered = await errors.render(request, error)
    if isinstance(error, Unauthenticated) and request.path != LOGIN:
        return _to_login(request)
    envelope = orjson.loads(rendered.body or b"{}")
    response = show(
        request,
        "login.html" if request.path == LOGIN else "error.html",
        rendered.status,
        title=envelope["error"],
        message=envelope["message"],
        request_id=logs.request_id(),
        next=getattr(request.ctx, "next", HOME),
    )
    response.headers.extend(rendered.headers)
    return response


def show(request: Request, template: str, status: int = 200, **values: Any) -> HTTPResponse:
    """Return a page; `identity` and `csrf` are there for all templates."""
    token = sessions.token_of(request)
    identity = getattr(request.ctx, "identity", None)
    content = _templates.get_template(template).render(
        values,
        identity=identity,
        csrf=sessions.csrf_of(token) if token and identity else "",
        now=datetime.now(UTC),
    )
    return html_response(content, status, headers=_HEADERS)


def to(address: str, **query: str) -> HTTPResponse:
    """Lead the browser to a page after a form."""
    address += f"?{urlencode(query)}" if query else ""
    return redirect(address, status=HTTPStatus.SEE_OTHER)


def shown_time(at: datetime | None) -> str:
    """Return a time for people, in UTC."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}" if at else ""


def shown_seconds(seconds: float) -> str:
    """Return a duration for people, in its two largest units."""
    whole = int(seconds)
    for size, unit, below, part in ((86400, "d", 3600, "h"), (3600, "h", 60, "min")):
        if whole >= size:
            return f"{whole // size} {unit} {whole % size // below} {part}"
    return f"{whole // 60} min {whole % 60} s" if whole >= 60 else f"{seconds:.1f} s"  # noqa: PLR2004  a minute


def bounded(text: str) -> str:
    """Return a text without emails, and no longer than `MAX_SHOWN`."""
    return _EMAIL.sub("(an email)", text[:MAX_SHOWN]) + ("…" if len(text) > MAX_SHOWN else "")


def counted(counts: Mapping[str, int]) -> str:
    """Return numbers of tasks by state for people."""
    return ", ".join(f"{counts[state]:,} {state}" for state in STATES if counts.get(state))


def _json(value: Any) -> str:
    return orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()


_templates = Environment(
    loader=FileSystemLoader(Path(__file__).with_name("templates")),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    # The templates are part of the installation.
    auto_reload=False,
)
_templates.filters.update(
    time=shown_time,
    seconds=shown_seconds,
    bounded=bounded,
    counted=counted,
    json=_json,
    query=urlencode,
)
_templates.globals.update(
    refresh_seconds=REFRESH_SECONDS, box_width=drawing.WIDTH, box_height=drawing.HEIGHT
)
