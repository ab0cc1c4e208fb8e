"""Images as bytes: what they are, and the variants that we show. All of it blocks; use a thread."""

import struct
import zlib
from dataclasses import dataclass
from io import BytesIO

from PIL import ExifTags, Image, ImageFile

from services import pixels
from services.errors import TooLarge, UnsupportedMedia

FORMAT = "webp"
CONTENT_TYPE = "image/webp"
WIDTHS = (1280, 640, 320)

_QUALITY = 80
_METHOD = 2  # half the time of the default 4 for 3 % more bytes
_LONGEST_SIDE = 16_383  # WebP has no more bits
# Each scan of a JPEG costs a pass over all its pixels and few bytes: without a bound 5 MB could
# keep a worker busy for minutes. Photographs have about 10; a film behind one looks like 80.
_MOST_SCANS = 200
_JPEG_START, _JPEG_SCAN = b"\xff\xd8", b"\xff\xda"

_CONTENT_TYPES = {
    "JPEG": "image/jpeg",
    "PNG": "image/png",
    "GIF": "image/gif",
    "WEBP": "image/webp",
}
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SIDEWAYS = frozenset({5, 6, 7, 8})

# What Pillow raises on damaged input, by its source and by fuzzing.
_DAMAGE = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    AttributeError,
    AssertionError,
    EOFError,
    struct.error,
    zlib.error,
)

# Pillow's own limit is a warning, which a thread can't turn into an error for itself alone, and
# a fixed one at twice that. `_open` holds every image to the caller's limit before it is decoded.
Image.MAX_IMAGE_PIXELS = None


@dataclass(frozen=True)
class ImageInfo:
    """What an image's header says; width and height as stored, before any turning."""

    format: str
    width: int
    height: int
    frames: int
    content_type: str


@dataclass(frozen=True)
class Rendition:
    """One variant, encoded."""

    width: int
    height: int
    data: bytes


class UnsupportedImage(UnsupportedMedia):
    """The image must be a JPEG, PNG, GIF or WebP"""


class BrokenImage(UnsupportedMedia):
    """The image is damaged and can't be decoded"""


class ImageTooLarge(TooLarge):
    """The image has too many pixels"""

    def __init__(self, pixels: int, allowed: int) -> None:
        self.pixels = pixels
        self.allowed = allowed
        super().__init__(f"The image has {pixels:,} pixels; at most {allowed:,} are allowed")


def inspect(data: bytes, max_pixels: int) -> ImageInfo:
    """Read the header, and decode nothing.

    Raises:
        UnsupportedImage: not one of the formats that are taken, or not even its header is whole.
        ImageTooLarge: it has more than `max_pixels`.

    """
    image = _open(data, max_pixels)
    # The further pictures of an MPO (a phone's preview, depth or gain map) are no frames.
    name = "JPEG" if image.format == "MPO" else str(image.format)
    try:
        frames = 1 if name == "JPEG" else getattr(image, "n_frames", 1)
    except _DAMAGE as error:
        raise UnsupportedImage from error
    return ImageInfo(name, image.width, image.height, frames, _CONTENT_TYPES[name])


def render(data: bytes, max_pixels: int) -> list[Rendition]:
    """Make the variants, widest first: upright, in sRGB, without metadata, never enlarged.

    Raises:
        UnsupportedImage: not one of the formats that are taken, or not even its header is whole.
        ImageTooLarge: it has more than `max_pixels`.
        BrokenImage: the header is fine and what follows is not.

    """
    image = _open(data, max_pixels)
    try:
        orientation = _orientation(image)
        sideways = orientation in _SIDEWAYS
        sizes = _sizes(*(reversed(image.size) if sideways else image.size))
        stored = (sizes[0][1], sizes[0][0]) if sideways else sizes[0]
        image.draft(None, stored)  # only a JPEG can; it then decodes no more than is needed
        image.load()
    except _DAMAGE as error:
        raise BrokenImage from error
    picture = pixels.to_srgb(pixels.shrunk(image, stored), image.info.get("icc_profile"))
    if orientation in _TURNS:
        picture = picture.transpose(_TURNS[orientation])
    picture.info.clear()
    renditions = []
    for size in sizes:
        picture = picture.resize(size, Image.Resampling.LANCZOS)
        encoded = BytesIO()
        picture.save(encoded, FORMAT, quality=_QUALITY, method=_METHOD)
        renditions.append(Rendition(*size, encoded.getvalue()))
    return renditions


def _open(data: bytes, max_pixels: int) -> ImageFile.ImageFile:
    if data.startswith(_JPEG_START) and data.count(_JPEG_SCAN) > _MOST_SCANS:
        raise UnsupportedImage("The image has too many scans")
    try:
        image = Image.open(BytesIO(data), formats=tuple(_CONTENT_TYPES))
    except _DAMAGE as error:
        raise UnsupportedImage from error
    pixels = image.width * image.height
    if not pixels:
        raise UnsupportedImage
    if pixels > max_pixels:
        raise ImageTooLarge(pixels, max_pixels)
    return image


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except _DAMAGE:
        return 1  # damaged EXIF is no reason to refuse the pixels


def _sizes(width: int, height: int) -> list[tuple[int, int]]:
    sizes: dict[int, tuple[int, int]] = {}
    for wanted in WIDTHS:
        scale = min(1, wanted / width, _LONGEST_SIDE / height)
        fitted = max(1, round(width * scale))
        sizes.setdefault(fitted, (fitted, max(1, round(height * scale))))
    return list(sizes.values())
