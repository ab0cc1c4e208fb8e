"""Entity tags, and their comparison by RFC 9110 8.8.3 and 13.1."""

import re
from collections.abc import Callable
from typing import TypeVar

from sanic import Request

T = TypeVar("T")

# One element of a list; elements may be empty.
_ELEMENT = re.compile(r'[ \t]*(?:(W/)?"([^"\x00-\x20\x7f]*)")?[ \t]*(?:,|$)')
# Suffixes that Apache, Caddy, Jetty and others append to the tags of responses they compress.
_CODING = re.compile(r"(?:--?|;)(?:gzip|x-gzip|br|deflate|zstd)")


def etag(digest: str) -> str:
    """Return the strong entity tag of a digest."""
    return f'"{digest}"'


def field(request: Request, name: str) -> str | None:
    """Return a list header with its lines joined; None if it is missing."""
    lines = request.headers.getall(name, [])
    return ", ".join(lines) if lines else None


def if_match(request: Request, digest_of: Callable[[T], str]) -> Callable[[T], bool] | None:
    """Return the condition of `If-Match` on what has a digest; None if the header is missing."""
    given = field(request, "if-match")
    if given is None:
        return None
    return lambda current: matches(given, digest_of(current), weak=False)


def matches(given: str | None, digest: str, *, weak: bool) -> bool:
    """Return whether a list of tags names the representation with this digest.

    Weak tags match in an `If-None-Match` (`weak`), never in an `If-Match`. `digest` is hexadecimal.
    A malformed list matches nothing.
    """
    if not given:
        return False
    if digest not in given:
        return given.strip(" \t") == "*"
    found, position = False, 0
    while position < len(given):
        element = _ELEMENT.match(given, position)
        if element is None:
            return False
        position = element.end()
        is_weak, opaque = element.groups()
        if opaque is not None and (weak or not is_weak) and opaque.startswith(digest):
            suffix = opaque[len(digest) :]
            found = found or not suffix or bool(_CODING.fullmatch(suffix))
    return found
