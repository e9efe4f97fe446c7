"""Scenes: the parts of a picture that all frames share, and the drawing of a frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from pdesim.output.axis import Axis
from pdesim.render.colors import Palette, line_palette, map_palette
from pdesim.render.field_reader import FrameReader
from pdesim.render.frames import FrameStream
from pdesim.render.layout import Box, Layout, LayoutSpec, Room, Scale, lay_out, most_ticks
from pdesim.render.limits import Limits, RunStatistics, frame_limits, given_limits
from pdesim.render.look import SIZE, Look
from pdesim.render.overlays import Arrows, Overlay
from pdesim.render.painters import CurvePainter, MapPainter, curve_painter
from pdesim.render.streams import FrameGroup
from pdesim.render.text import font_of, widest, width_of
from pdesim.render.ticks import clock_texts
from pdesim.render.time_format import formatted_times
from pdesim.settings import Animation

ALL_COLORS = 240  # colours of pictures that are not GIFs, whose size hardly depends on them
CURVE_HEIGHT = 0.56  # height to width of the picture of a 1-D field
#: the name of a time label, and its text for each frame
Labels = tuple[str, Sequence[str]]
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
    overlay: Overlay | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """The numbers of rows and columns of the picture with its labels."""
        rows, columns = self.canvas.shape
        return rows, columns

    @property
    def picture(self) -> Box:
        """The place of the picture without its labels."""
        return self.layout.picture

    def draw(self, frame: int, values: np.ndarray) -> np.ndarray:
        """Draw a frame as palette indices with the shape of ``canvas``."""
        indices = self.canvas.copy()
        picture = self.painter.paint(values)
        if self.overlay:
            picture = self.overlay.draw(picture, values, frame)
        indices[self.layout.picture.slices] = picture
        if self.layout.clock:
            label = self.layout.draw_clock(self.clock[frame])
            indices[self.layout.clock.slices] = self.palette.grey(label)
        return indices


@dataclass(frozen=True)
class Part:
    """A part of a picture, which has no title and no time label.

    Attributes:
        zoom: the factor of texts and lines.
        note: the text above the part; "" for the name of the quantity.
        axes: the vertical and the horizontal axis; None for those of the reader.
        bar: whether there is a colour bar.
        palette: the colours; None for those of the colour map.
    """

    zoom: float
    note: str = ""
    axes: tuple[Axis, ...] | None = None
    bar: bool = True
    palette: Palette | None = None


def build_scene(
    stream: FrameStream, size: int, colors: int | None, part: Part | None = None
) -> Scene | ChangingScene:
    """Build the scene of a frame stream.

    Args:
        stream: the frames.
        size: the pixels of the picture's longer side.
        colors: the number of colours; None: the number of colours and the scale of the stream's
            look are used.
        part: the part of a picture that the scene is; None for the whole picture.
    """
    look = stream.look
    pixels = round(size * look.scale) if colors is None else size
    zoom = part.zoom if part else max(0.8, size / 512)
    labels = ("", []) if part else labels_of(stream)
    plan = _Plan(stream.reader, stream.animation, labels, look, stream.times)
    plan = replace(
        plan, size=pixels, zoom=zoom, colors=colors or look.colors, part=part, arrows=stream.arrows
    )
    if plan.is_curve:
        plan = replace(plan, size=size, first=stream.values(0))
    if stream.animation.limits != "per_frame":
        return plan.build(look.limits)
    return ChangingScene(plan, stream.statistics, _room(plan, stream.statistics))


@dataclass(frozen=True)
class ChangingScene:
    """Scenes of equal size, one for each frame, for ``animation.limits=per_frame``.

    ``room`` is the room for the ticks of all frames, which makes the sizes equal.
    """

    plan: _Plan
    statistics: RunStatistics
    room: Room

    @property
    def shape(self) -> tuple[int, int]:
        return self._any.shape

    @property
    def picture(self) -> Box:
        return self._any.picture

    @property
    def _any(self) -> Scene:
        return self.plan.build(Limits(0.0, 1.0), self.room)

    @property
    def palette(self) -> Palette:
        return self.plan.palette

    @property
    def look(self) -> Look:
        return self.plan.look

    @property
    def times(self) -> np.ndarray:
        return self.plan.times

    def draw(self, frame: int, values: np.ndarray) -> np.ndarray:
        """Draw a frame as palette indices with the limits of this frame."""
        limits = self.plan.limits_of(self.statistics, frame)
        return self.plan.build(limits, self.room).draw(frame, values)


def _room(plan: _Plan, statistics: RunStatistics) -> Room:
    """The room that the ticks of all frames need."""
    font, most = font_of(11 * plan.zoom), most_ticks(plan.shape[1], plan.zoom)
    pixels, factor = 0, False
    for frame in range(len(statistics.frames)):
        limits = plan.padded(plan.limits_of(statistics, frame))
        ticks = scale_of("", limits, plan.log).ticks(most)
        pixels = max(pixels, widest(ticks.texts, font), width_of(ticks.factor, font))
        factor = factor or bool(ticks.factor)
    return Room(pixels, factor)


def labels_of(stream: FrameStream | FrameGroup) -> Labels:
    """The name of the time label, and its text for each frame."""
    if isinstance(stream, FrameStream) and stream.labels:
        return stream.labels
    text, times = stream.animation.time_format, stream.times
    if len(times) == 1 and times[0] == 0:  # a steady state has no time label
        return "", []
    return "" if text else "t", time_labels(stream.animation, times)


def time_labels(animation: Animation, times: np.ndarray) -> list[str]:
    """The labels of times, without a name: numbers, or texts according to the user's format."""
    if not len(times):
        return []
    if animation.time_format:
        return formatted_times(times.tolist(), animation.time_format)
    return clock_texts(times)


