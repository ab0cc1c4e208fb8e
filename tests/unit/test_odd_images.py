"""Variants of unusual and slightly damaged images look as libvips, another decoder, shows them."""

import re
import struct
import zlib
from io import BytesIO

import pytest
import pyvips
from PIL import Image

from services.images.headers import BrokenImage, UnsupportedImage, opened
from services.images.variants import render
from tests import odd_images, photos

LIMIT = 50_000_000
# Of 255; WebP is lossy.
TOLERANCE = 8
# libvips uses chunks with a wrong checksum, and ignores profiles on grey. Browsers do as the
# service does: tests/e2e/test_images_in_browser.py.
OWN_WAY = re.compile(
    r"PNG, checksum of (iCCP|tRNS)|.* of LA?, profile (linear|of gamma|with red).*"
)
POINTS = ((0.25, 0.25), (0.75, 0.75))


def ours(data: bytes) -> list[tuple[int, ...]]:
    opened(data, LIMIT)
    picture = Image.open(BytesIO(render(data, LIMIT)[0].data)).convert("RGBA")
    return [picture.getpixel((int(x * picture.width), int(y * picture.height))) for x, y in POINTS]


def theirs(data: bytes) -> list[tuple[int, ...]]:
    picture = pyvips.Image.new_from_buffer(data, "")
    if picture.get_typeof("icc-profile-data"):
        picture = picture.icc_transform("srgb")
    picture = picture.colourspace("srgb").cast("uchar")
    if picture.bands == 3:
        picture = picture.bandjoin(255)
    return [
        tuple(map(int, picture(int(x * picture.width), int(y * picture.height)))) for x, y in POINTS
    ]


def assert_alike(ours: list[tuple[int, ...]], theirs: list[tuple[int, ...]]) -> None:
    for mine, other in zip(ours, theirs, strict=True):
        if mine[3] or other[3]:
            assert mine == pytest.approx(other, abs=TOLERANCE)


SHOWN = dict(odd_images.shown())


@pytest.mark.parametrize("name", [name for name in SHOWN if not OWN_WAY.fullmatch(name)])
def test_variants_look_like_the_other_decoders_image(name: str) -> None:
    assert_alike(ours(SHOWN[name]), theirs(SHOWN[name]))


LACKING = dict(odd_images.lacking())


@pytest.mark.parametrize("name", LACKING)
def test_images_that_lack_pixels_are_refused(name: str) -> None:
    with pytest.raises((BrokenImage, UnsupportedImage)):
        ours(LACKING[name])


def test_the_gamma_of_a_png_is_applied() -> None:
    header = struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 0)
    rows = zlib.compress((b"\0" + bytes([55] * 24)) * 8)
    linear, srgb = (
        photos.png(header, (b"gAMA", struct.pack(">I", gamma)), (b"IDAT", rows))
        for gamma in (100_000, 45_455)
    )
    assert_alike(ours(linear), [(128, 128, 128, 255)] * 2)
    assert_alike(ours(srgb), [(55, 55, 55, 255)] * 2)


def test_compressed_text_is_not_unpacked() -> None:
    assert ours(photos.text_bomb_png()) == [(0, 0, 0, 255)] * 2
