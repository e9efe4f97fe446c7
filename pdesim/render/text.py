"""Fonts, and the sizes of texts in whole pixels."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import matplotlib
import numpy as np
from PIL import ImageFont

from pdesim.errors import clip

#: largest number of characters of a text in a picture; longer texts are cut before measuring them
LONGEST = 200


@lru_cache(maxsize=32)
def font_of(size: float, bold: bool = False) -> ImageFont.FreeTypeFont:
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    path = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name
    # the basic layout engine gives the same result everywhere; the other needs an optional library
    return ImageFont.truetype(str(path), round(size), layout_engine=ImageFont.Layout.BASIC)


def width_of(text: str, font: ImageFont.FreeTypeFont) -> int:
    return int(np.ceil(font.getlength(text)))


def widest(texts: Sequence[str], font: ImageFont.FreeTypeFont) -> int:
    return max((width_of(text, font) for text in texts), default=0)


def ascent_of(font: ImageFont.FreeTypeFont) -> int:
    return font.getmetrics()[0]


def shorten(text: str, font: ImageFont.FreeTypeFont, available: int) -> str:
    """The text. If it is wider than ``available`` pixels, an ellipsis replaces its end."""
    text = clip(text, LONGEST)
    if width_of(text, font) <= available:
        return text
    low, high = 0, len(text) - 1  # ``low`` characters fit, more than ``high`` do not
    while low < high:
        middle = (low + high + 1) // 2
        if width_of(text[:middle] + "…", font) <= available:
            low = middle
        else:
            high = middle - 1
    return text[:low].rstrip() + "…"
