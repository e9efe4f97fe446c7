"""The still part of a frame: titles, axes, ticks, the outline of the colour bar.

Everything stands on whole pixels and is drawn once, as grey levels; the moving part is pasted
into ``Layout.picture`` and ``Layout.clock``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from pdesim.render.colors import DARKEST, Palette
from pdesim.render.text import ascent_of, font_of, shorten, widest, width_of
from pdesim.render.ticks import Ticks, place_ticks

INK, SOFT, LINE = DARKEST, 0x5C, 0x8C  # titles, labels, lines
_CLOCK = "t = "


@dataclass(frozen=True)
class Box:
    """A rectangle of whole pixels; ``right`` and ``bottom`` are the first pixels outside."""

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
        """Rows and columns, to index an image array."""
        return slice(self.top, self.bottom), slice(self.left, self.right)


@dataclass(frozen=True)
class Bar:
    """A colour bar, with triangles at the ends beyond which there are values."""

    box: Box
    above: Box | None = None
    below: Box | None = None

    @property
    def top(self) -> int:
        return (self.above or self.box).top

    def paint(self, canvas: np.ndarray, palette: Palette) -> None:
        """Colour it in ``canvas``, ``(rows, columns)`` palette indices."""
        rows = (np.arange(self.box.height)[::-1, None] + 0.5) / self.box.height
        canvas[self.box.slices] = palette.color(rows.astype(np.float32))
        for tip, index in ((self.above, palette.colors - 1), (self.below, 0)):
            if tip is not None:
                inside = _triangle(tip, upwards=tip is self.above)
                canvas[tip.slices] = np.where(inside, np.uint8(index), canvas[tip.slices])


@dataclass(frozen=True)
class Scale:
    """What an axis or a colour bar says: its label and the values at its ends.

    ``below`` and ``above`` say that there are values beyond these, which is marked.
    """

    label: str
    lower: float
    upper: float
    below: bool = False
    above: bool = False


@dataclass(frozen=True)
class Plan:
    """What is to be laid out. ``clock`` holds every time text; empty for no time label."""

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


@dataclass(frozen=True)
class Layout:
    """``canvas`` is ``(rows, columns)`` grey levels, uint8, with even sides for video."""

    canvas: np.ndarray
    picture: Box
    bar: Bar | None
    clock: Box | None
    clock_unit: str
    y_ticks: Ticks
    zoom: float

    def draw_clock(self, text: str) -> np.ndarray:
        """Grey levels of the time label, the shape of ``clock``; digits never move about."""
        box, font = self.clock, font_of(13 * self.zoom)
        image = Image.new("L", (box.width, box.height), 255)
        draw = ImageDraw.Draw(image)
        base = ascent_of(font)
        draw.text((0, base), _CLOCK, INK, font, anchor="ls")
        draw.text((box.width, base), text + self.clock_unit, INK, font, anchor="rs")
        return np.asarray(image)


@dataclass(frozen=True)
class Piece:
    """A text on its baseline; ``anchor`` as in Pillow."""

    at: tuple[float, float]
    text: str
    font: ImageFont.FreeTypeFont
    ink: int = SOFT
    anchor: str = "ls"


def lay_out(plan: Plan) -> Layout:
    """Measure all texts, place everything, and draw what stands still."""
    z = plan.zoom
    small, label = font_of(11 * z), font_of(12 * z)
    pad, tick, gap, bar_width = (round(v * z) for v in (14, 4, 14, 12))
    most = min(max(round(plan.height / (45 * z)), 2), 6)
    x_ticks = _ticks_across(plan.x, plan.width, small)
    y_ticks = place_ticks(plan.y.lower, plan.y.upper, most)
    bar_ticks = plan.bar and place_ticks(plan.bar.lower, plan.bar.upper, most)
    beside = tick + round(4 * z)  # from the frame to a tick label
    left = pad + round(20 * z) + widest(y_ticks.texts, small) + beside
    right = pad + widest(x_ticks.texts, small) // 2
    if bar_ticks:
        texts = widest(bar_ticks.texts, small)
        right = gap + max(bar_width + beside + texts, width_of(bar_ticks.factor, small)) + pad
    below = beside + round(32 * z) + pad // 2
    head, clock, top, columns = place_header(plan, left, right, pad)
    if bar_ticks and bar_ticks.factor and columns - pad > left + plan.width:
        top += round(14 * z)  # the factor stands above the bar, and the header reaches there
    picture = Box(left, top, plan.width, plan.height)
    columns = max(columns, left + plan.width + right)
    rows = picture.bottom + below
    image = Image.new("L", (columns + columns % 2, rows + rows % 2), 255)
    draw = ImageDraw.Draw(image)
    for piece in head:
        draw.text(piece.at, piece.text, piece.ink, piece.font, anchor=piece.anchor)
    _draw_x(draw, picture, plan.x, x_ticks, (small, label), (tick, beside))
    _draw_y(image, draw, picture, plan.y, y_ticks, (small, label), (tick, beside, pad))
    _mark_ends(draw, picture, plan.y, z)
    bar = None
    if bar_ticks:
        outer = Box(picture.right + gap, picture.top, bar_width, picture.height)
        bar = draw_bar(draw, outer, plan.bar, bar_ticks, small, (tick, beside))
    unit = f" {plan.clock_unit}" if plan.clock_unit else ""
    return Layout(np.asarray(image), picture, bar, clock, unit, y_ticks, z)


def place_header(plan: Plan, left: int, right: int, pad: int) -> tuple[list[Piece], Box, int, int]:
    """Title, subtitle and clock on one line, else on two, else below each other.

    Returns the texts, the place of the clock, where the picture starts, and the columns needed.
    """
    z = plan.zoom
    bold, plain = font_of(15 * z, bold=True), font_of(13 * z)
    unit = f" {plan.clock_unit}" if plan.clock_unit else ""
    clock_width = width_of(_CLOCK, plain) + widest([t + unit for t in plan.clock], plain)
    clock_width = clock_width if plan.clock else 0
    room = max(plan.width + right - pad, round(190 * z))
    title, subtitle = shorten(plan.title, bold, room), shorten(plan.subtitle, plain, room)
    between, air = round(10 * z), round(24 * z)
    wide = [width_of(title, bold), width_of(subtitle, plain)]
    offset = wide[0] + between if title else 0
    line, base = round(20 * z), pad + round(12 * z)
    end = left + plan.width
    if offset + wide[1] + air + clock_width <= plan.width:
        pieces = [(left, base, title, bold), (left + offset, base, subtitle, plain)]
        clock_at, last = (end - clock_width, base), base
    elif title and wide[1] + air + clock_width <= plan.width:
        last = base + line
        pieces = [(left, base, title, bold), (left, last, subtitle, plain)]
        clock_at = (end - clock_width, last)
    else:
        pieces = [(left, base, title, bold)] if title else []
        pieces.append((left, base + line * len(pieces), subtitle, plain))
        last = base + line * (len(pieces) - (0 if plan.clock else 1))
        clock_at = (left, last)
        end = left + max(*wide, clock_width)
    head = [Piece((x, y), text, font, INK if font is bold else SOFT) for x, y, text, font in pieces]
    clock = None
    if plan.clock:
        ascent = ascent_of(plain)
        height = ascent + round(5 * z)
        clock = Box(clock_at[0], clock_at[1] - ascent, clock_width, height)
    return head, clock, last + round(11 * z), max(end, left + max(wide)) + pad


def _draw_x(draw, picture: Box, scale: Scale, ticks: Ticks, fonts, sizes) -> None:
    small, label = fonts
    tick, beside = sizes
    draw_frame(draw, picture)
    for place, text in zip(ticks.places, ticks.texts, strict=True):
        x = picture.left + _pixel(scale, place, picture.width)
        draw.line([(x, picture.bottom + 1), (x, picture.bottom + tick)], LINE)
        draw.text((x + 0.5, picture.bottom + beside), text, SOFT, small, anchor="ma")
    middle = picture.left + picture.width / 2
    below = picture.bottom + beside + 1.35 * ascent_of(small)
    draw.text((middle, below), _labelled(scale, ticks), SOFT, label, anchor="ma")


def _draw_y(image, draw, picture: Box, scale: Scale, ticks: Ticks, fonts, sizes) -> None:
    small, label = fonts
    tick, beside, pad = sizes
    for place, text in zip(ticks.places, ticks.texts, strict=True):
        y = picture.bottom - 1 - _pixel(scale, place, picture.height)
        draw.line([(picture.left - 1 - tick, y), (picture.left - 2, y)], LINE)
        draw.text((picture.left - beside, y), text, SOFT, small, anchor="rm")
    text = shorten(_labelled(scale, ticks), label, image.height - 2 * pad)
    middle = picture.top + picture.height // 2
    if len(text) == 1:
        draw.text((pad + round(0.3 * label.size), middle), text, SOFT, label, anchor="mm")
        return
    paste_turned(image, text, label, round(0.64 * pad), middle, pad // 2)


def paste_turned(image: Image.Image, text: str, font, left: int, middle: int, margin: int) -> None:
    """Write a text upwards around the row ``middle``, no nearer to the top than ``margin``."""
    size = (width_of(text, font) + 4, round(1.5 * ascent_of(font)))
    turned = Image.new("L", size, 255)
    ImageDraw.Draw(turned).text((2, ascent_of(font)), text, SOFT, font, anchor="ls")
    turned = turned.rotate(90, expand=True)
    top = min(max(middle - turned.height // 2, margin), image.height - turned.height)
    image.paste(turned, (left, top))


def draw_bar(draw, outer: Box, scale: Scale, ticks: Ticks, font, sizes) -> Bar:
    """Outline and ticks of a colour bar that takes the place ``outer``."""
    tick, beside = sizes
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
        draw.text((box.right + beside, y), text, SOFT, font, anchor="lm")
    if ticks.factor:
        draw.text((box.left, outer.top - tick - 2), ticks.factor, SOFT, font, anchor="ls")
    return Bar(box, above, below)


def _triangle(box: Box, upwards: bool) -> np.ndarray:
    """Which pixels of a box lie in a triangle that points upwards or downwards."""
    rows, columns = np.indices((box.height, box.width)) + 0.5
    rows = rows if upwards else box.height - rows
    return np.abs(columns / box.width - 0.5) <= 0.5 * rows / box.height


def _mark_ends(draw, picture: Box, scale: Scale, zoom: float) -> None:
    """Small arrows right of a curve's picture, at the ends that values lie beyond."""
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
    """The pixel that holds ``value``, counted from the lower end."""
    fraction = (value - scale.lower) / (scale.upper - scale.lower)
    return min(max(int(fraction * pixels), 0), pixels - 1)


def _labelled(scale: Scale, ticks: Ticks) -> str:
    return f"{scale.label} ({ticks.factor})" if ticks.factor else scale.label


def _ticks_across(scale: Scale, pixels: int, font: ImageFont.FreeTypeFont) -> Ticks:
    """As many ticks, up to seven, as have room for their texts side by side."""
    for most in (6, 5, 4, 3, 2):
        ticks = place_ticks(scale.lower, scale.upper, most)
        step = min(np.diff(ticks.places), default=0.0)
        apart = pixels * step / (scale.upper - scale.lower)
        if widest(ticks.texts, font) + 1.5 * font.size <= apart:
            break
    return ticks