@dataclass(frozen=True)
class _Plan:
    """All that is needed to build scenes, except their limits.

    Args:
        reader: the open file.
        animation: the settings of the picture.
        labels: the name of the time label, and its text for each frame.
        look, times: see :class:`Scene`.
        size: the pixels of the longer side.
        zoom: the factor of texts and lines.
        colors: the number of colours.
        first: the curve in the background; None for maps.
        part: see :func:`build_scene`.
        arrows: see :class:`FrameStream`.
    """

    reader: FrameReader
    animation: Animation
    labels: Labels
    look: Look
    times: np.ndarray
    size: int = SIZE
    zoom: float = 1.0
    colors: int = ALL_COLORS
    first: np.ndarray | None = None
    part: Part | None = None
    arrows: Arrows | None = None

    @property
    def axes(self) -> tuple[Axis, ...]:
        return (self.part and self.part.axes) or self.reader.axes

    @property
    def is_curve(self) -> bool:
        return len(self.reader.axes) == 1

    @property
    def log(self) -> bool:
        return self.animation.scale == "log"

    @property
    def palette(self) -> Palette:
        theme = self.animation.theme
        if self.part and self.part.palette:
            return self.part.palette
        if self.is_curve:
            return line_palette(theme=theme)
        return map_palette(self.animation.colormap, self.colors, theme)

    @property
    def shape(self) -> tuple[int, int]:
        """The width and the height of the picture without its labels."""
        if self.is_curve:
            return self.size, round(self.size * CURVE_HEIGHT)
        return shape_of([axis.upper - axis.lower for axis in self.axes], self.size)

    def limits_of(self, statistics: RunStatistics, frame: int) -> Limits:
        return frame_limits(statistics, frame, self.animation, self.is_curve)

    def padded(self, limits: Limits) -> Limits:
        """The limits of the axis or the colour bar."""
        if not self.is_curve or given_limits(self.animation):
            return limits
        return with_margin(limits)

    def build(self, limits: Limits, room: Room | None = None) -> Scene:
        limits, palette, shape = self.padded(limits), self.palette, self.shape
        layout = _lay_out(self, limits, room or Room())
        painter: MapPainter | CurvePainter
        if self.first is None:
            sharp = self.animation.enlarge == "nearest"
            painter = MapPainter(palette, limits.ends, *shape, sharp)
        else:
            first = first_curve(self.first, self.animation, limits)
            rules = layout.y_ticks.places
            painter = curve_painter(palette, limits.ends, *shape, self.zoom, first, rules)
        canvas = palette.grey(layout.canvas)
        if layout.bar:
            layout.bar.paint(canvas, palette)
        overlay = None
        if self.first is None:
            lines = self.animation.contours, self.arrows
            overlay = Overlay(palette, limits.ends, self.zoom, *lines)
        return Scene(
            layout, palette, painter, canvas, self.labels[1], self.look, self.times, overlay
        )


