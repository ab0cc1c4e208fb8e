"""python -m loadtests.bench.images.avif: what variants in AVIF save and cost, beside WebP."""

import math
import sys
import time
from io import BytesIO

from PIL import Image, ImageChops, ImageOps, ImageStat

from loadtests.bench import pages, results
from loadtests.bench.images.ways import LARGEST
from loadtests.load.photo import photograph
from services.images.variants import AVIF, WEBP, Encoding, Rendition, render

TIMES = 5
_PEAK = 255


def main() -> None:
    """Measure, print, and write the result."""
    samples = {
        "photograph, 12 megapixels": photograph(),
        "sample of the README": (results.ROOT / "docs" / "images" / "sample.jpg").read_bytes(),
        "screenshot": (results.ROOT / "docs" / "images" / "swagger.png").read_bytes(),
    }
    lines = [
        "| image | WebP KB | AVIF KB | saved | WebP dB | AVIF dB | WebP ms | AVIF ms |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
        *(_line(name, data) for name, data in samples.items()),
    ]
    where = results.machine("Pillow of the lock").partition(", load by")[0]
    about = (
        "Bytes of all variants of an image; how close the widest is to the original (PSNR, more is "
        "better); processor time of decoding, resizing and encoding."
    )
    text = f"{where}. {about}\n\n" + "\n".join(lines)
    sys.stdout.write(text + "\n")
    results.write("avif", "AVIF beside WebP", text)
    pages.refresh()


def _line(name: str, data: bytes) -> str:
    (webp, webp_ms), (avif, avif_ms) = (_made(data, encoding) for encoding in (WEBP, AVIF))
    sizes = [sum(len(each.data) for each in made) / 1000 for made in (webp, avif)]
    saved = 100 * (1 - sizes[1] / sizes[0])
    quality = " | ".join(f"{_psnr(data, made[0]):.1f}" for made in (webp, avif))
    return (
        f"| {name} | {sizes[0]:.0f} | {sizes[1]:.0f} | {saved:.0f} % "
        f"| {quality} | {webp_ms:.0f} | {avif_ms:.0f} |"
    )


def _made(data: bytes, encoding: Encoding) -> tuple[list[Rendition], float]:
    """Return the variants, and the fastest time of some in milliseconds."""
    taken = []
    for _ in range(TIMES):
        began = time.process_time()
        made = render(data, LARGEST, encoding)
        taken.append((time.process_time() - began) * 1000)
    return made, min(taken)


def _psnr(data: bytes, made: Rendition) -> float:
    shown = Image.open(BytesIO(made.data)).convert("RGB")
    original = ImageOps.exif_transpose(Image.open(BytesIO(data))).convert("RGB")
    expected = original.resize(shown.size, Image.Resampling.LANCZOS)
    errors = ImageStat.Stat(ImageChops.difference(shown, expected)).rms
    mean = sum(error**2 for error in errors) / len(errors)
    return 10 * math.log10(_PEAK**2 / mean)


if __name__ == "__main__":
    main()
