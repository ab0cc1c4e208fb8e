"""Serves the objects of the image store if their addresses lead to this service."""

from urllib.parse import unquote, urlsplit

from sanic import Blueprint, HTTPResponse, Request
from sanic.exceptions import NotFound

from api.endpoint.cached import send_unless_known
from api.endpoint.etags import etag
from api.protocol.header_templates import Declaration
from infra.cache import Entry
from infra.rate_limits.buckets import RateClass
from infra.settings import Settings
from infra.storage import BACKUPS_PREFIX, MEDIA_PATH, StorageRefused, StorageUnavailable
from infra.storage.keys import CACHE_CONTROL
from infra.storage.object_cache import CachedObject, ObjectCache
from services.errors import Unavailable

media = Blueprint("media")


def are_served_here(settings: Settings) -> bool:
    """Return whether the images' addresses lead to this service, directly or through a CDN.

    STORAGE_PUBLIC_URL leads here if its path is `MEDIA_PATH`. Without it, all stores but S3 have
    addresses of this service.
    """
    public = settings.storage_public_url
    if public:
        return urlsplit(public).path.rstrip("/") == MEDIA_PATH
    return urlsplit(settings.storage or "").scheme not in {"", "s3"}


@media.get(f"{MEDIA_PATH}/<quoted:path>")
@media.head(f"{MEDIA_PATH}/<quoted:path>", name="show_headers")
async def show_object(request: Request, quoted: str) -> HTTPResponse:
    """Return an object; clients may store it, because a key's object never changes."""
    await request.app.ctx.limits.spend(request, RateClass.READS)
    # Sanic's own `unquote` does not decode parameters of the type `path`.
    key = unquote(quoted)
    shown = await _read(request.app.ctx.object_cache, key)
    route = f"/{request.route.path}" if request.route else MEDIA_PATH
    declared = Declaration(route, f"{MEDIA_PATH}/{key}", shown.content_type, _headers_of)
    return send_unless_known(request, shown.entry, declared)


async def _read(recent: ObjectCache, key: str) -> CachedObject:
    if key.startswith(BACKUPS_PREFIX):
        raise NotFound
    try:
        shown = await recent.get(key)
    except StorageUnavailable as error:
        raise Unavailable("The image store is unavailable; try again soon") from error
    except StorageRefused:
        shown = None
    if shown is None:
        raise NotFound
    return shown


def _headers_of(entry: Entry) -> dict[str, str]:
    return {
        "ETag": etag(entry.digest),
        "Cache-Control": CACHE_CONTROL,
        # Pages of all origins may embed the images.
        "Cross-Origin-Resource-Policy": "cross-origin",
    }