def first_curve(values: np.ndarray, animation: Animation, limits: Limits) -> np.ndarray:
    """The initial state that is drawn behind a curve, or NaN if it exceeds automatic limits."""
    with np.errstate(invalid="ignore"):
        cut = np.any((values < limits.low) | (values > limits.high))
    return np.full_like(values, np.nan) if cut and not given_limits(animation) else values


def with_margin(limits: Limits) -> Limits:
    """Limits with a margin, so that curves do not touch the edges."""
    margin = 0.06 * (limits.high - limits.low)
    return replace(limits, low=limits.low - margin, high=limits.high + margin)


def _lay_out(plan: _Plan, limits: Limits, room: Room) -> Layout:
    reader, animation, labels = plan.reader, plan.animation, plan.labels
    quantity = quantity_of(reader)
    value = scale_of(with_unit(reader.field, reader.unit), limits, plan.log)
    x = axis_scale(plan.axes[-1])
    is_curve, (width, height) = plan.is_curve, plan.shape
    subtitle = quantity if is_curve else with_unit(quantity, reader.unit)
    if reader.depth and reader.plane is not None:
        subtitle += f", z = {clock_texts(reader.depth.centres)[reader.plane]}"
    if plan.part and plan.part.note:
        subtitle = plan.part.note
    has_bar = not is_curve and (plan.part is None or plan.part.bar)
    return lay_out(
        LayoutSpec(
            title="" if plan.part else title_for(animation, reader.equation),
            subtitle=subtitle,
            clock=labels[1],
            clock_unit=reader.time_unit if labels[0] == "t" else "",
            clock_name=labels[0],
            x=x,
            y=value if is_curve else axis_scale(plan.axes[0]),
            bar=value if has_bar else None,
            width=width,
            height=height,
            zoom=plan.zoom,
            room=room,
        )
    )


def quantity_of(reader: FrameReader) -> str:
    """The name of the quantity, with its symbol if the name is another."""
    name = reader.long_name
    return name if name == reader.field else f"{name} {reader.field}"


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


def scale_of(label: str, limits: Limits, log: bool = False) -> Scale:
    return Scale(label, limits.low, limits.high, limits.below, limits.above, log)


def axis_scale(axis: Axis) -> Scale:
    return Scale(with_unit(axis.name, axis.unit), axis.lower, axis.upper)


def with_unit(name: str, unit: str) -> str:
    return f"{name} [{unit}]" if unit else name


def title_for(animation: Animation, equation: str) -> str:
    """The title that the user has chosen, or else that of the equation."""
    if animation.title is None:
        return title_of(equation)
    return " ".join(animation.title.split())


def title_of(equation: str) -> str:
    """The title for an equation's name: ``gray_scott`` becomes ``Gray Scott``.

    Short words with at most one vowel are abbreviations: ``cgle`` becomes ``CGLE``. Names that
    contain capitals are not changed.
    """
    words = equation.replace("_", " ").split()
    if any(word != word.lower() for word in words):
        return " ".join(words)
    return " ".join(word.upper() if _is_abbreviation(word) else word.title() for word in words)


def _is_abbreviation(word: str) -> bool:
    return len(word) <= 4 and sum(letter in "aeiouy" for letter in word) < 2
