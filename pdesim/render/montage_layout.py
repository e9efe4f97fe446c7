"""The static part of a montage: header, places and labels of the tiles, axes, colour bar."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from pdesim.render.arrangement import Arrangement, AxisLabels
from pdesim.render.layout import (
    INK,
    SOFT,
    Box,
    Layout,
    LayoutSpec,
    Scale,
    draw_bar,
    most_ticks,
    paste_rotated,
    place_header,
)
from pdesim.render.text import ascent_of, font_of, shorten, widest, width_of
from pdesim.render.ticks import Ticks

_EMPTY, _CROSS = 0xEC, 0xC8  # grey levels of a tile without a picture, and of the cross on it
_ABOVE = 5  # pixels from a tile to the line above it, at zoom 1
_MIN_LABELLED_WIDTH = 40  # pixels; narrower tiles have no caption


@dataclass(frozen=True)
class MontageSpec:
    """The contents of a montage; ``tile`` is the width and height of a tile in pixels."""

    title: str
    subtitle: str
    clock: Sequence[str]
    clock_unit: str
    arrangement: Arrangement
    tile: tuple[int, int]
    bar: Scale | None
    zoom: float
    clock_name: str = "t"


@dataclass(frozen=True)
class MontageLayout:
    """The static part of a montage and the places of the tiles.

    ``tiles`` contains a box per tile; ``base`` contains everything else.
    """

    base: Layout
    tiles: tuple[Box, ...]


@dataclass(frozen=True)
class _Texts:
    """The captions of all tiles, their common font size, and the height of a caption in pixels."""

    lines: tuple[tuple[str, ...], ...]
    size: float
    height: int


def lay_out_montage(spec: MontageSpec) -> MontageLayout:
    """Measure all texts, place all parts, and draw the static ones."""
    z, arranged = spec.zoom, spec.arrangement
    pad, gap, bar_width, label_offset = (round(v * z) for v in (14, 14, 12, 8))
    small = font_of(11 * z)
    across, down = _gaps(spec)
    texts = _tile_texts(spec)
    width = arranged.columns * (spec.tile[0] + across) - across
    height = arranged.rows * (spec.tile[1] + down + texts.height) - down
    left, below = pad, pad
    if arranged.y:
        left += round(20 * z) + widest(arranged.y.texts, small) + label_offset
    if arranged.x:
        below = label_offset + round(32 * z) + pad // 2
    right, ticks = pad, None
    if spec.bar:
        ticks = spec.bar.ticks(most_ticks(height, z))
        beyond = bar_width + label_offset + widest(ticks.texts, small)
        right = gap + max(beyond, width_of(ticks.factor, small)) + pad
    scale = Scale("", 0, 1)
    head = LayoutSpec(
        spec.title,
        spec.subtitle,
        spec.clock,
        spec.clock_unit,
        scale,
        scale,
        None,
        width,
        height,
        z,
        spec.clock_name,
    )
    pieces, clock, top, columns = place_header(head, left, right, pad)
    if ticks and ticks.factor and columns - pad > left + width:
        top += round(14 * z)
    picture = Box(left, top, width, height)
    columns, rows = max(columns, left + width + right), picture.bottom + below
    image = Image.new("L", (columns + columns % 2, rows + rows % 2), 255)
    draw = ImageDraw.Draw(image)
    for piece in pieces:
        draw.text(piece.at, piece.text, piece.ink, piece.font, anchor=piece.anchor)
    tiles = _tiles(spec, picture, (across, down), texts)
    _draw_captions(draw, arranged, tiles, texts, round(_ABOVE * z))
    if arranged.x:
        _draw_columns(draw, arranged.x, tiles[: arranged.columns], picture, z, label_offset)
    if arranged.y:
        first = tiles[:: arranged.columns][::-1]
        _draw_rows(image, draw, arranged.y, first, picture, z, label_offset, pad)
    bar = None
    if spec.bar and ticks:
        inner = tiles[0].top
        outer = Box(picture.right + gap, inner, bar_width, picture.bottom - inner)
        bar = draw_bar(draw, outer, spec.bar, ticks, small, (round(4 * z), label_offset))
    unit = f" {spec.clock_unit}" if spec.clock_unit else ""
    marks = ticks or Ticks((), (), "")
    base = Layout(np.asarray(image), picture, bar, clock, unit, marks, z, spec.clock_name)
    return MontageLayout(base, tiles)


def empty_tile(width: int, height: int, reason: str, zoom: float) -> np.ndarray:
    """Draw a cross and the reason for a missing picture, as ``(height, width)`` grey levels."""
    image = Image.new("L", (width, height), _EMPTY)
    draw = ImageDraw.Draw(image)
    draw.line([(0, 0), (width - 1, height - 1)], _CROSS)
    draw.line([(0, height - 1), (width - 1, 0)], _CROSS)
    font = font_of(11 * zoom)
    room = width_of(reason, font) + 8, round(1.6 * ascent_of(font))
    if room[0] <= width and room[1] <= height:
        middle = (width / 2, height / 2)
        corner = (middle[0] - room[0] / 2, middle[1] - room[1] / 2)
        draw.rectangle([corner, (corner[0] + room[0], corner[1] + room[1])], _EMPTY)
        draw.text(middle, reason, SOFT, font, anchor="mm")
    return np.asarray(image)


def _gaps(spec: MontageSpec) -> tuple[int, int]:
    """The gaps between columns and between rows in pixels.

    They are narrow if columns and rows stand for the values of settings (``is_plane``).
    """
    if spec.arrangement.is_plane:
        gap = max(1, round(min(spec.tile) / 40))
        return gap, gap
    return max(3, round(spec.tile[0] / 16)), max(3, round(spec.tile[0] / 20))


def _tile_texts(spec: MontageSpec) -> _Texts:
    """The first set of captions that fits above the tiles, or the last set, shortened to fit."""
    width, z, arranged = spec.tile[0], spec.zoom, spec.arrangement
    if arranged.is_plane or width < _MIN_LABELLED_WIDTH:
        return _Texts((), 0, 0)
    size = 11 * z
    font = font_of(size)
    for lines in arranged.captions:
        if widest([text for texts in lines for text in texts], font) <= width:
            break
    lines = tuple(tuple(shorten(text, font, width) for text in texts) for texts in lines)
    return _Texts(lines, size, len(lines[0]) * round(1.35 * size) + round(_ABOVE * z))


def _tiles(
    spec: MontageSpec, picture: Box, gaps: tuple[int, int], texts: _Texts
) -> tuple[Box, ...]:
    (across, down), (width, height) = gaps, spec.tile
    return tuple(
        Box(
            picture.left + column * (width + across),
            picture.top + texts.height + row * (height + down + texts.height),
            width,
            height,
        )
        for row in range(spec.arrangement.rows)
        for column in range(spec.arrangement.columns)
    )


def _draw_captions(draw, arranged: Arrangement, tiles, texts: _Texts, above: int) -> None:
    if not texts.lines:
        return
    font, line = font_of(texts.size), round(1.35 * texts.size)
    for number, tile in zip(arranged.cells, tiles, strict=True):
        if number is None:
            continue
        lines = texts.lines[number]
        for place, text in enumerate(lines):
            y = tile.top - above - (len(lines) - 1 - place) * line
            ink = SOFT if place and arranged.titled else INK
            draw.text((tile.left, y), text, ink, font, anchor="ls")


def _draw_columns(
    draw, axis_labels: AxisLabels, tiles: Sequence[Box], picture: Box, z: float, label_offset: int
):
    small, label = font_of(11 * z), font_of(12 * z)
    apart = tiles[1].left - tiles[0].left if len(tiles) > 1 else picture.width
    texts = [shorten(text, small, max(apart, round(110 * z))) for text in axis_labels.texts]
    step = _label_step(len(texts), widest(texts, small) + 0.8 * small.size, apart)
    for tile, text in list(zip(tiles, texts, strict=True))[::step]:
        at = (tile.left + tile.width / 2, picture.bottom + label_offset)
        draw.text(at, text, SOFT, small, anchor="ma")
    below = picture.bottom + label_offset + 1.35 * ascent_of(small)
    middle = picture.left + picture.width / 2
    name = shorten(axis_labels.name, label, picture.width)
    draw.text((middle, below), name, SOFT, label, anchor="ma")


def _draw_rows(
    image, draw, axis_labels: AxisLabels, tiles: Sequence[Box], picture: Box, z, label_offset, pad
) -> None:
    small, label = font_of(11 * z), font_of(12 * z)
    apart = tiles[0].top - tiles[1].top if len(tiles) > 1 else picture.height
    step = _label_step(len(tiles), 1.4 * small.size, apart)
    for tile, text in list(zip(tiles, axis_labels.texts, strict=True))[::step]:
        at = (picture.left - label_offset, tile.top + tile.height / 2)
        draw.text(at, text, SOFT, small, anchor="rm")
    middle = picture.top + picture.height // 2
    name = shorten(axis_labels.name, label, image.height - 2 * pad)
    if len(name) == 1:
        at = (pad + round(0.3 * label.size), middle)
        draw.text(at, name, SOFT, label, anchor="mm")
    else:
        paste_rotated(image, name, label, round(0.64 * pad), middle, pad // 2)


def _label_step(count: int, needed: float, apart: float) -> int:
    """The smallest n for which the labels of every n-th row or column do not overlap.

    If n is at most 3, both the first and the last row or column have a label.
    """
    for step in range(1, count):
        if needed <= step * apart and ((count - 1) % step == 0 or step > 3):
            return step
    return max(count, 1)
