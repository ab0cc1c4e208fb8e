"""The objects of a `file://` store, where no web server in front of us shows its directory."""

import asyncio
from mimetypes import guess_type
from pathlib import Path
from urllib.parse import unquote, urlsplit

from sanic import Blueprint, HTTPResponse, Request
from sanic.exceptions import NotFound
from sanic.response import raw

from infra.settings import Settings
from infra.storage import MEDIA_PATH, StorageRefused
from infra.storage.keys import CACHE_CONTROL, check_key
from services import imaging

media = Blueprint("media")


def is_wanted(settings: Settings) -> bool:
    """Tell whether the images are files of this machine."""
    return urlsplit(settings.storage or "").scheme == "file"


@media.get(f"{MEDIA_PATH}/<quoted:path>")
@media.head(f"{MEDIA_PATH}/<quoted:path>", name="show_headers")
async def show_object(request: Request, quoted: str) -> HTTPResponse:
    """Return an object; whoever has it may keep it, for what is under a key never changes."""
    key = unquote(quoted)  # Sanic's own `unquote` leaves out parameters that are paths
    root = Path(unquote(urlsplit(request.app.ctx.settings.storage).path))
    try:
        check_key(key)
        content = await asyncio.to_thread(_read, root, key)
    except (StorageRefused, OSError):
        raise NotFound from None
    # Pages of any origin show pictures.
    headers = {"Cache-Control": CACHE_CONTROL, "Cross-Origin-Resource-Policy": "cross-origin"}
    return raw(content, content_type=_type(key), headers=headers)


def _read(root: Path, key: str) -> bytes:
    path = (root / key).resolve()
    if not path.is_relative_to(root.resolve()):
        raise StorageRefused(f"{key!r} leaves the directory through a link")
    return path.read_bytes()


def _type(key: str) -> str:
    # Python 3.11 doesn't know WebP.
    if key.endswith(f".{imaging.FORMAT}"):
        return imaging.CONTENT_TYPE
    return guess_type(key)[0] or "application/octet-stream"
