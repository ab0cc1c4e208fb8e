"""A request object that also accepts malformed targets, so that each of them gets a response."""

from typing import Any

from sanic import Request
from sanic.exceptions import BadURL

_NO_METHOD = "NONE"


class ForgivingRequest(Request):
    """A request; for a malformed target Sanic's substitute request has the target `*`.

    Sanic parses the malformed target again while it makes the error response. That second failure
    would close the connection without a response.
    """

    def __init__(self, url_bytes: bytes, *args: Any, **kwargs: Any) -> None:
        try:
            super().__init__(url_bytes, *args, **kwargs)
        except BadURL:
            if kwargs.get("method") != _NO_METHOD:
                raise
            super().__init__(b"*", *args, **kwargs)
