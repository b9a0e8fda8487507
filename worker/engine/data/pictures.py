"""One picture file as pixels: upright, in grey or colour, scaled if asked for."""

import warnings
from pathlib import Path
from typing import Final, Literal

import numpy as np
from PIL import Image, ImageOps

#: What is opened, by content. Others (EPS, say) would run programs or read further files.
_FORMATS: Final = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "PPM")

#: Pixels that Pillow keeps with 8 bits a channel, or fewer.
_MODES: Final = frozenset({"1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "La", "RGBa"})


class NotAPicture(Exception):
    """The file is none that can be read; the message goes on after its name."""


def read_picture(path: Path, *, channels: Literal[1, 3], size: int | None) -> np.ndarray:
    """Read a picture.

    Args:
        path: the file; its ending does not matter.
        channels: 1 for grey, 3 for red, green and blue. What is transparent counts with the colour it has.
        size: if given, its shorter side is scaled to it and a square is cut out of the middle.

    Returns:
        uint8 [channels, height, width].

    Raises:
        NotAPicture: it is damaged, of no known format, or its pixels have more than 8 bits.
    """
    try:
        with warnings.catch_warnings():
            # Pillow warns of what it mends (metadata, a palette's transparency); what it cannot mend, it raises.
            warnings.simplefilter("ignore")
            with Image.open(path, formats=_FORMATS) as image:
                mode = image.mode
                upright = ImageOps.exif_transpose(image).convert("L" if channels == 1 else "RGB")
    # Pillow's decoders let struct, index and value errors through: whatever they raise, the file is what is wrong.
    except Exception as error:
        raise NotAPicture(f"cannot be read as an image ({error})") from error
    if mode not in _MODES:
        raise NotAPicture(f"has more than 8 bits a channel (Pillow's mode {mode})")
    if size is not None:
        upright = ImageOps.fit(upright, (size, size), Image.Resampling.BILINEAR)
    pixels = np.asarray(upright)
    return pixels[None] if channels == 1 else pixels.transpose(2, 0, 1)
