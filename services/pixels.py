"""Pixels of any kind made smaller, and made sRGB; what kind they are is Pillow's `mode`."""

from io import BytesIO

from PIL import Image, ImageCms

_REDUCING_GAP = 2.0  # how much larger than the wanted size the coarse step may leave an image
_STRIP_PIXELS = 1_000_000
_PROFILED_MODES = {"GRAY": "L", "RGB": "RGB", "CMYK": "CMYK"}


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
        # Pillow's own conversion clips 16 bits to 8 where this scales them.
        strip = strip.point(lambda value: value * (1 / 257) + 0.5).convert("L")
    if mode == "RGBa" and strip.mode != "RGBA":
        strip = strip.convert("RGBA")
    return strip if strip.mode == mode else strip.convert(mode)


def to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Return RGB or RGBA."""
    alpha = None
    if image.mode == "RGBa":
        image = image.convert("RGBA")
        alpha = image.getchannel("A")
    if profile:
        image = _converted(image, profile)
    image = image.convert("RGB")
    if alpha is not None:
        image.putalpha(alpha)
    return image


def _converted(image: Image.Image, profile: bytes) -> Image.Image:
    """Apply a colour profile; one that is damaged or of another kind of image is ignored."""
    try:
        source = ImageCms.ImageCmsProfile(BytesIO(profile))
        mode = _PROFILED_MODES[source.profile.xcolor_space.strip()]
        if "sRGB" in (source.profile.profile_description or ""):
            return image
        if (mode == "CMYK") != (image.mode == "CMYK"):
            return image
        result = ImageCms.profileToProfile(
            image.convert(mode), source, ImageCms.createProfile("sRGB"), outputMode="RGB"
        )
    except (ImageCms.PyCMSError, OSError, LookupError, TypeError, ValueError):
        return image
    return result or image
