"""Images that are attacks, made by code, and what becomes of each."""

import io
import struct
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from random import Random

from PIL import Image

from tests import photos

FRAMES = 5000
SCRIPT = b"<script>alert(document.domain)</script>"


@dataclass(frozen=True)
class Attack:
    """Bytes, the name and the type that they are sent with, and what has to become of them.

    `fate` is a status and a code of the error, or `failed` or `ready`: how the image's task ends.
    """

    make: Callable[[], bytes]
    fate: tuple[int, str] | str
    name: str = "photo.jpg"
    kind: str = "image/jpeg"


TOO_LARGE = (413, "PAYLOAD_TOO_LARGE")
UNSUPPORTED = (415, "UNSUPPORTED_MEDIA_TYPE")


def small_bomb_png(side: int = 30_000) -> bytes:
    """Return a few KB of PNG that claim 900 million pixels."""
    size = struct.pack(">IIBBBBB", side, side, 8, 6, 0, 0, 0)
    pixels = zlib.compress(bytes(1_000_000), 9)
    return photos.png(size, (b"IDAT", pixels))


def comments_png() -> bytes:
    """Return a PNG with 300 comments that unpack to a megabyte less a bit, each."""
    comment = b"Comment\0\0" + zlib.compress(bytes((1 << 20) - 64), 9)
    return photos.with_chunks(*[(b"zTXt", comment)] * 300)


def late_text_bomb_png() -> bytes:
    """Return a PNG whose comment of 256 MB comes behind the pixels."""
    whole = photos.encoded(photos.photograph(64, 48), "PNG")
    return whole[:-12] + photos.png_chunk(b"zTXt", b"Comment\0\0" + photos.zeros(256)) + whole[-12:]


@cache
def film(image_format: str) -> bytes:
    """Return an animation of 5,000 frames, no two alike in a row."""
    frames = [Image.new("P", (8, 8), number % 2) for number in range(FRAMES)]
    for frame in frames:
        frame.putpalette([255, 0, 0, 0, 0, 255])
    if image_format == "WEBP":
        frames = [frame.convert("RGB") for frame in frames]
    options = {"lossless": True, "method": 0} if image_format == "WEBP" else {}
    return photos.encoded(
        frames[0], image_format, save_all=True, append_images=frames[1:], duration=20, **options
    )


def empty_chunks_png() -> bytes:
    """Return a PNG with 200,000 parts that have no content: what is done a part counts."""
    return photos.with_chunks(*[(b"tEXt", b"")] * 200_000)


def endless_blocks_gif() -> bytes:
    """Return a GIF of one frame with 2 million comment blocks of one byte."""
    whole = photos.encoded(photos.photograph(64, 48), "GIF")
    return whole[:-1] + b"!\xfe" + b"\x01a" * 2_000_000 + b"\0;"


def script_gif() -> bytes:
    """Return a whole GIF that is a script, too: the comment closes what the header opens."""
    whole = photos.encoded(photos.photograph(64, 48), "GIF")
    return whole[:-1] + b"!\xfe" + bytes([len(SCRIPT)]) + SCRIPT + b"\0;*/=1;alert(1)"


def zip_jpeg() -> bytes:
    """Return a JPEG that is an archive, too, with a program in it."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("evil.sh", SCRIPT * 10)
    return photos.jpeg(640, 480) + archive.getvalue()


def html_jpeg() -> bytes:
    """Return a JPEG with a page in its comment."""
    return photos.jpeg(640, 480, gps=False, comment=SCRIPT)


def long_lists_jpeg() -> bytes:
    """Return a JPEG with 2,000 segments of the largest size allowed in 5 MB."""
    whole = photos.jpeg(64, 48)
    segment = b"\xff\xe5" + struct.pack(">H", 2400) + bytes(2398)
    return whole[:2] + segment * 2000 + whole[2:]


def noise(size: int = 100_000) -> bytes:
    """Return bytes of chance behind a JPEG's first ones."""
    return b"\xff\xd8\xff\xe0" + Random(5).randbytes(size)


