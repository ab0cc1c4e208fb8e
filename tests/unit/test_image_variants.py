"""Accepted images, and variants that show what the original shows."""

import struct
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO

import pytest
from PIL import Image, ImageChops, ImageStat

from services.errors import ServiceError
from services.images.headers import BrokenImage, ImageTooLarge, UnsupportedImage, opened
from services.images.variants import Rendition, render
from tests import photos

LIMIT = 50_000_000
HOSTILE_SECONDS = 2
# Mean absolute difference of a channel, of 255; two orientations differ by 96 or more.
TOLERANCE = 4.0
# Most of the above is WebP's loss of grain; this bounds our own. Half a pixel of shift is more.
OWN_TOLERANCE = 0.5
FLAT_TOLERANCE = 2.0  # of plain areas, where only rounding and the colour transform lose


def decoded(rendition: Rendition) -> Image.Image:
    picture = Image.open(BytesIO(rendition.data), formats=("WEBP",))
    picture.load()
    assert picture.size == (rendition.width, rendition.height)
    return picture


def difference(ours: Image.Image, reference: Image.Image) -> float:
    """Return the mean absolute difference of the worst channel."""
    assert ours.mode == reference.mode
    return max(ImageStat.Stat(ImageChops.difference(ours, reference)).mean)


def assert_shows(data: bytes, reference: Image.Image, own: float = OWN_TOLERANCE) -> None:
    """Assert that each variant equals the reference, reduced with a good filter."""
    for rendition in render(data, LIMIT):
        size = (rendition.width, rendition.height)
        expected = reference.resize(size, Image.Resampling.LANCZOS)
        coded = photos.encoded(expected, "WEBP", quality=80, method=2)
        lost = difference(Image.open(BytesIO(coded)), expected)
        assert difference(decoded(rendition), expected) < min(lost + own, TOLERANCE), size


def assert_plain(data: bytes, colour: tuple[int, ...]) -> None:
    """Assert that each variant has one colour."""
    mode = "RGBA" if len(colour) == 4 else "RGB"
    for rendition in render(data, LIMIT):
        picture = decoded(rendition)
        reference = Image.new(mode, picture.size, colour)
        assert difference(picture, reference) <= FLAT_TOLERANCE


def chunks(data: bytes) -> set[bytes]:
    """Return the names of a WebP's chunks."""
    assert data[:4] == b"RIFF"
    names, position = set(), 12
    while position < len(data):
        name, length = struct.unpack_from("<4sI", data, position)
        names.add(name)
        position += 8 + length + length % 2
    return names


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (photos.jpeg, ("JPEG", 1600, 1200, "image/jpeg")),
        (photos.phone_jpeg, ("JPEG", 1600, 1200, "image/jpeg")),
        (photos.png_alpha, ("PNG", 800, 600, "image/png")),
        (photos.animated_gif, ("GIF", 400, 300, "image/gif")),
        (photos.webp, ("WEBP", 900, 700, "image/webp")),
    ],
)
def test_the_header_is_read(make: Callable[[], bytes], expected: tuple[object, ...]) -> None:
    info = opened(make(), LIMIT)
    assert (info.format, info.width, info.height, info.get_format_mimetype()) == expected


def test_the_header_is_read_without_decoding() -> None:
    assert opened(photos.truncated_jpeg(), LIMIT).width == 1600


def test_the_pixel_limit_is_exact_and_named() -> None:
    data = photos.jpeg(40, 30)
    assert opened(data, 1200).width == 40
    for function in (opened, render):
        with pytest.raises(ImageTooLarge, match="has 1,200 pixels; at most 1,199 are") as caught:
            function(data, 1199)
        assert (caught.value.pixels, caught.value.allowed) == (1200, 1199)


@pytest.mark.parametrize(
    ("width", "height", "sizes"),
    [
        (1600, 1200, [(1280, 960), (640, 480), (320, 240)]),
        (1280, 720, [(1280, 720), (640, 360), (320, 180)]),
        (500, 400, [(500, 400), (320, 256)]),
        (320, 200, [(320, 200)]),
        (1, 1, [(1, 1)]),
        (20_000, 20, [(1280, 1), (640, 1), (320, 1)]),
        # WebP ends at 16,383 pixels: the widest variant is narrower, and the image is accepted.
        (20, 20_000, [(16, 16_383)]),
        # A variant has at most 5 million pixels, so that a tall one is narrower.
        (600, 20_000, [(397, 13_220), (320, 10_667)]),
        (1280, 8192, [(905, 5793), (640, 4096), (320, 2048)]),
    ],
)
def test_the_sizes_of_variants(width: int, height: int, sizes: list[tuple[int, int]]) -> None:
    data = photos.encoded(Image.new("RGB", (width, height), "teal"), "PNG")
    assert [(each.width, each.height) for each in render(data, LIMIT)] == sizes
    assert_plain(data, (0, 128, 128))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("size", [(1600, 1200), (900, 3000), (500, 333)])
def test_variants_are_upright_for_any_orientation(size: tuple[int, int], orientation: int) -> None:
    data = photos.jpeg(*size, orientation)
    assert_shows(data, photos.photograph(*size))


