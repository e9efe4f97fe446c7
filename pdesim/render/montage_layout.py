"""The still part of a montage: header, tiles' places and labels, axes, colour bar."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from pdesim.render.arrangement import Arrangement, Edge
from pdesim.render.layout import (
    INK,
    SOFT,
    Box,
    Layout,
    Plan,
    Scale,
    draw_bar,
    paste_turned,
    place_header,
)
from pdesim.render.text import ascent_of, font_of, shorten, widest, width_of
from pdesim.render.ticks import Ticks, place_ticks

_EMPTY, _CROSS = 0xEC, 0xC8  # greys of a tile without a picture
_ABOVE = 5  # pixels from a tile to the line above it, at zoom 1
_LEAST_LABELLED = 40  # pixels of a tile's width, below which it carries no label


@dataclass(frozen=True)
class MontagePlan:
    """What is to be laid out; ``tile`` is the width and height of a tile in pixels."""

    title: str
    subtitle: str
    clock: Sequence[str]
    clock_unit: str
    arrangement: Arrangement
    tile: tuple[int, int]
    bar: Scale | None
    zoom: float


@dataclass(frozen=True)
class MontageLayout:
    """``tiles`` has a place for every cell of the arrangement; ``base`` draws clock and bar."""

    base: Layout
    tiles: tuple[Box, ...]


@dataclass(frozen=True)
class _Texts:
    """Labels above the tiles: at most two lines each, all of one size; ``height`` in pixels."""

    lines: tuple[tuple[str, ...], ...]
    size: float
    height: int


def lay_out_montage(plan: MontagePlan) -> MontageLayout:
    """Measure all texts, place everything, and draw what stands still."""
    z, arranged = plan.zoom, plan.arrangement
    pad, gap, bar_width, beside = (round(v * z) for v in (14, 14, 12, 8))
    small = font_of(11 * z)
    across, down = _gaps(plan)
    texts = _tile_texts(plan)
    width = arranged.columns * (plan.tile[0] + across) - across
    height = arranged.rows * (plan.tile[1] + down + texts.height) - down
    left, below = pad, pad
    if arranged.y:
        left += round(20 * z) + widest(arranged.y.texts, small) + beside
    if arranged.x:
        below = beside + round(32 * z) + pad // 2
    right, ticks = pad, None
    if plan.bar:
        ticks = place_ticks(
            plan.bar.lower, plan.bar.upper, min(max(round(height / (45 * z)), 2), 6)
        )
        beyond = bar_width + beside + widest(ticks.texts, small)
        right = gap + max(beyond, width_of(ticks.factor, small)) + pad
    scale = Scale("", 0, 1)
    head = Plan(
        plan.title, plan.subtitle, plan.clock, plan.clock_unit, scale, scale, None, width, height, z
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
    tiles = _tiles(plan, picture, (across, down), texts)
    _draw_captions(draw, arranged, tiles, texts, round(_ABOVE * z))
    if arranged.x:
        _draw_columns(draw, arranged.x, tiles[: arranged.columns], picture, z, beside)
    if arranged.y:
        first = tiles[:: arranged.columns][::-1]
        _draw_rows(image, draw, arranged.y, first, picture, z, beside, pad)
    bar = None
    if ticks:
        inner = tiles[0].top
        outer = Box(picture.right + gap, inner, bar_width, picture.bottom - inner)
        bar = draw_bar(draw, outer, plan.bar, ticks, small, (round(4 * z), beside))
    unit = f" {plan.clock_unit}" if plan.clock_unit else ""
    base = Layout(np.asarray(image), picture, bar, clock, unit, ticks or Ticks((), (), ""), z)
    return MontageLayout(base, tiles)


def empty_tile(width: int, height: int, word: str, zoom: float) -> np.ndarray:
    """Grey levels, ``(height, width)``, of a place without a picture: a cross, and why."""
    image = Image.new("L", (width, height), _EMPTY)
    draw = ImageDraw.Draw(image)
    draw.line([(0, 0), (width - 1, height - 1)], _CROSS)
    draw.line([(0, height - 1), (width - 1, 0)], _CROSS)
    font = font_of(11 * zoom)
    room = width_of(word, font) + 8, round(1.6 * ascent_of(font))
    if room[0] <= width and room[1] <= height:
        middle = (width / 2, height / 2)
        corner = (middle[0] - room[0] / 2, middle[1] - room[1] / 2)
        draw.rectangle([corner, (corner[0] + room[0], corner[1] + room[1])], _EMPTY)
        draw.text(middle, word, SOFT, font, anchor="mm")
    return np.asarray(image)


def _gaps(plan: MontagePlan) -> tuple[int, int]:
    """Between tiles: narrow in a plane, where neighbours belong together."""
    if plan.arrangement.is_plane:
        gap = max(1, round(min(plan.tile) / 40))
        return gap, gap
    return max(3, round(plan.tile[0] / 16)), max(3, round(plan.tile[0] / 20))


def _tile_texts(plan: MontagePlan) -> _Texts:
    """The best caption that fits above every tile; the last one is shortened if it must be."""
    width, z, arranged = plan.tile[0], plan.zoom, plan.arrangement
    if arranged.is_plane or width < _LEAST_LABELLED:
        return _Texts((), 0, 0)
    size = 11 * z
    font = font_of(size)
    for lines in arranged.captions:
        if widest([text for texts in lines for text in texts], font) <= width:
            break
    lines = tuple(tuple(shorten(text, font, width) for text in texts) for texts in lines)
    return _Texts(lines, size, len(lines[0]) * round(1.35 * size) + round(_ABOVE * z))


def _tiles(
    plan: MontagePlan, picture: Box, gaps: tuple[int, int], texts: _Texts
) -> tuple[Box, ...]:
    (across, down), (width, height) = gaps, plan.tile
    return tuple(
        Box(
            picture.left + column * (width + across),
            picture.top + texts.height + row * (height + down + texts.height),
            width,
            height,
        )
        for row in range(plan.arrangement.rows)
        for column in range(plan.arrangement.columns)
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


def _draw_columns(draw, edge: Edge, tiles: Sequence[Box], picture: Box, z: float, beside: int):
    small, label = font_of(11 * z), font_of(12 * z)
    apart = tiles[1].left - tiles[0].left if len(tiles) > 1 else picture.width
    texts = [shorten(text, small, max(apart, round(110 * z))) for text in edge.texts]
    step = _thin(len(texts), widest(texts, small) + 0.8 * small.size, apart)
    for tile, text in list(zip(tiles, texts, strict=True))[::step]:
        at = (tile.left + tile.width / 2, picture.bottom + beside)
        draw.text(at, text, SOFT, small, anchor="ma")
    below = picture.bottom + beside + 1.35 * ascent_of(small)
    middle = picture.left + picture.width / 2
    draw.text((middle, below), edge.name, SOFT, label, anchor="ma")


def _draw_rows(image, draw, edge: Edge, tiles: Sequence[Box], picture: Box, z, beside, pad) -> None:
    small, label = font_of(11 * z), font_of(12 * z)
    apart = tiles[0].top - tiles[1].top if len(tiles) > 1 else picture.height
    step = _thin(len(tiles), 1.4 * small.size, apart)
    for tile, text in list(zip(tiles, edge.texts, strict=True))[::step]:
        at = (picture.left - beside, tile.top + tile.height / 2)
        draw.text(at, text, SOFT, small, anchor="rm")
    middle = picture.top + picture.height // 2
    if len(edge.name) == 1:
        at = (pad + round(0.3 * label.size), middle)
        draw.text(at, edge.name, SOFT, label, anchor="mm")
    else:
        paste_turned(image, edge.name, label, round(0.64 * pad), middle, pad // 2)


def _thin(count: int, needed: float, apart: float) -> int:
    """Every how many labels can be written; the step divides what lies between first and last."""
    for step in range(1, count):
        if needed <= step * apart and ((count - 1) % step == 0 or step > 3):
            return step
    return max(count, 1)
