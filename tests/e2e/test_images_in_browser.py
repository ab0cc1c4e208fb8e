"""Variants of unusual and slightly damaged images look like the originals in a browser."""

from base64 import b64encode

import pytest

from tests import odd_images
from tests.browser import chromium
from tests.unit.test_odd_images import assert_alike, ours

COLOURS = """async (source) => {
    const image = new Image()
    image.src = source
    await image.decode()
    const [width, height] = [image.naturalWidth, image.naturalHeight]
    const canvas = new OffscreenCanvas(width, height).getContext("2d")
    canvas.drawImage(image, 0, 0)
    const at = (x) => canvas.getImageData(Math.floor(x * width), Math.floor(x * height), 1, 1)
    return [0.25, 0.75].map((x) => Array.from(at(x).data))
}"""


@pytest.fixture(scope="module")
async def page():
    async with chromium() as browser:
        yield await browser.new_page()


async def test_variants_look_like_the_original_in_a_browser(page):
    for name, data in odd_images.shown():
        source = f"data:image/png;base64,{b64encode(data).decode()}"
        colours = [tuple(colour) for colour in await page.evaluate(COLOURS, source)]
        try:
            assert_alike(ours(data), colours)
        except AssertionError as error:
            error.add_note(name)
            raise
