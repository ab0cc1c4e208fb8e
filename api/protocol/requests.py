"""A request that can be made of anything, so that whatever was sent gets an answer."""

from typing import Any

from sanic import Request
from sanic.exceptions import BadURL

_NO_METHOD = "NONE"


class ForgivingRequest(Request):
    """A request; Sanic's own stand-in for one whose address is malformed has the address `*`.

    Sanic parses the address again to say that it is malformed, and that closes the connection.
    """

    def __init__(self, url_bytes: bytes, *args: Any, **kwargs: Any) -> None:
        try:
            super().__init__(url_bytes, *args, **kwargs)
        except BadURL:
            if kwargs.get("method") != _NO_METHOD:
                raise
            super().__init__(b"*", *args, **kwargs)
