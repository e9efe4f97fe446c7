"""Painters, which convert the values of a frame to palette indices."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from pdesim.render.colors import Palette

_BEYOND = 0.1  # before resizing, values are clipped to the limits plus this fraction of the range
_FINE = 3  # for antialiasing, a curve is drawn larger by this factor and then reduced
# strengths (0 to 255) of the horizontal rules, the fill below the curve, and the initial state
_GRID, _FILL, _FIRST = 14, 26, 96


@dataclass(frozen=True)
class MapPainter:
    """Draws a 2-D array as a coloured map of ``width`` x ``height`` pixels, with y upwards."""

    palette: Palette
    limits: tuple[float, float]
    width: int
    height: int
    #: whether enlarged cells have sharp edges, instead of being interpolated
    sharp: bool = False

    def paint(self, values: np.ndarray) -> np.ndarray:
        """Convert ``(ny, nx)`` values to ``(height, width)`` palette indices."""
        low, high = self.limits
        with np.errstate(invalid="ignore", over="ignore"):
            fractions = ((values[::-1] - low) / (high - low)).astype(np.float32)
        # clipped, since bicubic interpolation overshoots near extreme values, which causes rings
        bounded = np.clip(fractions, -_BEYOND, 1 + _BEYOND)
        if not np.isfinite(fractions).all():
            bounded = np.where(np.isfinite(fractions), bounded, np.nan)
        return self.palette.color(resize(bounded, self.width, self.height, self.sharp))


def resize(values: np.ndarray, width: int, height: int, sharp: bool = False) -> np.ndarray:
    """Resize ``(ny, nx)`` float32 values to ``(height, width)``.

    If the size increases, values are interpolated smoothly, or repeated if ``sharp`` is True. If
    the size decreases, they are averaged. In cells
    whose values are not finite, the result is NaN; other cells are not affected.
    """
    if values.shape == (height, width):
        return values
    finite = np.isfinite(values)
    if finite.all():
        return _resize_finite(values, width, height, sharp)
    weights = _resize_finite(finite.astype(np.float32), width, height, sharp)
    sums = _resize_finite(np.where(finite, values, np.float32(0)), width, height, sharp)
    good = weights > 0.5
    return np.divide(sums, weights, out=np.full_like(sums, np.nan), where=good)


def _resize_finite(values: np.ndarray, width: int, height: int, sharp: bool) -> np.ndarray:
    rows, columns = values.shape
    image = Image.fromarray(np.ascontiguousarray(values))
    image = image.resize((width, rows), _filter(columns, width, sharp))
    return np.asarray(image.resize((width, height), _filter(rows, height, sharp)))


def _filter(cells: int, pixels: int, sharp: bool) -> Image.Resampling:
    if sharp and pixels >= cells:
        return Image.Resampling.NEAREST
    return Image.Resampling.BICUBIC if pixels >= cells else Image.Resampling.HAMMING


@dataclass(frozen=True)
class CurvePainter:
    """Draws a 1-D field as a curve over a faint fill, with the initial state in the background.

    ``limits`` are the values at the lower and the upper edge. ``background`` is a picture of the
    static parts with strengths from 0 to 255, larger by the factor ``_FINE``.
    """

    palette: Palette
    limits: tuple[float, float]
    width: int
    height: int
    zoom: float
    background: np.ndarray

    def paint(self, values: np.ndarray) -> np.ndarray:
        """Convert ``(nx,)`` values to ``(height, width)`` palette indices."""
        image = Image.new("L", (self.width * _FINE, self.height * _FINE), 0)
        draw = ImageDraw.Draw(image)
        runs = _polylines(values, self.limits, self.width * _FINE, self.height * _FINE)
        for run in runs:
            floor = self.height * _FINE + 1
            draw.polygon([(run[0][0], floor), *run, (run[-1][0], floor)], fill=_FILL)
        image = Image.fromarray(np.maximum(np.asarray(image), self.background))
        _draw_lines(image, runs, 255, 2.0 * self.zoom)
        strengths = np.asarray(image.reduce(_FINE), dtype=np.float32)
        return self.palette.color(strengths / 255)


def curve_painter(
    palette: Palette,
    limits: tuple[float, float],
    width: int,
    height: int,
    zoom: float,
    first: np.ndarray,
    rules: tuple[float, ...],
) -> CurvePainter:
    """Build a painter for curves with a static background.

    Args:
        palette: the colours.
        limits: the values at the lower and the upper edge.
        width, height: the size in pixels.
        zoom: the factor by which lines are thicker than in a picture of the usual size.
        first: the curve in the background, ``(nx,)``.
        rules: the values at which thin horizontal lines are drawn.
    """
    size = (width * _FINE, height * _FINE)
    image = Image.new("L", size, 0)
    low, high = limits
    across = [[(0, (high - v) / (high - low) * size[1])] * 2 for v in rules]
    across = [[start, (size[0], end[1])] for start, end in across]
    _draw_lines(image, across, _GRID, 1.0 * zoom)
    _draw_lines(image, _polylines(first, limits, *size), _FIRST, 1.3 * zoom)
    return CurvePainter(palette, limits, width, height, zoom, np.asarray(image))


def _draw_lines(image: Image.Image, runs: list, strength: int, thickness: float) -> None:
    draw = ImageDraw.Draw(image)
    for run in runs:
        draw.line(run, fill=strength, width=max(1, round(thickness * _FINE)), joint="curve")


def _polylines(
    values: np.ndarray, limits: tuple[float, float], width: int, height: int
) -> list[list[tuple[float, float]]]:
    """The curve as lists of points in pixels, one list per interval in which values are finite.

    There are at most four points per pixel column.
    """
    low, high = limits
    cells = len(values)
    x = (np.arange(cells) + 0.5) / cells * width
    if cells > 4 * width:
        # the minimum and the maximum of every bin give the same picture as all points
        bins = np.array_split(np.arange(cells), 2 * width)
        picks = [i for b in bins for i in sorted((b[values[b].argmin()], b[values[b].argmax()]))]
        x, values = x[picks], values[picks]
    finite = np.isfinite(values)
    with np.errstate(invalid="ignore", over="ignore"):
        y = np.clip((high - values) / (high - low), -1, 2) * height
    edges = np.flatnonzero(np.diff(finite.astype(np.int8), prepend=0, append=0))
    return [
        list(zip(x[start:end].tolist(), y[start:end].tolist(), strict=True))
        for start, end in zip(edges[::2], edges[1::2], strict=True)
        if end - start > 1
    ]
