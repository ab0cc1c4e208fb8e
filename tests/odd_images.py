"""Images of unusual kinds, and images with a fault that viewers show all the same; made by code.

Most are of two plain halves, so that any decoder can be asked for the colour of either.
"""

import struct
import zlib
from collections.abc import Iterator

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from tests import photos

SIDE = 64
LEFT, RIGHT = (60, 128, 200), (200, 60, 128)
_GREY, _COLOUR = 0, 2


def halves(mode: str = "RGB", left: tuple = LEFT, right: tuple = RIGHT) -> Image.Image:
    picture = Image.new("RGB", (SIDE, SIDE), left)
    picture.paste(right, (SIDE // 2, 0, SIDE, SIDE))
    return picture.quantize(4) if mode == "P" else picture.convert(mode)


def shown() -> Iterator[tuple[str, bytes]]:
    """Yield the name and bytes of each image that has all its pixels."""
    yield from _transparent()
    yield from _profiled()
    yield from _unfinished()
    yield from _checksums()
    yield from _metadata()


def lacking() -> Iterator[tuple[str, bytes]]:
    """Yield those whose pixels are not all there, or can't be trusted."""
    for name, data in _photographs():
        yield f"{name}, half", data[: len(data) // 2]
        yield f"{name}, without its last blocks", data[:-40]
    png = _png_photograph()
    yield "PNG, half", png[: len(png) // 2]
    yield "PNG, checksum of IHDR", _miscounted(png, b"IHDR")
    gif = photos.encoded(photos.photograph(120, 90), "GIF")
    yield "GIF, half", gif[: len(gif) // 2]


def _transparent() -> Iterator[tuple[str, bytes]]:
    for depth in (1, 2, 4, 8, 16):
        top = (1 << depth) - 1
        for left, right, invisible in ((0, top, 0), (0, top, top), (1, top - 1, 1)):
            if left != right:
                yield (
                    f"grey of {depth} bits, {invisible} invisible",
                    _grey(depth, left, right, invisible),
                )
    yield "grey of 16 bits, the next grey visible", _grey(16, 20_300, 20_301, 20_300)
    invisible = (300, 20_000, 60_000)
    row = struct.pack(">3H", *invisible) * 32 + struct.pack(">3H", 65_535, 0, 0) * 32
    yield (
        "16 bits a channel, a colour invisible",
        _png(16, _COLOUR, row, (b"tRNS", struct.pack(">3H", *invisible))),
    )


def _profiled() -> Iterator[tuple[str, bytes]]:
    profiles = {
        "linear, called sRGB": photos.gamma_profile(1.0, b"Linear sRGB"),
        "of gamma 1.8": photos.gamma_profile(1.8, b"Test"),
        "sRGB": photos.srgb_profile(),
        "with red for blue": photos.swapped_profile(),
        "of linear grey": photos.linear_grey_profile(),
    }
    for name, profile in profiles.items():
        for image_format, mode in (
            ("PNG", "RGB"),
            ("PNG", "RGBA"),
            ("PNG", "P"),
            ("PNG", "L"),
            ("PNG", "LA"),
            ("JPEG", "RGB"),
            ("JPEG", "L"),
            ("WEBP", "RGB"),
        ):
            options = {} if image_format == "PNG" else {"quality": 100}
            yield (
                f"{image_format} of {mode}, profile {name}",
                photos.encoded(halves(mode), image_format, icc_profile=profile, **options),
            )


def _unfinished() -> Iterator[tuple[str, bytes]]:
    for name, data in _photographs():
        yield f"{name}, without its end", data[:-2]
        yield f"{name}, without half its end", data[:-1]
        yield f"{name}, zeros for its end", data[:-2] + bytes(3000)
        yield f"{name}, more behind its end", data + b"more" * 100
    png = _png_photograph()
    yield "PNG, without IEND", png[:-12]
    yield "PNG, without the last checksum", png[:-14]
    gif = photos.encoded(halves(), "GIF")
    yield "GIF, without its end", gif[:-1]
    yield "GIF, without the end of its pixels", gif[:-2]
    webp = photos.encoded(halves(), "WEBP", lossless=True)
    yield "WebP, more behind its end", webp + b"more"


def _checksums() -> Iterator[tuple[str, bytes]]:
    png = _png_photograph()
    for name in (b"pHYs", b"iCCP", b"tEXt", b"IDAT"):
        yield f"PNG, checksum of {name.decode()}", _miscounted(png, name)
    transparent = photos.encoded(halves("P"), "PNG", transparency=0)
    yield "PNG, checksum of tRNS", _miscounted(transparent, b"tRNS")


def _metadata() -> Iterator[tuple[str, bytes]]:
    row = bytes(LEFT) * 32 + bytes(RIGHT) * 32
    for name, chunk in {
        "text that is not packed": (b"zTXt", b"a\0\0trash"),
        "text that is cut off": (b"iTXt", b"a"),
        "a profile that is not packed": (b"iCCP", b"a\0\0trash"),
        "no gamma in gAMA": (b"gAMA", b"\0"),
        "no size in pHYs": (b"pHYs", b"1"),
        "no intent in sRGB": (b"sRGB", b""),
        "too little in tRNS": (b"tRNS", b"1"),
        "EXIF of trash": (b"eXIf", b"trash"),
    }.items():
        yield f"PNG, {name}", _png(8, _COLOUR, row, chunk)
    jpeg = photos.encoded(halves(), "JPEG", quality=100)
    for name, segment in {
        "EXIF of trash": b"\xff\xe1\0\x0aExif\0\0xx",
        "one profile of two": b"\xff\xe2\0\x14ICC_PROFILE\0\1\2abcd",
        "Photoshop's, longer than it says": b"\xff\xed\0\x10Photoshop 3.0\x008BIM\x04\x04\0",
        "Adobe's, too short": b"\xff\xee\0\x07Adobe",
        "JFIF's, too short": b"\xff\xe0\0\x07JFIF\0",
        "further pictures that are not there": b"\xff\xe2\0\x0aMPF\0xxxx",
        "an empty comment": b"\xff\xfe\0\2",
        "fillings": b"\xff\xff\xff",
    }.items():
        yield f"JPEG, {name}", jpeg[:2] + segment + jpeg[2:]


def _photographs() -> Iterator[tuple[str, bytes]]:
    for name, options in (("JPEG", {}), ("progressive JPEG", {"progressive": True})):
        yield name, photos.encoded(photos.photograph(400, 300), "JPEG", quality=90, **options)


def _png_photograph() -> bytes:
    text = PngInfo()
    text.add_text("Comment", "plain")
    return photos.encoded(
        photos.photograph(120, 90),
        "PNG",
        dpi=(72, 72),
        icc_profile=photos.swapped_profile(),
        pnginfo=text,
    )


def _grey(depth: int, left: int, right: int, invisible: int) -> bytes:
    bits = "".join(format(sample, f"0{depth}b") * (SIDE // 2) for sample in (left, right))
    row = int(bits, 2).to_bytes(len(bits) // 8, "big")
    return _png(depth, _GREY, row, (b"tRNS", struct.pack(">H", invisible)))


def _png(depth: int, kind: int, row: bytes, chunk: tuple[bytes, bytes]) -> bytes:
    header = struct.pack(">IIBBBBB", SIDE, SIDE, depth, kind, 0, 0, 0)
    return photos.png(header, chunk, (b"IDAT", zlib.compress((b"\0" + row) * SIDE)))


def _miscounted(png: bytes, name: bytes) -> bytes:
    """Return the PNG with a wrong checksum at its first chunk of this name."""
    start = png.index(name)
    (length,) = struct.unpack_from(">I", png, start - 4)
    checksum = start + 4 + length
    return png[:checksum] + bytes([png[checksum] ^ 0xFF]) + png[checksum + 1 :]
