"""The variants show the original image, pixel by pixel."""

import asyncio
from io import BytesIO

import pytest
from PIL import Image, ImageChops, ImageStat

from tests import photos

TOLERANCE = 4.0  # of 255, on average: WebP's loss; another orientation differs by 20 and more
SECRETS = (b"Secret", b"secret", b"EXIF", b"XMP ", b"ICCP", b"xmpmeta")
GRAY = (128, 128, 128, 255)


async def fetched(api, variant: dict) -> Image.Image:
    """Return the variant's pixels; assert that it is a WebP of the stated size without metadata."""
    response = await api.client.get(variant["url"])
    assert (response.status_code, response.headers["content-type"]) == (200, "image/webp")
    assert len(response.content) == variant["bytes"]
    assert not [secret for secret in SECRETS if secret in response.content]
    picture = Image.open(BytesIO(response.content))
    assert (picture.format, picture.size) == ("WEBP", (variant["width"], variant["height"]))
    assert not picture.getexif()
    assert getattr(picture, "n_frames", 1) == 1
    return picture


def difference(one: Image.Image, other: Image.Image) -> float:
    """Return the average difference of two pictures of one size; over gray if transparent."""
    flat = [
        Image.alpha_composite(Image.new("RGBA", one.size, GRAY), picture.convert("RGBA"))
        for picture in (one, other)
    ]
    means = ImageStat.Stat(ImageChops.difference(*flat).convert("RGB")).mean
    return sum(means) / len(means)


def upright(data: bytes) -> Image.Image:
    """Return the pixels that a viewer shows of a PNG or of a GIF's first frame."""
    return Image.open(BytesIO(data)).convert("RGBA")


CASES = {
    "JPEG": (photos.jpeg, photos.photograph, [(1280, 960), (640, 480), (320, 240)]),
    **{
        f"JPEG turned {turn}": (
            lambda turn=turn: photos.jpeg(900, 1500, turn),
            lambda: photos.photograph(900, 1500),
            [(900, 1500), (640, 1067), (320, 533)],
        )
        for turn in (3, 5, 6, 8)
    },
    "PNG with alpha": (
        lambda: photos.png_alpha(1600, 1200),
        lambda: upright(photos.png_alpha(1600, 1200)),
        [(1280, 960), (640, 480), (320, 240)],
    ),
    "animated GIF": (
        photos.animated_gif,
        lambda: Image.new("RGB", (400, 300), "red"),
        [(400, 300), (320, 240)],
    ),
    "WebP": (
        photos.webp,
        lambda: photos.photograph(900, 700),
        [(900, 700), (640, 498), (320, 249)],
    ),
    "small": (
        lambda: photos.jpeg(500, 400),
        lambda: photos.photograph(500, 400),
        [(500, 400), (320, 256)],
    ),
}


@pytest.mark.parametrize("case", CASES)
async def test_the_variants_show_the_upright_original_without_metadata(api, case):
    make, expected, sizes = CASES[case]
    course = await api.pictured(make())
    variants = course["image"]["variants"]
    assert course["image"].keys() == {"status", "variants"}
    assert course["image_url"] == variants[0]["url"]
    assert [(one["width"], one["height"]) for one in variants] == sizes
    assert {one["format"] for one in variants} == {"webp"}
    for variant in variants:
        assert variant.keys() == {"width", "height", "format", "bytes", "url"}
        shown = await fetched(api, variant)
        seen = expected().resize(shown.size, Image.Resampling.LANCZOS)
        assert difference(shown, seen) < TOLERANCE


async def test_transparency_is_kept(api):
    data = photos.png_alpha(1600, 1200)
    for variant in (await api.pictured(data))["image"]["variants"]:
        shown = await fetched(api, variant)
        assert shown.mode == "RGBA"
        alpha = upright(data).resize(shown.size, Image.Resampling.LANCZOS).getchannel("A")
        apart = ImageStat.Stat(ImageChops.difference(shown.getchannel("A"), alpha)).mean[0]
        assert apart < TOLERANCE


async def test_a_ready_image_is_shown_in_every_response_with_its_course(api, client):
    course = await api.pictured(photos.jpeg(640, 480))
    assert (await client.get("/api/v1/courses")).json()[0] == course
    paged = (await client.get("/api/v1/courses", params={"limit": 1})).json()
    assert paged["data"] == [course]


async def test_concurrent_readers_see_the_image_processing_and_then_ready(api, client):
    data = photos.jpeg(640, 480)

    async def watch(path: str, seen: list[dict]) -> None:
        while not seen or seen[-1]["image"]["status"] == "processing":
            seen.append((await client.get(path)).json())

    for _ in range(5):
        response = await api.upload(data)
        watchers: list[list[dict]] = [[] for _ in range(8)]
        async with asyncio.timeout(20):
            await asyncio.gather(*(watch(response.headers["location"], seen) for seen in watchers))
        course = await api.settled(response.json()["id"])
        assert course["image"]["status"] == "ready"
        shown = {str(seen[-1]) for seen in watchers}
        assert shown == {str(course)}
