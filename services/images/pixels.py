"""Pixels of any kind made smaller, and made sRGB; what kind they are is Pillow's `mode`."""

from dataclasses import dataclass
from io import BytesIO
from typing import Self

from PIL import Image, ImageCms, ImageMath

_REDUCING_GAP = 2.0  # how much larger than the wanted size the coarse step may leave an image
_STRIP_PIXELS = 1_000_000
_PROFILED_MODES = {"GRAY": "L", "RGB": "RGB", "CMYK": "CMYK"}
_GREY_MODES = frozenset({"1", "L", "LA", "I", "I;16", "I;16B"})
_LINEAR_PART = 0.0031308
# What a PNG in sRGB says of its gamma, and what is close enough to be the same.
_USUAL_GAMMA, _GAMMA_TOLERANCE = 0.45455, 0.01


@dataclass(frozen=True)
class Colours:
    """What an image file says of its colours: an ICC profile, or a PNG's gamma, or nothing."""

    profile: bytes | None
    gamma: float | None
    are_grey: bool

    @classmethod
    def of(cls, image: Image.Image) -> Self:
        """Return those of a decoded image; a profile counts more than a gamma (PNG, 4.3)."""
        info = image.info
        gamma = None if "srgb" in info else info.get("gamma")
        is_unusual = gamma and abs(gamma - _USUAL_GAMMA) > _GAMMA_TOLERANCE
        are_grey = image.mode in _GREY_MODES
        return cls(info.get("icc_profile"), gamma if is_unusual else None, are_grey)


def shrunk(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Resize in two steps: coarsely by a whole factor, then well.

    In strips, and first in width alone: what has to be converted is never there twice as a whole.
    """
    width, height = image.size
    factor = max(1, int(min(width / size[0], height / size[1]) / _REDUCING_GAP))
    mode = _averaging_mode(image)
    if (image.mode, factor) == (mode, 1):
        return image.resize(size, Image.Resampling.LANCZOS)
    narrow = Image.new(mode, (size[0], -(-height // factor)))
    for top in range(0, height, step := factor * max(1, _STRIP_PIXELS // (width * factor))):
        strip = _averageable(image.crop((0, top, width, min(top + step, height))), mode)
        reduced = strip.reduce(factor)
        row = reduced.resize(
            (size[0], reduced.height),
            Image.Resampling.LANCZOS,
            (0, 0, width / factor, reduced.height),
        )
        narrow.paste(row, (0, top // factor))
    return narrow.resize(size, Image.Resampling.LANCZOS, (0, 0, size[0], height / factor))


def _averaging_mode(image: Image.Image) -> str:
    if image.has_transparency_data:
        return "RGBa"  # premultiplied: no colour of an invisible pixel bleeds into a visible one
    if image.mode == "1" or image.mode.startswith("I"):
        return "L"
    return image.mode if image.mode in {"L", "CMYK"} else "RGB"


def _averageable(strip: Image.Image, mode: str) -> Image.Image:
    if strip.mode.startswith("I"):
        invisible = strip.info.get("transparency")
        # Pillow's own conversion clips 16 bits to 8 where this scales them.
        grey = strip.point(lambda value: value * (1 / 257) + 0.5).convert("L")
        if invisible is not None:
            alpha = ImageMath.lambda_eval(
                lambda given: (given["value"] != invisible) * 255, value=strip.convert("I")
            )
            grey = Image.merge("RGBA", (grey, grey, grey, alpha.convert("L")))
        strip = grey
    if mode == "RGBa" and strip.mode != "RGBA":
        strip = strip.convert("RGBA")
    return strip if strip.mode == mode else strip.convert(mode)


def to_srgb(image: Image.Image, colours: Colours) -> Image.Image:
    """Return RGB or RGBA."""
    alpha = None
    if image.mode == "RGBa":
        image = image.convert("RGBA")
        alpha = image.getchannel("A")
    if colours.profile:
        image = _converted(image, colours)
    elif colours.gamma and image.mode != "CMYK":
        exponent = 1 / colours.gamma
        curve = [_srgb((value / 255) ** exponent) for value in range(256)]
        image = image.convert("RGB").point(curve * 3)
    image = image.convert("RGB")
    if alpha is not None:
        image.putalpha(alpha)
    return image


def _converted(image: Image.Image, colours: Colours) -> Image.Image:
    """Apply a colour profile; one that is damaged or of another kind of image is ignored."""
    try:
        source = ImageCms.ImageCmsProfile(BytesIO(colours.profile or b""))
        mode = _PROFILED_MODES[source.profile.xcolor_space.strip()]
        if (mode == "CMYK") != (image.mode == "CMYK") or (mode == "L" and not colours.are_grey):
            return image
        result = ImageCms.profileToProfile(
            image.convert(mode), source, ImageCms.createProfile("sRGB"), outputMode="RGB"
        )
    except (ImageCms.PyCMSError, OSError, LookupError, TypeError, ValueError):
        return image
    return result or image


def _srgb(light: float) -> int:
    """Return the sample of an amount of light of 0 to 1 (IEC 61966-2-1)."""
    encoded = 12.92 * light if light <= _LINEAR_PART else 1.055 * light ** (1 / 2.4) - 0.055
    return round(255 * encoded)
