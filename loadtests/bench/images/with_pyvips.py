"""The way of libvips, which streams; it has a lock and an environment of its own."""

import pyvips

SIZES = ((1280, 960), (640, 480), (320, 240))
QUALITY = 80


def vips(data: bytes, effort: int = 1) -> list[bytes]:
    """Shrink while decoding, then the smaller ones from the first."""
    first = pyvips.Image.thumbnail_buffer(data, SIZES[0][0], height=SIZES[0][1]).copy_memory()
    found = [first, *(first.thumbnail_image(width, height=height) for width, height in SIZES[1:])]
    return [each.webpsave_buffer(Q=QUALITY, effort=effort, keep="none") for each in found]


WAYS = {"pyvips, effort 1": vips}
