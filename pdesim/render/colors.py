"""Palettes: the colours of a colour map or a curve, and greys for texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib
import numpy as np

from pdesim.render.quantity import check_colormap

#: the number of shades of a surface from dark to its colour
SHADES = 96
DARKEST = 0x1E  # the grey of the darkest text
_MISSING = 0xB4  # the grey of cells that are not finite
#: the colour of the curve of a 1-D field, in each theme
_LINES = {"light": (0x1F, 0x5F, 0xA8), "dark": (0x78, 0xB6, 0xF2)}
#: the greys that stand for the darkest text and for white, in each theme
_GREYS = {"light": (DARKEST, 255), "dark": (0xEC, 0x16)}


@dataclass(frozen=True)
class Palette:
    """At most 255 colours: ``colors`` for the field, and at the end greys from text to background.

    The colours of the field begin at ``start``; others are those of other fields in the picture.
    One of the 256 colours of a GIF is left for transparency. Unchanged pixels are transparent,
    which keeps files small. ``rgb`` has the shape ``(n, 3)`` and the type uint8.
    """

    rgb: np.ndarray
    colors: int
    start: int = 0
    greys: int = 32

    def grey(self, levels: np.ndarray | int) -> np.ndarray:
        """Convert grey levels 0..255 to palette indices of the same shape, uint8."""
        last = self.greys - 1
        position = (np.asarray(levels, dtype=np.float32) - DARKEST) / (255 - DARKEST) * last
        first = len(self.rgb) - self.greys
        return (first + np.clip(np.rint(position), 0, last)).astype(np.uint8)

    def color(self, fractions: np.ndarray) -> np.ndarray:
        """Convert fractions 0..1 of the range to palette indices of the same shape, uint8.

        Values that are not finite become grey.
        """
        with np.errstate(invalid="ignore", over="ignore"):
            index = np.clip(fractions * self.colors, 0, self.colors - 1)
            indices = index.astype(np.uint8)
        if self.start:
            indices += np.uint8(self.start)
        finite = np.isfinite(index)
        if not finite.all():
            indices[~finite] = self.grey(_MISSING)
        return indices


def map_palette(colormap: str, colors: int, theme: str = "light") -> Palette:
    """A palette of ``colors`` colours of a matplotlib colour map.

    In the theme ``dark``, texts are light and the background is dark.

    Raises:
        ConfigError: if Matplotlib has no such colour map.
    """
    check_colormap(colormap)
    colors_of = matplotlib.colormaps[colormap]
    return _with_greys(colors_of(np.linspace(0, 1, colors))[:, :3] * 255, theme)


def joint_palettes(
    colormaps: Sequence[str], colors: int, theme: str = "light"
) -> dict[str, Palette]:
    """Palettes of several colour maps with a common table, for parts of one picture."""
    names = list(dict.fromkeys(colormaps))
    each = min(colors, (255 - 32) // len(names))
    single = [map_palette(name, each, theme) for name in names]
    table = np.concatenate([one.rgb[:each] for one in single] + [single[0].rgb[each:]])
    return {
        name: Palette(table, each, number * each, one.greys)
        for number, (name, one) in enumerate(zip(names, single, strict=True))
    }


def line_palette(colors: int = 96, theme: str = "light") -> Palette:
    """A palette from the background to the colour of a curve, for antialiased lines."""
    return _with_greys(np.linspace([_GREYS[theme][1]] * 3, _LINES[theme], colors), theme)


def surface_palette(colormap: str, fraction: float, theme: str = "light") -> Palette:
    """A palette for a surface in light and shade: from black to a colour, and to the background.

    Args:
        colormap: the name of the colour map.
        fraction: the place of the colour in the colour map; its ends are too dark or too bright.
        theme: the colours of the background.
    """
    check_colormap(colormap)
    color = np.array(matplotlib.colormaps[colormap](min(max(fraction, 0.25), 0.75))[:3]) * 255
    dark, paper = 0.1 * color, np.full(3, _GREYS[theme][1])
    shades = [
        np.linspace(dark, color, SHADES),
        np.linspace(color, 255, 48),
        np.linspace(color, paper, 64),
    ]
    return _with_greys(np.concatenate(shades), theme)


def _with_greys(colors: np.ndarray, theme: str) -> Palette:
    count = min(32, 255 - len(colors))
    greys = np.repeat(np.linspace(*_GREYS[theme], count)[:, None], 3, axis=1)
    rgb = np.rint(np.concatenate([colors, greys])).astype(np.uint8)
    return Palette(rgb, len(colors), greys=count)
