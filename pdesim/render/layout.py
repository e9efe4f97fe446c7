"""The static part of a frame: titles, axes, ticks and the outline of the colour bar.

The static part is aligned to whole pixels and drawn once, in grey levels. The parts that change
from frame to frame are pasted into the boxes ``Layout.picture`` and ``Layout.clock``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from pdesim.render.colors import DARKEST, Palette
from pdesim.render.text import ascent_of, font_of, shorten, widest, width_of
from pdesim.render.ticks import Ticks, place_log_ticks, place_ticks

INK, SOFT, LINE = DARKEST, 0x5C, 0x8C  # titles, labels, lines


@dataclass(frozen=True)
class Box:
    """A rectangle in whole pixels; ``right`` and ``bottom`` are the first pixels outside it."""

    left: int
    top: int
    width: int
    height: int

    @property
    def right(self) -> int:
        return self.left + self.width

    @property
    def bottom(self) -> int:
        return self.top + self.height

    @property
    def slices(self) -> tuple[slice, slice]:
        """The rows and columns of the rectangle, as an index of an image array."""
        return slice(self.top, self.bottom), slice(self.left, self.right)


@dataclass(frozen=True)
class Bar:
    """A colour bar. If values exceed an end, there is a triangle at this end."""

    box: Box
    above: Box | None = None
    below: Box | None = None

    @property
    def top(self) -> int:
        return (self.above or self.box).top

    def paint(self, canvas: np.ndarray, palette: Palette) -> None:
        """Draw the colours of the bar into ``canvas``, ``(rows, columns)`` palette indices."""
        rows = (np.arange(self.box.height)[::-1, None] + 0.5) / self.box.height
        canvas[self.box.slices] = palette.color(rows.astype(np.float32))
        for tip, index in ((self.above, palette.colors - 1), (self.below, 0)):
            if tip is not None:
                inside = _triangle(tip, upwards=tip is self.above)
                canvas[tip.slices] = np.where(inside, np.uint8(index), canvas[tip.slices])


@dataclass(frozen=True)
class Scale:
    """The label of an axis or a colour bar, and the values at its ends.

    ``below`` and ``above`` state whether values exceed these ends, which is marked in the picture.
    """

    label: str
    lower: float
    upper: float
    below: bool = False
    above: bool = False
    #: whether the values at the ends are decadic logarithms
    log: bool = False

    def ticks(self, most: int) -> Ticks:
        """About ``most`` ticks at round numbers."""
        return (place_log_ticks if self.log else place_ticks)(self.lower, self.upper, most)


@dataclass(frozen=True)
class Room:
    """Room for the ticks of other frames: pixels of their texts, and whether a factor is needed."""

    pixels: int = 0
    factor: bool = False


@dataclass(frozen=True)
class LayoutSpec:
    """The contents of a layout. ``clock`` contains all time labels; it is empty to draw none."""

    title: str
    subtitle: str
    clock: Sequence[str]
    clock_unit: str
    x: Scale
    y: Scale
    bar: Scale | None
    width: int  # of the picture, in pixels
    height: int
    zoom: float  # of all texts and gaps
    #: the name of the quantity in the time label; "" for labels without a name
    clock_name: str = "t"
    room: Room = Room()


@dataclass(frozen=True)
class Layout:
    """The static part of a frame, and the places of its other parts.

    ``canvas`` contains grey levels, ``(rows, columns)``, uint8. The numbers of rows and columns are
    even, as videos require.
    """

    canvas: np.ndarray
    picture: Box
    bar: Bar | None
    clock: Box | None
    clock_unit: str
    y_ticks: Ticks
    zoom: float
    clock_name: str = "t"

    def draw_clock(self, text: str) -> np.ndarray:
        """Grey levels of a time label, an array with the size of the box ``clock``.

        A digit has the same place in all time labels.

        Raises:
            ValueError: if the layout has no time label.
        """
        if self.clock is None:
            raise ValueError("the layout has no time label")
        box, font = self.clock, font_of(13 * self.zoom)
        image = Image.new("L", (box.width, box.height), 255)
        draw = ImageDraw.Draw(image)
        base = ascent_of(font)
        draw.text((0, base), _prefix(self.clock_name), INK, font, anchor="ls")
        draw.text((box.width, base), text + self.clock_unit, INK, font, anchor="rs")
        return np.asarray(image)


def _prefix(name: str) -> str:
    """The text before the value of a time label."""
    return f"{name} = " if name else ""


@dataclass(frozen=True)
class Label:
    """A text and its position; ``anchor`` as in Pillow."""

    at: tuple[float, float]
    text: str
    font: ImageFont.FreeTypeFont
    ink: int = SOFT
    anchor: str = "ls"


def lay_out(spec: LayoutSpec) -> Layout:
    """Measure all texts, place all parts, and draw the static ones."""
    z = spec.zoom
    small, label = font_of(11 * z), font_of(12 * z)
    pad, tick, gap, bar_width = (round(v * z) for v in (14, 4, 14, 12))
    most = most_ticks(spec.height, z)
    x_ticks = _x_ticks(spec.x, spec.width, small)
    y_ticks = spec.y.ticks(most)
    bar_ticks = spec.bar and spec.bar.ticks(most)
    room = spec.room.pixels
    label_offset = tick + round(4 * z)  # pixels from the frame to a tick label
    left = pad + round(20 * z) + max(widest(y_ticks.texts, small), 0 if bar_ticks else room)
    left += label_offset
    right = pad + widest(x_ticks.texts, small) // 2
    if bar_ticks:
        texts = max(widest(bar_ticks.texts, small), room)
        right = gap + max(bar_width + label_offset + texts, width_of(bar_ticks.factor, small)) + pad
    below = label_offset + round(32 * z) + pad // 2
    head, clock, top, columns = place_header(spec, left, right, pad)
    has_factor = bar_ticks and (bar_ticks.factor or spec.room.factor)
    if has_factor and columns - pad > left + spec.width:
        top += round(14 * z)  # the factor above the bar would overlap the header
    picture = Box(left, top, spec.width, spec.height)
    columns = max(columns, left + spec.width + right)
    rows = picture.bottom + below
    image = Image.new("L", (columns + columns % 2, rows + rows % 2), 255)
    draw = ImageDraw.Draw(image)
    for piece in head:
        draw.text(piece.at, piece.text, piece.ink, piece.font, anchor=piece.anchor)
    _draw_x(draw, picture, spec.x, x_ticks, (small, label), (tick, label_offset))
    _draw_y(image, draw, picture, spec.y, y_ticks, (small, label), (tick, label_offset, pad))
    _mark_clipped_ends(draw, picture, spec.y, z)
    bar = None
    if spec.bar and bar_ticks:
        outer = Box(picture.right + gap, picture.top, bar_width, picture.height)
        bar = draw_bar(draw, outer, spec.bar, bar_ticks, small, (tick, label_offset))
    unit = f" {spec.clock_unit}" if spec.clock_unit else ""
    return Layout(np.asarray(image), picture, bar, clock, unit, y_ticks, z, spec.clock_name)


def most_ticks(height: int, zoom: float) -> int:
    """The number of ticks for which there is room along an axis of ``height`` pixels."""
    return min(max(round(height / (45 * zoom)), 2), 6)


def place_header(
    spec: LayoutSpec, left: int, right: int, pad: int
) -> tuple[list[Label], Box | None, int, int]:
    """Place title, subtitle and time label on one line, or on two or three if they are too long.

    Returns:
        The texts, the box of the time label, the top row of the picture, and the number of columns
        that the header needs.
    """
    z = spec.zoom
    bold, plain = font_of(15 * z, bold=True), font_of(13 * z)
    unit = f" {spec.clock_unit}" if spec.clock_unit else ""
    name = _prefix(spec.clock_name)
    clock_width = width_of(name, plain) + widest([t + unit for t in spec.clock], plain)
    clock_width = clock_width if spec.clock else 0
    available = max(spec.width + right - pad, round(190 * z))
    title, subtitle = shorten(spec.title, bold, available), shorten(spec.subtitle, plain, available)
    between, clearance = round(10 * z), round(24 * z)
    wide = [width_of(title, bold), width_of(subtitle, plain)]
    offset = wide[0] + between if title else 0
    line, base = round(20 * z), pad + round(12 * z)
    end = left + spec.width
    if offset + wide[1] + clearance + clock_width <= spec.width:
        pieces = [(left, base, title, bold), (left + offset, base, subtitle, plain)]
        clock_at, last = (end - clock_width, base), base
    elif title and wide[1] + clearance + clock_width <= spec.width:
        last = base + line
        pieces = [(left, base, title, bold), (left, last, subtitle, plain)]
        clock_at = (end - clock_width, last)
    else:
        pieces = [(left, base, title, bold)] if title else []
        pieces.append((left, base + line * len(pieces), subtitle, plain))
        last = base + line * (len(pieces) - (0 if spec.clock else 1))
        clock_at = (left, last)
        end = left + max(*wide, clock_width)
    head = [Label((x, y), text, font, INK if font is bold else SOFT) for x, y, text, font in pieces]
    clock = None
    if spec.clock:
        ascent = ascent_of(plain)
        height = ascent + round(5 * z)
        clock = Box(clock_at[0], clock_at[1] - ascent, clock_width, height)
    return head, clock, last + round(11 * z), max(end, left + max(wide)) + pad


def _draw_x(draw, picture: Box, scale: Scale, ticks: Ticks, fonts, sizes) -> None:
    small, label = fonts
    tick, label_offset = sizes
    draw_frame(draw, picture)
    for place, text in zip(ticks.places, ticks.texts, strict=True):
        x = picture.left + _pixel(scale, place, picture.width)
        draw.line([(x, picture.bottom + 1), (x, picture.bottom + tick)], LINE)
        draw.text((x + 0.5, picture.bottom + label_offset), text, SOFT, small, anchor="ma")
    middle = picture.left + picture.width / 2
    below = picture.bottom + label_offset + 1.35 * ascent_of(small)
    text = shorten(_label_with_factor(scale, ticks), label, picture.width)
    draw.text((middle, below), text, SOFT, label, anchor="ma")


def _draw_y(image, draw, picture: Box, scale: Scale, ticks: Ticks, fonts, sizes) -> None:
    small, label = fonts
    tick, label_offset, pad = sizes
    for place, text in zip(ticks.places, ticks.texts, strict=True):
        y = picture.bottom - 1 - _pixel(scale, place, picture.height)
        draw.line([(picture.left - 1 - tick, y), (picture.left - 2, y)], LINE)
        draw.text((picture.left - label_offset, y), text, SOFT, small, anchor="rm")
    text = shorten(_label_with_factor(scale, ticks), label, image.height - 2 * pad)
    middle = picture.top + picture.height // 2
    if len(text) == 1:
        draw.text((pad + round(0.3 * label.size), middle), text, SOFT, label, anchor="mm")
        return
    paste_rotated(image, text, label, round(0.64 * pad), middle, pad // 2)


def paste_rotated(image: Image.Image, text: str, font, left: int, middle: int, margin: int) -> None:
    """Draw a text, rotated by 90 degrees, centred at the row ``middle``.

    The text starts at least ``margin`` rows below the top of the image.
    """
    size = (width_of(text, font) + 4, round(1.5 * ascent_of(font)))
    rotated = Image.new("L", size, 255)
    ImageDraw.Draw(rotated).text((2, ascent_of(font)), text, SOFT, font, anchor="ls")
    rotated = rotated.rotate(90, expand=True)
    top = min(max(middle - rotated.height // 2, margin), image.height - rotated.height)
    image.paste(rotated, (left, top))


def draw_bar(draw, outer: Box, scale: Scale, ticks: Ticks, font, sizes) -> Bar:
    """Draw the outline, the triangles and the ticks of a colour bar in the box ``outer``."""
    tick, label_offset = sizes
    tip = min(round(0.8 * outer.width), outer.height // 4)
    top, bottom = outer.top + tip * scale.above, outer.bottom - tip * scale.below
    box = Box(outer.left, top, outer.width, bottom - top)
    above = Box(outer.left, outer.top, outer.width, tip) if scale.above else None
    below = Box(outer.left, bottom, outer.width, tip) if scale.below else None
    draw_frame(draw, box)
    middle = outer.left + (outer.width - 1) / 2
    for edge, apex in ((top - 1, outer.top - 1), (bottom, outer.bottom)):
        if edge != apex:
            draw.line([(outer.left - 1, edge), (middle, apex), (outer.right, edge)], LINE)
    for place, text in zip(ticks.places, ticks.texts, strict=True):
        y = box.bottom - 1 - _pixel(scale, place, box.height)
        draw.line([(box.right + 1, y), (box.right + tick, y)], LINE)
        draw.text((box.right + label_offset, y), text, SOFT, font, anchor="lm")
    if ticks.factor:
        draw.text((box.left, outer.top - tick - 2), ticks.factor, SOFT, font, anchor="ls")
    return Bar(box, above, below)


def _triangle(box: Box, upwards: bool) -> np.ndarray:
    """A boolean array over a box: True inside a triangle that points upwards or downwards."""
    rows, columns = np.indices((box.height, box.width)) + 0.5
    rows = rows if upwards else box.height - rows
    return np.abs(columns / box.width - 0.5) <= 0.5 * rows / box.height


def _mark_clipped_ends(draw, picture: Box, scale: Scale, zoom: float) -> None:
    """Draw a small arrow to the right of a curve's picture at each end that values exceed."""
    width, height = round(7 * zoom), round(6 * zoom)
    left = picture.right + round(3 * zoom)
    middle, right = left + width // 2, left + 2 * (width // 2)
    top, bottom = picture.top, picture.bottom - 1
    if scale.above:
        draw.polygon([(middle, top), (left, top + height), (right, top + height)], SOFT)
    if scale.below:
        draw.polygon([(middle, bottom), (left, bottom - height), (right, bottom - height)], SOFT)


def draw_frame(draw: ImageDraw.ImageDraw, box: Box) -> None:
    draw.rectangle([box.left - 1, box.top - 1, box.right, box.bottom], outline=LINE)


def _pixel(scale: Scale, value: float, pixels: int) -> int:
    """The pixel that contains ``value``, counted from the lower end."""
    fraction = (value - scale.lower) / (scale.upper - scale.lower)
    return min(max(int(fraction * pixels), 0), pixels - 1)


def _label_with_factor(scale: Scale, ticks: Ticks) -> str:
    return f"{scale.label} ({ticks.factor})" if ticks.factor else scale.label


def _x_ticks(scale: Scale, pixels: int, font: ImageFont.FreeTypeFont) -> Ticks:
    """At most seven ticks, so few that their texts do not overlap."""
    for most in (6, 5, 4, 3, 2):
        ticks = place_ticks(scale.lower, scale.upper, most)
        step = min(np.diff(ticks.places), default=0.0)
        apart = pixels * step / (scale.upper - scale.lower)
        if widest(ticks.texts, font) + 1.5 * font.size <= apart:
            break
    return ticks
