"""Heads of cached responses, rendered from what their operation declares.

The normal path sends what is declared through Sanic; the fast path sends what is rendered here.
Nothing here depends on a request, so no request can change what others get.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

from sanic import HTTPResponse, Sanic
from sanic.compat import Header
from sanic.response import empty, raw

from api.protocol.http1 import head_of
from infra.cache import Entry

Application = Sanic[Any, Any]

# What the objects around the bytes of heads take.
OVERHEAD_BYTES = 512
# Stand for the id of a request and the CORS headers; no declared header contains them.
_REQUEST_ID = "request-id-of-a-head"
_CORS = "cors-of-a-head"

# The transport of the request that heads are rendered for; nothing is sent on it.
_NOWHERE: Any = None


class Declaration(NamedTuple):
    """The response with an entry: `path` is the one path, as on the wire, that has its heads."""

    route: str
    path: str
    content_type: str
    headers: Callable[[Entry], dict[str, str]]

    def response(self, entry: Entry, *, is_known: bool) -> HTTPResponse:
        """Return the response: 304 if the client has the entry, else 200."""
        if is_known:
            return empty(304, self.headers(entry))
        return raw(entry.body, 200, self.headers(entry), self.content_type)


class Head(NamedTuple):
    """The bytes before the id of the request, from there to the CORS headers, and after them."""

    before: bytes
    middle: bytes
    after: bytes


@dataclass(slots=True)
class HeaderTemplates:
    """The heads of the responses with an entry to a GET or HEAD on a connection that is kept."""

    declared: Declaration
    app: Application
    path: bytes
    full: Head
    unchanged: Head

    @classmethod
    def of(cls, app: Application, declared: Declaration, entry: Entry) -> Self:
        """Render the heads of an entry."""
        full = _rendered(app, declared, entry, is_known=False)
        unchanged = _rendered(app, declared, entry, is_known=True)
        return cls(declared, app, declared.path.encode(), full, unchanged)

    @property
    def size(self) -> int:
        """How many bytes they take, about."""
        heads = (*self.full, *self.unchanged)
        return sum(map(len, heads)) + len(self.path) + OVERHEAD_BYTES

    def renewed(self, entry: Entry) -> Self:
        """Return the heads of the entry that takes the place of this one's."""
        return self.of(self.app, self.declared, entry)


def _rendered(app: Application, declared: Declaration, entry: Entry, *, is_known: bool) -> Head:
    """Render a head as the response middleware and Sanic do for a plain request."""
    request = app.request_class(declared.path.encode(), Header(), "1.1", "GET", _NOWHERE, app)
    response = declared.response(entry, is_known=is_known)
    app.ctx.complete(request, response, _REQUEST_ID)
    response.headers[_CORS] = ""
    head = head_of(response, None if is_known else len(entry.body), "keep-alive")
    before, _, rest = head.partition(_REQUEST_ID.encode())
    middle, _, after = rest.partition(f"{_CORS}: \r\n".encode())
    return Head(before, middle, after)
