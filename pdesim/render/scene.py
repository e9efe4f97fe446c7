"""Scenes: the parts of a picture that all frames share, and the drawing of a frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from pdesim.output.axis import Axis
from pdesim.render.colors import Palette, line_palette, map_palette
from pdesim.render.field_reader import FrameReader
from pdesim.render.frames import FrameStream
from pdesim.render.layout import Layout, LayoutSpec, Scale, lay_out
from pdesim.render.limits import Limits
from pdesim.render.look import Look
from pdesim.render.painters import CurvePainter, MapPainter, curve_painter
from pdesim.render.ticks import clock_texts
from pdesim.settings import Animation

ALL_COLORS = 240  # colours of pictures that are not GIFs, whose size hardly depends on them
CURVE_HEIGHT = 0.56  # height to width of the picture of a 1-D field
#: the name of a time label, and its text for each frame
_Labels = tuple[str, Sequence[str]]
_MAX_RATIO = 8  # largest ratio of the sides of a picture


@dataclass(frozen=True)
class Scene:
    """The parts of a picture that all frames share.

    ``canvas`` contains palette indices, ``(rows, columns)``. ``look`` and ``times`` are the values
    that the frame stream had when the scene was built.
    """

    layout: Layout
    palette: Palette
    painter: MapPainter | CurvePainter
    canvas: np.ndarray
    clock: Sequence[str]
    look: Look
    times: np.ndarray

    def draw(self, frame: int, values: np.ndarray) -> np.ndarray:
        """Draw a frame as palette indices with the shape of ``canvas``."""
        indices = self.canvas.copy()
        indices[self.layout.picture.slices] = self.painter.paint(values)
        if self.layout.clock:
            label = self.layout.draw_clock(self.clock[frame])
            indices[self.layout.clock.slices] = self.palette.grey(label)
        return indices


def build_scene(stream: FrameStream, size: int, colors: int | None) -> Scene:
    """Build the scene of a frame stream.

    Args:
        stream: the frames.
        size: the pixels of the picture's longer side.
        colors: the number of colours; None: the number of colours and the scale of the stream's
            look are used.
    """
    reader, animation = stream.reader, stream.animation
    look, times = stream.look, stream.times
    map_colors = map_palette(animation.colormap, colors or look.colors)
    # a steady state has no time label
    clock = clock_texts(times) if len(times) > 1 or times[0] != 0 else []
    name, labels = stream.labels or ("t", clock)
    zoom = max(0.8, size / 512)
    if len(reader.axes) == 1:
        return _curve_scene(stream, look, (name, labels), size, zoom)
    pixels = round(size * look.scale) if colors is None else size
    width, height = shape_of([axis.upper - axis.lower for axis in reader.axes], pixels)
    layout = _lay_out(reader, (name, labels), width, height, zoom, look.limits)
    painter = MapPainter(map_colors, look.limits.ends, width, height)
    canvas = map_colors.grey(layout.canvas)
    if layout.bar:
        layout.bar.paint(canvas, map_colors)
    return Scene(layout, map_colors, painter, canvas, labels, look, times)


def _curve_scene(
    stream: FrameStream, look: Look, labels: _Labels, size: int, zoom: float
) -> Scene:
    reader, limits = stream.reader, look.limits
    if stream.animation.limits is None:
        limits = with_margin(limits)
    palette = line_palette()
    width, height = size, round(size * CURVE_HEIGHT)
    layout = _lay_out(reader, labels, width, height, zoom, limits)
    rules, first = layout.y_ticks.places, first_curve(stream.values(0), stream.animation, limits)
    painter = curve_painter(palette, limits.ends, width, height, zoom, first, rules)
    canvas = palette.grey(layout.canvas)
    return Scene(layout, palette, painter, canvas, labels[1], look, stream.times)


def first_curve(values: np.ndarray, animation: Animation, limits: Limits) -> np.ndarray:
    """The initial state that is drawn behind a curve, or NaN if it exceeds automatic limits."""
    with np.errstate(invalid="ignore"):
        cut = np.any((values < limits.low) | (values > limits.high))
    return np.full_like(values, np.nan) if cut and animation.limits is None else values


def with_margin(limits: Limits) -> Limits:
    """Limits with a margin, so that curves do not touch the edges."""
    margin = 0.06 * (limits.high - limits.low)
    return replace(limits, low=limits.low - margin, high=limits.high + margin)


def _lay_out(
    reader: FrameReader,
    labels: _Labels,
    width: int,
    height: int,
    zoom: float,
    limits: Limits,
) -> Layout:
    quantity = reader.long_name
    if quantity != reader.field:
        quantity = f"{quantity} {reader.field}"
    value = scale_of(with_unit(reader.field, reader.unit), limits)
    x = _scale(reader.axes[-1])
    is_curve = len(reader.axes) == 1
    subtitle = quantity if is_curve else with_unit(quantity, reader.unit)
    if reader.depth and reader.plane is not None:
        subtitle += f", z = {clock_texts(reader.depth.centres)[reader.plane]}"
    return lay_out(
        LayoutSpec(
            title=title_of(reader.equation),
            subtitle=subtitle,
            clock=labels[1],
            clock_unit=reader.time_unit if labels[0] == "t" else "",
            clock_name=labels[0],
            x=x,
            y=value if is_curve else _scale(reader.axes[0]),
            bar=None if is_curve else value,
            width=width,
            height=height,
            zoom=zoom,
        )
    )


def shape_of(lengths: Sequence[float], size: int) -> tuple[int, int]:
    """The width and the height of a picture in pixels.

    Their ratio is that of the domain, but at most ``_MAX_RATIO`` to 1.

    Args:
        lengths: the lengths of the domain along y and x.
        size: the pixels of the longer side.
    """
    y, x = lengths
    ratio = x / y
    ratio = min(max(ratio, 1 / _MAX_RATIO), _MAX_RATIO)
    if ratio >= 1:
        return size, round(size / ratio)
    return round(size * ratio), size


def scale_of(label: str, limits: Limits) -> Scale:
    return Scale(label, limits.low, limits.high, limits.below, limits.above)


def _scale(axis: Axis) -> Scale:
    return Scale(with_unit(axis.name, axis.unit), axis.lower, axis.upper)


def with_unit(name: str, unit: str) -> str:
    return f"{name} [{unit}]" if unit else name


def title_of(equation: str) -> str:
    """The title for an equation's name: ``gray_scott`` becomes ``Gray Scott``.

    Names that contain capitals are not changed.
    """
    words = equation.replace("_", " ").strip()
    return words.title() if words == words.lower() else words
