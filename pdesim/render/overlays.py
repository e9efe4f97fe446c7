"""Contour lines and arrows over colour maps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from pdesim.render.colors import Palette
from pdesim.render.field_reader import FieldReader

#: pixels between two arrows, at zoom 1
ARROW_SPACING = 32
#: arrows shorter than this fraction of the longest are not drawn
SHORTEST_ARROW = 0.04


@dataclass(frozen=True)
class Arrows:
    """Readers of the components of a vector field along x and y."""

    x: FieldReader
    y: FieldReader

    def read(self, frame: int) -> tuple[np.ndarray, np.ndarray]:
        """The components of a frame, each ``(ny, nx)``."""
        across, upwards = (
            (one if frame < len(one.times) else one.refreshed()).read(frame)[0]
            for one in (self.x, self.y)
        )
        return across, upwards


@dataclass(frozen=True)
class Overlay:
    """Lines that are drawn over a colour map.

    Attributes:
        palette: the colours of the map.
        limits: the limits of the map.
        zoom: the factor of thicknesses and distances.
        contours: the number of contour lines; None for none.
        arrows: the vector field; None for none.
    """

    palette: Palette
    limits: tuple[float, float]
    zoom: float
    contours: int | None = None
    arrows: Arrows | None = None

    def draw(self, picture: np.ndarray, values: np.ndarray, frame: int) -> np.ndarray:
        """Return a picture of palette indices with contours and arrows.

        Args:
            picture: palette indices, ``(rows, columns)``.
            values: the values of the map, ``(ny, nx)``.
            frame: the number of the frame.
        """
        if self.contours:
            picture = self._with_contours(picture, values)
        if self.arrows:
            picture = self._with_arrows(picture, *self.arrows.read(frame))
        return picture

    def _ends(self) -> tuple[int, int]:
        """The palette indices of the darkest and of the brightest grey."""
        ends = self.palette.colors, len(self.palette.rgb) - 1
        first, second = (int(self.palette.rgb[index].sum()) for index in ends)
        return ends if first < second else ends[::-1]

    def _with_contours(self, picture: np.ndarray, values: np.ndarray) -> np.ndarray:
        """Draw lines at equal distances between the limits: dark on bright colours, or bright.

        All of a line has one colour, since values next to it have almost the same colour.
        """
        import contourpy

        (rows, columns), (low, high) = picture.shape, self.limits
        if min(values.shape) < 2:
            return picture
        generator = contourpy.contour_generator(z=np.ma.masked_invalid(values))
        image, (dark, bright) = Image.fromarray(picture), self._ends()
        draw, luminance = ImageDraw.Draw(image), self.palette.rgb @ np.array([0.299, 0.587, 0.114])
        size = np.array([columns / values.shape[1], rows / values.shape[0]])
        for level in np.linspace(low, high, (self.contours or 0) + 2)[1:-1]:
            color = int(self.palette.color(np.array([(level - low) / (high - low)]))[0])
            ink = dark if luminance[color] > 110 else bright
            for line in generator.lines(level):
                points = (np.asarray(line) + 0.5) * size - 0.5
                points[:, 1] = rows - 1 - points[:, 1]
                corners = list(map(tuple, points.tolist()))
                draw.line(corners, fill=ink, width=max(1, round(1.2 * self.zoom)))
        return np.asarray(image)

    def _with_arrows(self, picture: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Draw arrows at equal distances, bright with a dark outline.

        The longest arrow of a frame is almost as long as the distance between two arrows.
        """
        height, width = picture.shape
        spacing = ARROW_SPACING * self.zoom
        across, down = (max(1, round(length / spacing)) for length in (width, height))
        columns = ((np.arange(across) + 0.5) / across * x.shape[1]).astype(int)
        rows = ((np.arange(down) + 0.5) / down * x.shape[0]).astype(int)
        one, other = (part[np.ix_(rows, columns)].astype(np.float64) for part in (x, y))
        lengths = np.hypot(one, other)
        longest = lengths.max(initial=0.0, where=np.isfinite(lengths))
        if longest == 0.0:
            return picture
        image = Image.fromarray(picture)
        draw, (dark, bright) = ImageDraw.Draw(image), self._ends()
        for row, column in zip(*np.nonzero(lengths > SHORTEST_ARROW * longest), strict=True):
            if not np.isfinite(lengths[row, column]):
                continue
            middle = (
                (columns[column] + 0.5) / x.shape[1] * width,
                (height - (rows[row] + 0.5) / x.shape[0] * height),
            )
            vector = np.array([one[row, column], -other[row, column]]) / longest * 0.9 * spacing
            corners = _arrow(np.array(middle), vector, self.zoom)
            draw.line([*corners, corners[0]], fill=dark, width=3, joint="curve")
            draw.polygon(corners, fill=bright, outline=bright)
        return np.asarray(image)


def _arrow(middle: np.ndarray, vector: np.ndarray, zoom: float) -> list[tuple[float, float]]:
    """The corners of an arrow in pixels."""
    length = float(np.hypot(*vector))
    along = vector / length
    aside = np.array([-along[1], along[0]])
    head = min(9 * zoom, 0.6 * length)
    wide, thin = 0.45 * head, max(1.0 * zoom, 0.12 * head)
    start, tip = middle - vector / 2, middle + vector / 2
    neck = tip - head * along
    points = [
        start + thin * aside, neck + thin * aside, neck + wide * aside, tip,
        neck - wide * aside, neck - thin * aside, start - thin * aside,
    ]  # fmt: skip
    return [(float(x), float(y)) for x, y in points]
