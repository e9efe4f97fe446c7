"""Colours and the values they stand for: the palette, the colour map, the limits."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import matplotlib
import numpy as np

from pdesim.errors import ConfigError, nearest

DARKEST = 0x1E  # the grey of the darkest text
_MISSING = 0xB4  # the grey of cells that are not finite
_LINE = (0x1F, 0x5F, 0xA8)  # the colour of the curve of a 1-D field

# colour maps whose middle means zero
_DIVERGING = {
    "BrBG", "PRGn", "PiYG", "PuOr", "RdBu", "RdGy", "RdYlBu", "RdYlGn", "Spectral",
    "berlin", "bwr", "coolwarm", "managua", "seismic", "vanimo",
}  # fmt: skip


@dataclass(frozen=True)
class Palette:
    """At most 255 colours: ``colors`` of the field, then greys from dark to white.

    One place of the 256 of a GIF stays free for "as before", which keeps files small.
    ``rgb`` has shape ``(n, 3)``, uint8.
    """

    rgb: np.ndarray
    colors: int

    def grey(self, levels: np.ndarray | int) -> np.ndarray:
        """Palette indices of grey levels 0..255, same shape, uint8."""
        last = len(self.rgb) - self.colors - 1
        position = (np.asarray(levels, dtype=np.float32) - DARKEST) / (255 - DARKEST) * last
        return (self.colors + np.clip(np.rint(position), 0, last)).astype(np.uint8)

    def color(self, fractions: np.ndarray) -> np.ndarray:
        """Palette indices of fractions 0..1 of the limits, same shape; not finite is grey."""
        with np.errstate(invalid="ignore", over="ignore"):
            index = np.clip(fractions * self.colors, 0, self.colors - 1)
            indices = index.astype(np.uint8)
        finite = np.isfinite(index)
        if not finite.all():
            indices[~finite] = self.grey(_MISSING)
        return indices


def map_palette(colormap: str, colors: int) -> Palette:
    """A palette of ``colors`` colours of a matplotlib colour map.

    Raises:
        ConfigError: matplotlib knows no such map.
    """
    maps = matplotlib.colormaps
    if colormap not in maps:
        # 180 names would bury the message: reversed ones and old spellings stay unsaid
        known = [name for name in maps if not name.endswith("_r") and "gist" not in name]
        base = colormap.removesuffix("_r")
        raise ConfigError(f"animation.colormap is {colormap!r}", nearest(base, known))
    return _with_greys(maps[colormap](np.linspace(0, 1, colors))[:, :3] * 255)


def line_palette(colors: int = 96) -> Palette:
    """A palette from white to the colour of a curve, for antialiased lines."""
    return _with_greys(np.linspace((255, 255, 255), _LINE, colors))


def _with_greys(colors: np.ndarray) -> Palette:
    count = min(32, 255 - len(colors))
    greys = np.repeat(np.linspace(DARKEST, 255, count)[:, None], 3, axis=1)
    rgb = np.rint(np.concatenate([colors, greys])).astype(np.uint8)
    return Palette(rgb, len(colors))


@dataclass
class Range:
    """The least and the greatest finite value of the frames seen so far, and their precision."""

    low: float = np.inf
    high: float = -np.inf
    precision: float = 0.0

    def see(self, values: np.ndarray) -> None:
        least, most = float(values.min()), float(values.max())
        if not (np.isfinite(least) and np.isfinite(most)):
            values = values[np.isfinite(values)]
            if values.size == 0:
                return
            least, most = float(values.min()), float(values.max())
        self.low, self.high = min(self.low, least), max(self.high, most)
        self.precision = float(np.finfo(values.dtype).eps)


def find_limits(
    given: list[float] | None, frames: Iterable[np.ndarray], colormap: str
) -> tuple[float, float]:
    """:func:`limits_of` the range of ``frames``, of which none is looked at if limits are given."""
    seen = Range()
    for values in frames if given is None else ():
        seen.see(values)
    return limits_of(given, seen, colormap)


def limits_of(given: list[float] | None, seen: Range, colormap: str) -> tuple[float, float]:
    """The values at the two ends of the colours; the exact range of what was seen if not given.

    Where a diverging colour map meets data of both signs, zero gets its middle.

    Raises:
        ConfigError: the given limits are the wrong way round.
    """
    if given is not None:
        low, high = given
        if low > high:
            raise ConfigError(f"animation.limits is {given}", "[low, high] with low < high")
        return _widen(low, high, 0.0)
    if seen.low > seen.high:
        return _widen(0.0, 1.0, 0.0)
    low, high = seen.low, seen.high
    if colormap.removesuffix("_r") in _DIVERGING and low < 0 < high:
        high = max(-low, high)
        low = -high
    return _widen(low, high, seen.precision)


def _widen(low: float, high: float, precision: float) -> tuple[float, float]:
    """Room around a constant, which round-off alone must not turn into a picture of noise."""
    size = max(abs(low), abs(high))
    if high - low > 8 * precision * size:
        return low, high
    room = 0.5 * size or 0.5
    return low - room, high + room
