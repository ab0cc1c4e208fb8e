"""Test images, made by code: the same bytes each time. Photograph-like ones first, then hostile."""

import struct
import zlib
from functools import cache
from io import BytesIO
from random import Random
from typing import Any

from PIL import ExifTags, Image, ImageCms, ImageDraw

# How upright pixels are turned to be stored, so that a viewer who obeys EXIF sees them upright.
_STORED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><secret>home address</secret></x:xmpmeta>'


@cache
def photograph(width: int = 1600, height: int = 1200) -> Image.Image:
    """Return smooth light, shapes with edges, and a sensor's noise; no two corners are alike."""
    channels = [
        Image.linear_gradient("L"),
        Image.radial_gradient("L"),
        Image.linear_gradient("L").transpose(Image.Transpose.ROTATE_90),
    ]
    picture = Image.merge("RGB", channels).resize((width, height), Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(picture)
    draw.ellipse((width * 0.05, height * 0.08, width * 0.35, height * 0.45), fill=(250, 220, 40))
    draw.rectangle((width * 0.6, height * 0.1, width * 0.9, height * 0.3), fill=(20, 40, 160))
    draw.polygon(
        [(width * 0.1, height * 0.95), (width * 0.45, height * 0.5), (width * 0.8, height * 0.95)],
        fill=(30, 110, 50),
    )
    for step in range(12):
        x = width * (0.5 + step / 30)
        draw.line((x, height * 0.35, x + width / 20, height * 0.6), fill=(240, 240, 240), width=2)
    grain = Image.frombytes("L", (width, height), Random(width).randbytes(width * height))
    return Image.blend(picture, grain.convert("RGB"), 0.02)


def encoded(picture: Image.Image, image_format: str, **options: Any) -> bytes:
    """Return the picture's bytes in a format."""
    buffer = BytesIO()
    picture.save(buffer, image_format, **options)
    return buffer.getvalue()


def jpeg(
    width: int = 1600,
    height: int = 1200,
    orientation: int = 1,
    *,
    gps: bool = True,
    **options: Any,
) -> bytes:
    """Return a camera's JPEG; seen upright it is `photograph(width, height)`."""
    picture = photograph(width, height)
    if orientation in _STORED:
        picture = picture.transpose(_STORED[orientation])
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    exif[ExifTags.Base.Model] = "Secret Camera"
    if gps:
        exif[ExifTags.IFD.GPSInfo] = {
            ExifTags.GPS.GPSLatitudeRef: "S",
            ExifTags.GPS.GPSLatitude: (33.0, 51.0, 24.5),
            ExifTags.GPS.GPSLongitudeRef: "E",
            ExifTags.GPS.GPSLongitude: (151.0, 12.0, 33.1),
        }
        options = {"xmp": XMP, "comment": b"secret comment", **options}
    return encoded(picture, "JPEG", **{"quality": 92, "exif": exif, **options})


def phone_jpeg() -> bytes:
    """Return a JPEG with a second picture behind the first, as many phones write it (MPO)."""
    preview = photograph(320, 240)
    return encoded(photograph(), "MPO", save_all=True, append_images=[preview])


def png_alpha(width: int = 800, height: int = 600) -> bytes:
    """Return a photograph that fades out to the right; its invisible pixels are bright red."""
    fade = Image.linear_gradient("L").transpose(Image.Transpose.ROTATE_270).resize((width, height))
    red = Image.new("RGB", (width, height), (255, 0, 0))
    picture = Image.composite(photograph(width, height), red, fade.point(lambda v: v and 255))
    picture.putalpha(fade)
    return encoded(picture, "PNG", compress_level=1)


def animated_gif() -> bytes:
    """Return three frames: red, green, blue."""
    frames = [Image.new("RGB", (400, 300), colour) for colour in ("red", "lime", "blue")]
    return encoded(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=80)


def webp() -> bytes:
    """Return a photograph in WebP, with EXIF and XMP."""
    exif = Image.Exif()
    exif[ExifTags.Base.Model] = "Secret Camera"
    return encoded(photograph(900, 700), "WEBP", quality=90, method=0, exif=exif, xmp=XMP)


def swapped_profile() -> bytes:
    """Return an ICC profile whose red is sRGB's blue and the other way round."""
    srgb = {
        "r": (0.4361, 0.2225, 0.0139),
        "g": (0.3851, 0.7169, 0.0971),
        "b": (0.1431, 0.0606, 0.7141),
    }
    tags = {}
    for ours, theirs in (("r", "b"), ("g", "g"), ("b", "r")):
        tags[f"{ours}XYZ"] = _xyz(*srgb[theirs])
        tags[f"{ours}TRC"] = _curve(2.2)
    return _profile(b"RGB ", tags)


def gamma_profile(gamma: float, name: bytes) -> bytes:
    """Return an ICC profile with sRGB's primaries, a curve of this gamma, and a description."""
    primaries = {"r": (0.4361, 0.2225, 0.0139), "g": (0.3851, 0.7169, 0.0971)}
    tags = {}
    for colour, xyz in (primaries | {"b": (0.1431, 0.0606, 0.7141)}).items():
        tags[f"{colour}XYZ"] = _xyz(*xyz)
        tags[f"{colour}TRC"] = _curve(gamma)
    return _profile(b"RGB ", tags, name)


def linear_grey_profile() -> bytes:
    """Return an ICC profile of grey whose values are amounts of light."""
    return _profile(b"GRAY", {"kTRC": _curve(1.0)})


def srgb_profile() -> bytes:
    """Return the profile that changes nothing."""
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


@cache
def bomb_png(side: int = 30_000) -> bytes:
    """Return a whole and valid PNG of 900 million pixels in 110 KB."""
    packer = zlib.compressobj(9)
    row = bytes(1 + side // 8)
    pixels = b"".join(packer.compress(row * 100) for _ in range(side // 100)) + packer.flush()
    return png(struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0), (b"IDAT", pixels))


@cache
def text_bomb_png() -> bytes:
    """Return a small PNG whose comment unpacks to 256 MB."""
    return with_chunks((b"zTXt", b"Comment\0\0" + zeros(256)))


def profile_bomb_png() -> bytes:
    """Return a small PNG whose colour profile unpacks to 256 MB."""
    return with_chunks((b"iCCP", b"Profile\0\0" + zeros(256)))


@cache
def zeros(megabytes: int) -> bytes:
    """Return so many megabytes of zeros, packed."""
    packer = zlib.compressobj(9)
    megabyte = bytes(1 << 20)
    return b"".join(packer.compress(megabyte) for _ in range(megabytes)) + packer.flush()


@cache
def scan_bomb_jpeg(side: int = 6000, scans: int = 2000) -> bytes:
    """Return a progressive JPEG that repeats one scan of a few bytes over all its pixels."""
    whole = encoded(Image.new("L", (side, side), 90), "JPEG", progressive=True)
    last = whole.rindex(b"\xff\xda")
    return whole[:-2] + whole[last:-2] * scans + whole[-2:]


def bomb_webp(width: int = 65_535, height: int = 65_535) -> bytes:
    """Return an animation of one pixel on a canvas of four thousand million."""
    pixel = encoded(Image.new("RGB", (1, 1)), "WEBP", lossless=True)[12:]
    chunks = (
        (b"VP8X", b"\2\0\0\0" + _u24(width - 1) + _u24(height - 1)),
        (b"ANIM", bytes(6)),
        (b"ANMF", bytes(12) + _u24(100) + b"\0" + pixel),
    )
    body = b"".join(name + struct.pack("<I", len(data)) + data for name, data in chunks)
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body


@cache
def huge_jpeg(side: int = 8000, **options: Any) -> bytes:
    """Return a JPEG of 64 million pixels."""
    return encoded(Image.new("L", (side, side), 90), "JPEG", quality=30, **options)


def huge_progressive_jpeg() -> bytes:
    """Return a progressive JPEG of 25 million pixels."""
    return huge_jpeg(5000, progressive=True)


def truncated_jpeg() -> bytes:
    """Return the first half of a photograph."""
    whole = jpeg(gps=False)
    return whole[: len(whole) // 2]


SVG = (
    b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
)
HTML = b"<!doctype html><html><script>alert(document.domain)</script></html>"
GIF_POLYGLOT = b"GIF89a=1;alert(document.domain)//"


def png(size: bytes, *chunks: tuple[bytes, bytes]) -> bytes:
    """Return a PNG of a header's content and the chunks behind it."""
    whole = ((b"IHDR", size), *chunks, (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(*chunk) for chunk in whole)


def with_chunks(*chunks: tuple[bytes, bytes]) -> bytes:
    """Return a small PNG with chunks before its pixels."""
    whole = encoded(Image.new("L", (8, 8)), "PNG")
    return whole[:33] + b"".join(png_chunk(*chunk) for chunk in chunks) + whole[33:]


def png_chunk(name: bytes, data: bytes) -> bytes:
    """Return a chunk of a PNG."""
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def _u24(number: int) -> bytes:
    return struct.pack("<I", number)[:3]


def _profile(space: bytes, tags: dict[str, bytes], title: bytes = b"Test") -> bytes:
    described = b"desc\0\0\0\0" + struct.pack(">I", len(title) + 1) + title + bytes(79)
    usual = {"desc": described, "cprt": b"text\0\0\0\0none\0", "wtpt": _xyz(0.9642, 1.0, 0.8249)}
    table, body = b"", b""
    start = 128 + 4 + 12 * len(tags | usual)
    for name, content in (tags | usual).items():
        table += name.encode() + struct.pack(">II", start + len(body), len(content))
        body += content + bytes(-len(content) % 4)
    size = start + len(body)
    header = struct.pack(">I4sI4s4s4s", size, b"lcms", 0x02400000, b"mntr", space, b"XYZ ")
    header += bytes(12) + b"acsp" + bytes(28) + struct.pack(">iii", 0xF6D6, 0x10000, 0xD32D)
    return header.ljust(128, b"\0") + struct.pack(">I", len(tags | usual)) + table + body


def _curve(gamma: float) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, int(gamma * 256))


def _xyz(*values: float) -> bytes:
    return b"XYZ \0\0\0\0" + struct.pack(">iii", *(round(value * 65536) for value in values))
