"""Keeps the parts of an image file that affect its pixels and drops all others unread.

Viewers skip a damaged comment, or a part with a wrong checksum, and show the picture. Pillow
refuses the whole file, so it gets the file without those parts.
"""

import re
import struct
import zlib
from collections.abc import Iterator

_PNG_START = b"\x89PNG\r\n\x1a\n"
# A chunk is its length, its name, its content and a checksum.
_CHUNK_HEAD, _CHUNK_CHECKSUM = 8, 4
_IHDR_BYTES = 13
_GREY, _COLOUR, _PALETTE = 0, 2, 3
_TRANSPARENCY_BYTES = {_GREY: 2, _COLOUR: 6}
_DEEPEST = 16  # bits of a sample
# The size of each in bytes; a chunk of another size is damaged.
_SIZED = {b"gAMA": 4, b"sRGB": 1}
_UNSIZED = frozenset({b"iCCP", b"eXIf"})

_JPEG_START = b"\xff\xd8"
# Of a segment; standalone markers have no meaning before a scan.
_MARKER = re.compile(rb"\xff[^\x00\x01\xd0-\xd7\xff]", re.DOTALL)
_SCAN = 0xDA
_APPLICATION, _COMMENT = range(0xE0, 0xF0), 0xFE
# How an application's segment begins, and its least length for libjpeg to use it.
_HEEDED = {
    0xE0: (b"JFIF\0", 14),
    0xE1: (b"Exif\0\0", 6),
    0xE2: (b"ICC_PROFILE\0", 14),
    0xEE: (b"Adobe", 12),
}


def relevant(data: bytes) -> bytes:
    """Return a PNG or JPEG without the parts that do not affect its pixels, or another file whole.

    Colour profile, gamma, transparency and orientation stay, unless they are damaged.
    """
    if data.startswith(_PNG_START):
        kept = bytearray(_PNG_START)
        for chunk in _relevant_chunks(data):
            kept += chunk
        return bytes(kept)
    if data.startswith(_JPEG_START):
        return _relevant_segments(data)
    return data


def _relevant_chunks(data: bytes) -> Iterator[bytes]:
    depth = kind = 0
    position = len(_PNG_START)
    while position + _CHUNK_HEAD <= len(data):
        length, name = struct.unpack_from(">I4s", data, position)
        start = position + _CHUNK_HEAD
        content = data[start : start + length]
        end = start + length + _CHUNK_CHECKSUM
        chunk, position = data[position:end], end
        is_critical = name[:1].isupper()
        if is_critical:
            if name == b"IHDR" and length == _IHDR_BYTES:
                depth, kind = content[8:10]
            yield chunk
        elif zlib.crc32(name + content).to_bytes(4, "big") != chunk[-_CHUNK_CHECKSUM:]:
            continue
        elif name == b"tRNS":
            yield _transparency(content, depth, kind)
        elif name in _UNSIZED or _SIZED.get(name) == length:
            yield chunk


def _transparency(content: bytes, depth: int, kind: int) -> bytes:
    """Return the chunk that names the invisible colour, in the scale to which Pillow decodes.

    Of 16 bits a channel Pillow keeps the upper 8, and of grey all.
    """
    if kind == _PALETTE:
        return _chunk(b"tRNS", content)
    if len(content) != _TRANSPARENCY_BYTES.get(kind):
        return b""
    samples = struct.unpack(f">{len(content) // 2}H", content)
    if kind == _COLOUR and depth == _DEEPEST:
        samples = tuple(sample >> 8 for sample in samples)
    elif kind == _GREY and 1 < depth < 8:  # noqa: PLR2004  what Pillow spreads over 8 bits
        samples = tuple(sample * 255 // ((1 << depth) - 1) for sample in samples)
    return _chunk(b"tRNS", struct.pack(f">{len(samples)}H", *samples))


def _chunk(name: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(name + content)
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", checksum)


def _relevant_segments(data: bytes) -> bytes:
    kept = bytearray(_JPEG_START)
    position = len(_JPEG_START)
    # Between segments there may be fillings and junk.
    while found := _MARKER.search(data, position):
        position = found.start()
        marker = data[position + 1]
        if marker == _SCAN:
            break
        length = int.from_bytes(data[position + 2 : position + 4], "big")
        end = position + 2 + length
        segment, position = data[position:end], end
        if _is_heeded(marker, segment[4:]):
            kept += segment
    return bytes(kept) + data[position:]


def _is_heeded(marker: int, content: bytes) -> bool:
    if marker == _COMMENT:
        return False
    if marker not in _APPLICATION:
        return True
    start, least = _HEEDED.get(marker, (b"", 0))
    return bool(start) and content.startswith(start) and len(content) >= least
