"""A photograph as a phone takes it: 12 megapixels, 2 to 4 MB, the same bytes each time."""

from io import BytesIO
from random import Random

from PIL import Image

PHONE = (4000, 3000)
_GRAIN = (500, 375)


def photograph(width: int = PHONE[0], height: int = PHONE[1]) -> bytes:
    """Return smooth light with grain, as a JPEG."""
    light = [
        Image.linear_gradient("L"),
        Image.radial_gradient("L"),
        Image.linear_gradient("L").transpose(Image.Transpose.ROTATE_90),
    ]
    picture = Image.merge("RGB", light).resize((width, height), Image.Resampling.BICUBIC)
    noise = Random(width).randbytes(_GRAIN[0] * _GRAIN[1])  # noqa: S311  repeatable
    grain = Image.frombytes("L", _GRAIN, noise).resize((width, height), Image.Resampling.BICUBIC)
    encoded = BytesIO()
    Image.blend(picture, grain.convert("RGB"), 0.12).save(encoded, "JPEG", quality=92)
    return encoded.getvalue()
