"""Sends cached responses with their validators, and 304 if the client has the current version."""

from functools import partial
from math import ceil

from sanic import HTTPResponse, Request

from api.endpoint.etags import etag, field, if_match, matches
from api.endpoint.replies import JSON, page_headers, reply_json
from api.protocol.header_templates import Declaration, HeaderTemplates
from infra.cache import Entry, Key
from services.catalogue.change import Condition
from services.catalogue.queries import Snapshot
from services.catalogue.render import UrlOf

# Clients and proxies may store a response and must revalidate it before each use.
CACHE_CONTROL = "no-cache"
CACHE_NAME = "course-enrollment"
VALIDATORS = {
    "ETag": "Strong; with `If-None-Match` an unchanged answer is 304 without a body.",
    "Cache-Control": "`no-cache`: may be kept, and is to be validated before each use.",
}


UNCHANGED = {"If-None-Match": "Tags that the caller has: if the answer's is one, it is 304."}
TAGGED = {"ETag": "Strong; names this version in an `If-Match`."}


def send(request: Request, entry: Entry, key: Key | None, path: str) -> HTTPResponse:
    """Respond with an entry, and index it so that the fast path serves the next request.

    `path` is the resource's canonical path. Only the normal path serves the entry under any other.
    """
    route = f"/{request.route.path}" if request.route else path
    declared = Declaration(route, path, JSON, partial(headers_of, path=path))
    is_kept = (
        key is not None
        and entry.stale_seconds is None
        and _is_canonical(request, path)
        and request.app.ctx.cache.memory.remember(request.raw_url, key.name)
    )
    return send_unless_known(request, entry, declared, is_cached=is_kept)


def send_unless_known(
    request: Request, entry: Entry, declared: Declaration, *, is_cached: bool = True
) -> HTTPResponse:
    """Respond with an entry, or with 304 if the client's version is current.

    If `is_cached`, prepares the header templates with which the fast path serves the entry.
    """
    if is_cached and _is_canonical(request, declared.path):
        _prepare(request, entry, declared)
    known = matches(field(request, "if-none-match"), entry.digest, weak=True)
    return declared.response(entry, is_known=known)


def _is_canonical(request: Request, path: str) -> bool:
    return request.raw_url.partition(b"?")[0] == path.encode()


def _prepare(request: Request, entry: Entry, declared: Declaration) -> None:
    if isinstance(entry.prepared, HeaderTemplates):
        return
    entry.prepared = HeaderTemplates.of(request.app, declared, entry)
    request.app.ctx.cache.memory.weigh(request.raw_url, entry, entry.prepared.size)


def headers_of(entry: Entry, path: str) -> dict[str, str]:
    """Return the headers of an entry; they are the same for all clients."""
    headers = {"ETag": etag(entry.digest), "Cache-Control": CACHE_CONTROL}
    if entry.stale_seconds is not None:
        headers["Cache-Status"] = f"{CACHE_NAME}; hit; ttl=-{ceil(entry.stale_seconds)}"
    if entry.page is not None and entry.total is not None:
        headers |= page_headers(path, entry.page, entry.total)
    return headers


def send_written(
    snapshot: Snapshot, url_of: UrlOf, status: int, headers: dict[str, str] | None = None
) -> HTTPResponse:
    """Respond with a written course: the same bytes and tag that readers get."""
    entry = snapshot.entry(url_of)
    return reply_json(entry.body, status, {"ETag": etag(entry.digest), **(headers or {})})


def condition_of(request: Request) -> Condition | None:
    """Return the condition of `If-Match`; None if the header is missing."""
    url_of = request.app.ctx.storage.url
    return if_match(request, lambda snapshot: snapshot.entry(url_of).digest)