def bits_png() -> bytes:
    """Return 16 bits a channel, and as many pixels as a PNG may have."""
    size = struct.pack(">IIBBBBB", 4800, 5000, 16, 6, 0, 0, 0)
    row = bytes(1 + 4800 * 8)
    packer = zlib.compressobj(1)
    pixels = b"".join(packer.compress(row * 100) for _ in range(50)) + packer.flush()
    return photos.png(size, (b"IDAT", pixels))


CORPUS = {
    "30,000 x 30,000 PNG of a few KB": Attack(small_bomb_png, TOO_LARGE),
    "30,000 x 30,000 PNG, whole": Attack(photos.bomb_png, TOO_LARGE),
    "WebP canvas of 4 thousand million": Attack(photos.bomb_webp, TOO_LARGE),
    "WebP canvas of 16,384 x 16,384": Attack(lambda: photos.bomb_webp(16384, 16384), TOO_LARGE),
    "huge zTXt": Attack(photos.text_bomb_png, "ready"),
    "huge zTXt behind the pixels": Attack(late_text_bomb_png, "ready"),
    "300 zTXt of a megabyte": Attack(comments_png, "ready"),
    "huge iCCP": Attack(photos.profile_bomb_png, UNSUPPORTED),
    "5,000 frames GIF": Attack(lambda: film("GIF"), TOO_LARGE),
    "5,000 frames WebP": Attack(lambda: film("WEBP"), TOO_LARGE),
    "5,000 frames APNG": Attack(lambda: film("PNG"), TOO_LARGE),
    "2,000 scans": Attack(photos.scan_bomb_jpeg, UNSUPPORTED),
    "60 scans of 24 million pixels": Attack(lambda: photos.scan_bomb_jpeg(4890, 55), "ready"),
    "two million blocks": Attack(endless_blocks_gif, "ready"),
    "200,000 chunks": Attack(empty_chunks_png, "ready"),
    "2,000 segments": Attack(long_lists_jpeg, "ready"),
    "as large as a PNG may be": Attack(bits_png, "ready"),
    "GIF that starts a script": Attack(lambda: photos.GIF_POLYGLOT, UNSUPPORTED, "x.js"),
    "GIF with a script": Attack(script_gif, "ready", "x.js", "text/javascript"),
    "JPEG with an archive": Attack(zip_jpeg, "ready", "x.zip", "application/zip"),
    "JPEG with a page": Attack(html_jpeg, "ready", "x.html", "text/html"),
    "SVG with a script": Attack(lambda: photos.SVG, UNSUPPORTED, "x.svg", "image/svg+xml"),
    "HTML named .png": Attack(lambda: photos.HTML, UNSUPPORTED, "x.png", "image/png"),
    "truncated JPEG": Attack(photos.truncated_jpeg, "failed"),
    "truncated PNG": Attack(lambda: photos.png_alpha()[:50_000], "failed"),
    "truncated WebP": Attack(lambda: photos.webp()[:20_000], UNSUPPORTED),
    "nothing": Attack(bytes, UNSUPPORTED),
    "noise": Attack(noise, UNSUPPORTED),
    "wrong type": Attack(lambda: photos.encoded(photos.photograph(64, 48), "PNG"), "ready",
                         "x.exe", "application/x-msdownload"),
    "path in the name": Attack(lambda: photos.jpeg(64, 48), "ready", "../../../etc/passwd"),
    "path of Windows in the name": Attack(lambda: photos.jpeg(64, 48), "ready", "..\\..\\x.jpg"),
    "CMYK": Attack(lambda: photos.encoded(photos.photograph(640, 480).convert("CMYK"), "JPEG"),
                   "ready"),
    "16 bits": Attack(lambda: photos.encoded(Image.new("I;16", (640, 480), 9999), "PNG"), "ready"),
    "GPS": Attack(lambda: photos.jpeg(640, 480), "ready"),
    **{
        f"orientation {turn}": Attack(lambda turn=turn: photos.jpeg(640, 480, turn), "ready")
        for turn in range(1, 9)
    },
}  # fmt: skip
