"""The ways of Pillow; each takes the JPEG's bytes and returns the variants, widest first."""

from collections.abc import Callable
from functools import partial
from io import BytesIO

from PIL import Image

from services.images.variants import render

SIZES = ((1280, 960), (640, 480), (320, 240))
QUALITY = 80
LARGEST = 50_000_000

Way = Callable[[bytes], list[bytes]]


def _encoded(picture: Image.Image, method: int) -> bytes:
    encoded = BytesIO()
    picture.save(encoded, "WEBP", quality=QUALITY, method=method)
    return encoded.getvalue()


def _stepwise(picture: Image.Image, method: int) -> list[bytes]:
    found = []
    for size in SIZES:
        picture = picture.resize(size, Image.Resampling.LANCZOS)
        found.append(_encoded(picture, method))
    return found


def plain(data: bytes) -> list[bytes]:
    """Decode everything, resize thrice."""
    picture = Image.open(BytesIO(data)).convert("RGB")
    return [_encoded(picture.resize(size, Image.Resampling.LANCZOS), 4) for size in SIZES]


def draft(data: bytes) -> list[bytes]:
    """Let the JPEG be decoded at half its size."""
    picture = Image.open(BytesIO(data))
    picture.draft("RGB", SIZES[0])
    return _stepwise(picture.convert("RGB"), 4)


def draft_method(data: bytes, method: int) -> list[bytes]:
    """The same, and encode with less effort."""
    picture = Image.open(BytesIO(data))
    picture.draft("RGB", SIZES[0])
    return _stepwise(picture.convert("RGB"), method)


def reduced(data: bytes, method: int) -> list[bytes]:
    """Decode at half the size, and average four pixels, and sixteen, for the smaller ones."""
    picture = Image.open(BytesIO(data))
    picture.draft("RGB", SIZES[0])
    first = picture.resize(SIZES[0], Image.Resampling.LANCZOS, reducing_gap=1.0)
    return [_encoded(first, method), *(_encoded(first.reduce(by), method) for by in (2, 4))]


def thumbnail(data: bytes) -> list[bytes]:
    """What Pillow's documentation has for it."""
    picture = Image.open(BytesIO(data))
    found = []
    for size in SIZES:
        picture.thumbnail(size, Image.Resampling.LANCZOS, reducing_gap=2.0)
        found.append(_encoded(picture, 2))
    return found


def ours(data: bytes) -> list[bytes]:
    """What the worker does: upright, in sRGB, without metadata."""
    return [each.data for each in render(data, LARGEST)]


WAYS: dict[str, Way] = {
    "ours": ours,
    "Pillow, plain": plain,
    "Pillow, draft": draft,
    "Pillow, draft, method 2": partial(draft_method, method=2),
    "Pillow, draft, method 1": partial(draft_method, method=1),
    "Pillow, draft, method 0": partial(draft_method, method=0),
    "Pillow, draft, reduce, method 2": partial(reduced, method=2),
    "Pillow, draft, reduce, method 1": partial(reduced, method=1),
    "Pillow, draft, reduce, method 0": partial(reduced, method=0),
    "Pillow, thumbnail, method 2": thumbnail,
}
