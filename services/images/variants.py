"""Makes the variants of an image. All functions block and have no protection of their own.

`services.images.sandbox` runs them in a limited process.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from io import BytesIO
from math import sqrt

from PIL import (
    AvifImagePlugin,  # noqa: F401  registers the format
    ExifTags,
    Image,
    ImageFile,
    WebPImagePlugin,  # noqa: F401  registers the format
)

from services.images import pixels
from services.images.headers import DAMAGE, BrokenImage, opened

WIDTHS = (1280, 640, 320)

_REDUCING_GAP = 1.0  # averages sources of twice the size, in a tenth of a filter's time
_LONGEST_SIDE = 16_383  # the limit of WebP
_LARGEST = 1280 * 4096  # pixels of a variant: a taller image gets narrower
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# Replacements of a missing end, by format: pixels decoded from two of them differ.
_FILLINGS = (bytes(255), bytes(range(1, 255)))
_ENDS = {
    "JPEG": tuple(filling + b"\xff\xd9" for filling in _FILLINGS),
    "GIF": _FILLINGS,
}
_SIDEWAYS = frozenset({5, 6, 7, 8})


@dataclass(frozen=True)
class Encoding:
    """How variants are encoded, and by which bytes, and where, a file of it is known."""

    format: str
    content_type: str
    magic: bytes
    magic_at: int
    options: Mapping[str, int]


# WebP's method 2 takes half as long again; 0 makes drawings up to a quarter larger. A sandboxed
# process can start no threads.
WEBP = Encoding("webp", "image/webp", b"WEBP", 8, {"quality": 80, "method": 1})
AVIF = Encoding("avif", "image/avif", b"ftypavif", 4, {"quality": 60, "speed": 8, "max_threads": 1})
ENCODINGS = {each.format: each for each in (WEBP, AVIF)}


@dataclass(frozen=True)
class Rendition:
    """One variant, encoded."""

    width: int
    height: int
    data: bytes


def render(data: bytes, max_pixels: int, encoding: Encoding = WEBP) -> list[Rendition]:
    """Make the variants, widest first: upright, in sRGB, without metadata, never enlarged.

    Raises:
        UnsupportedImage: not one of the accepted formats, or the header is truncated.
        ImageTooLarge: it has more pixels than `max_pixels` or its format's limit.
        TooManyFrames: it has more than a thousand frames.
        BrokenImage: the header is valid and the rest is not.

    """
    image = opened(data, max_pixels)
    try:
        orientation = _orientation(image)
        sideways = orientation in _SIDEWAYS
        sizes = _sizes(*(reversed(image.size) if sideways else image.size))
        stored = (sizes[0][1], sizes[0][0]) if sideways else sizes[0]
    except DAMAGE as error:
        raise BrokenImage from error
    try:
        _load(image, stored)
    except DAMAGE as error:
        ends = _ENDS.get(str(image.format))
        del image
        if ends is None:
            raise BrokenImage from error
        image = _completed(data, max_pixels, stored, ends)
    colours = pixels.Colours.of(image)
    picture = pixels.shrunk(image, stored)
    del image  # frees most of the memory
    picture = pixels.to_srgb(picture, colours)
    if orientation in _TURNS:
        picture = picture.transpose(_TURNS[orientation])
    picture.info.clear()
    renditions = []
    for size in sizes:
        picture = picture.resize(size, Image.Resampling.LANCZOS, reducing_gap=_REDUCING_GAP)
        encoded = BytesIO()
        picture.save(encoded, encoding.format, **encoding.options)
        renditions.append(Rendition(*size, encoded.getvalue()))
    return renditions


def _load(image: ImageFile.ImageFile, size: tuple[int, int]) -> None:
    image.draft(None, size)  # only a JPEG can; it then decodes no more than is needed
    image.load()


def _completed(
    data: bytes, max_pixels: int, size: tuple[int, int], ends: tuple[bytes, ...]
) -> ImageFile.ImageFile:
    """Decode an image whose end is missing.

    No pixels are missing if each replacement of the end gives the same ones.

    Raises:
        BrokenImage: pixels are missing.

    """
    digests = set()
    for end in ends:
        image = opened(data + end, max_pixels)
        try:
            _load(image, size)
        except DAMAGE as error:
            raise BrokenImage from error
        digests.add(blake2b(image.tobytes()).digest())
        if end is not ends[-1]:
            del image  # two would be too much memory
    if len(digests) > 1:
        raise BrokenImage
    return image


def is_variant(data: bytes, encoding: Encoding) -> bool:
    """Return whether the bytes are a file of this encoding, as `render` makes."""
    return data.startswith(encoding.magic, encoding.magic_at)


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except DAMAGE:
        return 1  # damaged EXIF is no reason to refuse the pixels


def _sizes(width: int, height: int) -> list[tuple[int, int]]:
    sizes: dict[int, tuple[int, int]] = {}
    for wanted in WIDTHS:
        scale = min(1, wanted / width, _LONGEST_SIDE / height, sqrt(_LARGEST / (width * height)))
        fitted = max(1, round(width * scale))
        sizes.setdefault(fitted, (fitted, max(1, round(height * scale))))
    return list(sizes.values())