@pytest.mark.parametrize("image_format", ["PNG", "WEBP"])
def test_the_orientation_is_read_in_every_format(image_format: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    stored = photos.photograph(500, 333).transpose(Image.Transpose.ROTATE_90)
    data = photos.encoded(stored, image_format, exif=exif, quality=95)
    assert_shows(data, photos.photograph(500, 333))


@pytest.mark.parametrize(
    "exif",
    [
        b"II*\0\x08\0\0\0\xff\xff",
        b"trash",
        b"II*\0\x08\0\0\0\1\0\x12\1\2\0\4\0\0\0abc\0\0\0\0\0",  # its orientation is "abc"
    ],
)
@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_damaged_exif_is_ignored(exif: bytes) -> None:
    assert len(render(photos.jpeg(64, 48, 1, exif=b"Exif\0\0" + exif), LIMIT)) == 1


def test_large_images_are_first_reduced_by_whole_factors() -> None:
    for size in ((5201, 4003), (8009, 2507)):
        picture = photos.photograph(*size)
        assert_shows(photos.encoded(picture, "PNG", compress_level=1), picture)


def test_a_reduction_by_a_whole_factor_shifts_nothing() -> None:
    picture = Image.linear_gradient("L").resize((10_239, 40), Image.Resampling.BICUBIC)
    ours = decoded(render(photos.encoded(picture, "PNG"), LIMIT)[0])
    expected = picture.convert("RGB").resize(ours.size, Image.Resampling.LANCZOS)
    assert difference(ours, expected) <= FLAT_TOLERANCE


@pytest.mark.parametrize(
    "data",
    [
        photos.jpeg(orientation=6, icc_profile=photos.srgb_profile()),
        photos.phone_jpeg(),
        photos.webp(),
        photos.png_alpha(),
        photos.animated_gif(),
    ],
    ids=["jpeg", "phone", "webp", "png", "gif"],
)
def test_variants_have_pixels_only(data: bytes) -> None:
    for rendition in render(data, LIMIT):
        assert chunks(rendition.data) <= {b"VP8 ", b"VP8L", b"VP8X", b"ALPH"}
        picture = decoded(rendition)
        assert not picture.getexif()
        assert not {"exif", "xmp", "icc_profile", "comment"} & picture.info.keys()
        for secret in (b"Secret", b"secret", b"GPS"):
            assert secret not in rendition.data


def test_the_originals_contain_the_secrets() -> None:
    data = photos.jpeg()
    assert b"Secret Camera" in data
    assert b"home address" in data
    assert Image.open(BytesIO(data)).getexif().get_ifd(0x8825)[1] == "S"


def test_transparency_is_kept_and_invisible_colours_do_not_bleed() -> None:
    original = Image.open(BytesIO(photos.png_alpha()))
    for rendition in render(photos.png_alpha(), LIMIT):
        picture = decoded(rendition)
        expected = original.resize(picture.size, Image.Resampling.LANCZOS)
        assert difference(picture.getchannel("A"), expected.getchannel("A")) < TOLERANCE
        white = Image.new("RGBA", picture.size, "white")
        ours, theirs = (Image.alpha_composite(white, each) for each in (picture, expected))
        assert difference(ours, theirs) < TOLERANCE


def test_invisible_red_stays_invisible() -> None:
    picture = Image.new("RGBA", (2600, 1300), (255, 0, 0, 0))
    for x in range(0, 2600, 2):
        picture.paste((0, 0, 255, 255), (x, 0, x + 1, 1300))
    for rendition in render(photos.encoded(picture, "PNG"), LIMIT):
        middle = decoded(rendition).getpixel((rendition.width // 2, rendition.height // 2))
        assert middle == pytest.approx((0, 0, 255, 128), abs=6)


def animation(image_format: str) -> bytes:
    frames = [Image.new("RGB", (400, 300), colour) for colour in ("red", "lime", "blue")]
    return photos.encoded(frames[0], image_format, save_all=True, append_images=frames[1:])


@pytest.mark.parametrize("image_format", ["GIF", "PNG", "WEBP"])
def test_the_first_frame_is_shown(image_format: str) -> None:
    assert_plain(animation(image_format), (255, 0, 0))


def test_the_second_picture_of_a_phones_jpeg_is_not_shown() -> None:
    assert_shows(photos.phone_jpeg(), photos.photograph(), own=1)  # its quality is 75


def test_cmyk_is_converted() -> None:
    original = photos.photograph().convert("CMYK")
    assert_shows(photos.encoded(original, "JPEG", quality=95), original.convert("RGB"))


def test_grey_is_converted() -> None:
    original = photos.photograph().convert("L")
    assert_shows(photos.encoded(original, "JPEG", quality=95), original.convert("RGB"))
    assert_plain(photos.encoded(Image.new("1", (900, 20), 1), "PNG"), (255, 255, 255))
    assert_plain(photos.encoded(Image.new("LA", (900, 20), (80, 120)), "PNG"), (80, 80, 80, 120))


def test_sixteen_bits_are_scaled_and_not_clipped() -> None:
    for value, grey in ((0, 0), (257, 1), (20_000, 78), (32_896, 128), (65_535, 255)):
        assert_plain(photos.encoded(Image.new("I;16", (3000, 20), value), "PNG"), (grey,) * 3)


def test_a_palette_with_transparency() -> None:
    picture = Image.new("P", (700, 500), 1)
    picture.putpalette([255, 0, 0, 0, 0, 255])
    assert_plain(photos.encoded(picture, "PNG", transparency=b"\x00\x80"), (0, 0, 255, 128))
    assert_plain(photos.encoded(picture, "PNG"), (0, 0, 255))
    assert_plain(photos.encoded(picture, "GIF"), (0, 0, 255))


def test_a_transparent_colour() -> None:
    picture = Image.new("RGB", (700, 500), (10, 20, 30))
    data = photos.encoded(picture, "PNG", transparency=(10, 20, 30))
    for rendition in render(data, LIMIT):
        assert decoded(rendition).getchannel("A").getextrema() == (0, 0)


def test_an_opaque_alpha_channel_is_dropped() -> None:
    assert_plain(photos.encoded(Image.new("RGBA", (700, 500), "teal"), "PNG"), (0, 128, 128))


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP"])
def test_colours_of_another_profile_become_srgb(image_format: str) -> None:
    picture = Image.new("RGB", (700, 500), (220, 30, 60))
    profile = photos.swapped_profile()
    data = photos.encoded(picture, image_format, quality=95, icc_profile=profile)
    red, green, blue = ImageStat.Stat(decoded(render(data, LIMIT)[0])).mean
    assert (red, green, blue) == pytest.approx((60, 30, 220), abs=8)


def test_a_profile_does_not_change_alpha() -> None:
    picture = Image.new("RGBA", (700, 500), (220, 30, 60, 90))
    data = photos.encoded(picture, "PNG", icc_profile=photos.swapped_profile())
    mean = ImageStat.Stat(decoded(render(data, LIMIT)[0])).mean
    assert mean == pytest.approx((60, 30, 220, 90), abs=8)


def test_a_grey_profile_is_applied() -> None:
    picture = Image.new("L", (700, 500), 55)
    data = photos.encoded(picture, "PNG", icc_profile=photos.linear_grey_profile())
    assert_plain(data, (128, 128, 128))


def test_a_profile_of_another_colour_model_is_ignored() -> None:
    picture = Image.new("CMYK", (700, 500), (200, 20, 60, 30))
    data = photos.encoded(picture, "JPEG", quality=95, icc_profile=photos.swapped_profile())
    assert_plain(data, picture.convert("RGB").getpixel((0, 0)))  # type: ignore[arg-type]


@pytest.mark.parametrize("mode", ["RGB", "CMYK", "L"])
@pytest.mark.parametrize("profile", [b"trash", photos.srgb_profile()], ids=["trash", "srgb"])
def test_an_invalid_profile_is_ignored(mode: str, profile: bytes) -> None:
    picture = Image.new("RGB", (700, 500), (220, 220, 220)).convert(mode)
    data = photos.encoded(picture, "JPEG", quality=95, icc_profile=profile)
    assert_plain(data, (220, 220, 220))


def test_the_output_is_deterministic_in_many_threads() -> None:
    with ThreadPoolExecutor(4) as threads:
        results = list(threads.map(render, [photos.jpeg()] * 8, [LIMIT] * 8))
    assert all(result == results[0] for result in results)


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (photos.bomb_png, ImageTooLarge),
        (photos.bomb_webp, ImageTooLarge),
        (photos.profile_bomb_png, UnsupportedImage),
        (photos.scan_bomb_jpeg, UnsupportedImage),
        (photos.truncated_jpeg, BrokenImage),
        (lambda: photos.png_alpha()[:50_000], BrokenImage),
        (lambda: photos.encoded(photos.photograph(), "GIF")[:50_000], BrokenImage),
        (lambda: photos.webp()[:20_000], UnsupportedImage),
        (lambda: photos.jpeg()[:40], UnsupportedImage),
        (lambda: photos.encoded(photos.photograph(40, 30), "BMP"), UnsupportedImage),
        (lambda: photos.encoded(photos.photograph(40, 30), "TIFF"), UnsupportedImage),
        (lambda: photos.SVG, UnsupportedImage),
        (lambda: photos.HTML, UnsupportedImage),
        (lambda: photos.GIF_POLYGLOT, UnsupportedImage),
        (lambda: b"", UnsupportedImage),
        (lambda: b"\xff\xd8\xff" + photos.HTML, UnsupportedImage),
    ],
)
def test_hostile_images_are_refused(make: Callable[[], bytes], error: type[ServiceError]) -> None:
    data = make()
    started = time.perf_counter()
    with pytest.raises(error):
        render(data, LIMIT)
    if error is not BrokenImage:
        with pytest.raises(error):
            opened(data, LIMIT)
    assert time.perf_counter() - started < HOSTILE_SECONDS
