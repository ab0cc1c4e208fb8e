"""Inspects images, and refuses bad ones, before a pixel is decoded."""

import struct
import zlib
from io import BytesIO

from PIL import Image, ImageFile

from services.errors import ServiceError, TooLarge, UnsupportedMedia
from services.images import chunks

# Each scan of a JPEG costs a pass over all its pixels and few bytes: without a bound 5 MB could
# keep a worker busy for minutes. Photographs have about 10; a film behind one looks like 80.
_MOST_SCANS = 200
_MOST_PROGRESSIVE_SCANS = 64
_JPEG_START, _JPEG_SCAN = b"\xff\xd8", b"\xff\xda"

# Only a baseline JPEG can be decoded at a fraction of its size; of the others as many pixels are
# taken as fit into 250 MB and 2 s: WebP needs 16 bytes a pixel, a progressive JPEG 8, PNG 4.
PROGRESSIVE = "progressive JPEG"
MOST_PIXELS = {
    PROGRESSIVE: 24_000_000,
    "PNG": 24_000_000,
    "GIF": 24_000_000,
    "WEBP": 12_600_000,
}

# Only the first frame is shown. Frames are counted by the bytes before each; compressed data have
# those by chance once in 64 KB at most.
_MOST_FRAMES = 1000
_FRAME_STARTS = {"PNG": b"fcTL", "GIF": b"\0,", "WEBP": b"ANMF"}

_WEBP_HEADER_BYTES = 30
_FORMATS = ("JPEG", "PNG", "GIF", "WEBP")

# What Pillow raises on damaged input, by its source and by fuzzing.
DAMAGE = (
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
# a fixed one at twice that. `opened` holds every image to the caller's limit before it is decoded.
Image.MAX_IMAGE_PIXELS = None


class _OfImage(ServiceError):
    """An error of the field `image`"""

    field = "image"


class FileTooLarge(_OfImage, TooLarge):
    """An image has too many bytes"""

    def __init__(self, most: int) -> None:
        self.most = most
        super().__init__(f"An image may have at most {most} bytes")


class UnsupportedImage(_OfImage, UnsupportedMedia):
    """The image must be a JPEG, PNG, GIF or WebP"""


class BrokenImage(_OfImage, UnsupportedMedia):
    """The image is damaged and can't be decoded"""


class TooManyScans(UnsupportedImage):
    """The image has too many scans"""


class UnreadableHeader(UnsupportedImage):
    """The image's header can't be read: it is damaged, or holds far too much"""


class ImageTooCostly(_OfImage, UnsupportedMedia):
    """The image takes too much memory or time to decode"""


class TooManyFrames(_OfImage, TooLarge):
    """The image has too many frames"""


class ImageTooLarge(_OfImage, TooLarge):
    """The image has too many pixels"""

    def __init__(self, pixels: int, allowed: int) -> None:
        self.pixels = pixels
        self.allowed = allowed
        super().__init__(f"The image has {pixels:,} pixels; at most {allowed:,} are allowed")


def opened(data: bytes, max_pixels: int) -> ImageFile.ImageFile:
    """Return the image with its header read, and no pixel decoded.

    Raises:
        UnsupportedImage: not one of the accepted formats, or the header is truncated.
        ImageTooLarge: it has more pixels than `max_pixels` or its format's limit.
        TooManyFrames: it has more than a thousand frames.

    """
    whole, data = data, chunks.relevant(data)
    if canvas := _webp_canvas(data):
        # Pillow allocates its memory when it opens the file.
        _check_pixels(*canvas, "WEBP", max_pixels)
    if data.startswith(_JPEG_START) and data.count(_JPEG_SCAN) > _MOST_SCANS:
        raise TooManyScans
    try:
        image = Image.open(BytesIO(data), formats=_FORMATS)
    except ValueError as error:
        raise UnreadableHeader from error
    except DAMAGE as error:
        raise UnsupportedImage from error
    kind = PROGRESSIVE if image.info.get("progressive") else str(image.format)
    if kind is PROGRESSIVE and data.count(_JPEG_SCAN) > _MOST_PROGRESSIVE_SCANS:
        raise TooManyScans
    _check_pixels(image.width, image.height, kind, max_pixels)
    start = _FRAME_STARTS.get(kind)
    if start and whole.count(start) > _MOST_FRAMES:
        raise TooManyFrames
    return image


def _check_pixels(width: int, height: int, kind: str, max_pixels: int) -> None:
    pixels, allowed = width * height, min(max_pixels, MOST_PIXELS.get(kind, max_pixels))
    if not pixels:
        raise UnsupportedImage
    if pixels > allowed:
        raise ImageTooLarge(pixels, allowed)


def _webp_canvas(data: bytes) -> tuple[int, int] | None:
    """Return the width and height of a WebP, whose place depends on its kind."""
    if data[:4] != b"RIFF" or len(data) < _WEBP_HEADER_BYTES:
        return None
    match data[8:16]:
        case b"WEBPVP8X":
            return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(
                data[27:30], "little"
            )
        case b"WEBPVP8L":
            bits = int.from_bytes(data[21:25], "little")
            return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
        case b"WEBPVP8 ":
            width, height = struct.unpack("<HH", data[26:30])
            return width & 0x3FFF, height & 0x3FFF
    return None
