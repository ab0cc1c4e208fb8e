"""Heads of cached responses, rendered from their operation's declaration.

The normal path sends the declared response through Sanic; the fast path sends these heads. They
do not depend on a request, so no request can change the response to another client.
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

# Memory of the objects that hold the bytes of heads.
OVERHEAD_BYTES = 512
# Placeholders for the request id and the CORS headers; no declared header contains them.
_REQUEST_ID = "request-id-of-a-head"
_CORS = "cors-of-a-head"

# The transport of the request that heads are rendered for; it sends nothing.
_NOWHERE: Any = None


class Declaration(NamedTuple):
    """A declared response with an entry; `path` is its only path with heads, as on the wire."""

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
    """A head in three parts: before the request id, then up to the CORS headers, then the rest."""

    before: bytes
    middle: bytes
    after: bytes


@dataclass(slots=True)
class HeaderTemplates:
    """The heads of an entry's responses to GET or HEAD on a keep-alive connection."""

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
        """The approximate size in bytes."""
        heads = (*self.full, *self.unchanged)
        return sum(map(len, heads)) + len(self.path) + OVERHEAD_BYTES

    def renewed(self, entry: Entry) -> Self:
        """Return the heads of the entry that replaces this one's."""
        return self.of(self.app, self.declared, entry)


def _rendered(app: Application, declared: Declaration, entry: Entry, *, is_known: bool) -> Head:
    """Render a head as the response middleware and Sanic render it for a plain request."""
    request = app.request_class(declared.path.encode(), Header(), "1.1", "GET", _NOWHERE, app)
    response = declared.response(entry, is_known=is_known)
    app.ctx.complete(request, response, _REQUEST_ID)
    response.headers[_CORS] = ""
    head = head_of(response, None if is_known else len(entry.body), "keep-alive")
    before, _, rest = head.partition(_REQUEST_ID.encode())
    middle, _, after = rest.partition(f"{_CORS}: \r\n".encode())
    return Head(before, middle, after)
