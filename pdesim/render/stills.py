"""Stills of a whole run: contact sheets, and space-time diagrams of 1-D fields."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pdesim.errors import ConfigError
from pdesim.render.arrangement import Arrangement, best_columns
from pdesim.render.colors import Palette, line_palette, map_palette
from pdesim.render.frames import FrameStream
from pdesim.render.layout import LayoutSpec, Scale, lay_out
from pdesim.render.limits import find_limits, given_limits, range_text
from pdesim.render.montage_layout import MontageSpec, lay_out_montage
from pdesim.render.overlays import Overlay
from pdesim.render.painters import CurvePainter, MapPainter, curve_painter
from pdesim.render.scene import (
    ALL_COLORS,
    CURVE_HEIGHT,
    axis_scale,
    quantity_of,
    scale_of,
    shape_of,
    time_labels,
    title_for,
    with_margin,
    with_unit,
)

#: largest number of frames on a contact sheet
MOST_TILES = 12
#: pixels of all tiles of a contact sheet along the longer side, relative to ``size``
SHEET_SIZE = 1.5
#: height to width of a space-time diagram
DIAGRAM_HEIGHT = 0.75


def contact_sheet(stream: FrameStream, size: int) -> tuple[np.ndarray, Palette]:
    """Draw up to 12 frames of a run at equal distances, with common limits.

    Args:
        stream: the frames, all of which have been scanned.
        size: the pixels of the longer side, approximately.

    Returns:
        Palette indices, ``(rows, columns)``, and the palette.
    """
    reader, animation, limits = stream.reader, stream.animation, stream.look.limits
    log, last = animation.scale == "log", len(stream.times) - 1
    frames = np.unique(np.linspace(0, last, MOST_TILES).round().astype(int)).tolist()
    is_curve = len(reader.axes) == 1
    width, height = 1000, round(1000 * CURVE_HEIGHT)
    if not is_curve:
        width, height = shape_of([axis.upper - axis.lower for axis in reader.axes], 1000)
    columns = min(best_columns(len(frames), width / height), len(frames))
    rows = -(-len(frames) // columns)
    factor = SHEET_SIZE * size / max(columns * width, rows * height)
    tile = max(16, round(factor * width)), max(16, round(factor * height))
    if is_curve and not given_limits(animation):
        limits = with_margin(limits)
    unit = f" {reader.time_unit}" if reader.time_unit else ""
    texts = time_labels(animation, stream.times[frames])
    if not animation.time_format:
        texts = [f"t = {text}{unit}" for text in texts]
    cells = (*range(len(frames)), *[None] * (columns * rows - len(frames)))
    arrangement = Arrangement(columns, rows, cells, captions=(tuple((text,) for text in texts),))
    value = scale_of(with_unit(reader.field, reader.unit), limits, log)
    zoom = min(max(size / 700, 0.8), 2.0)
    title, subtitle = title_for(animation, reader.equation), quantity_of(reader)
    bar = None if is_curve else value
    subtitle += f" {range_text(limits, log)}" if is_curve else ""
    layout = lay_out_montage(MontageSpec(title, subtitle, [], "", arrangement, tile, bar, zoom))
    palette = map_palette(animation.colormap, ALL_COLORS, animation.theme)
    painter: MapPainter | CurvePainter
    painter = MapPainter(palette, limits.ends, *tile, animation.enlarge == "nearest")
    if is_curve:
        palette = line_palette(theme=animation.theme)
        nothing = np.full(len(reader.axes[0].centres), np.nan)
        painter = curve_painter(palette, limits.ends, *tile, zoom, nothing, ())
    canvas = palette.grey(layout.base.canvas)
    if layout.base.bar:
        layout.base.bar.paint(canvas, palette)
    overlay = Overlay(palette, limits.ends, zoom, animation.contours, stream.arrows)
    for frame, box in zip(frames, layout.tiles, strict=False):
        values = stream.values(frame)
        tile_picture = painter.paint(values)
        canvas[box.slices] = tile_picture if is_curve else overlay.draw(tile_picture, values, frame)
    return canvas, palette


def space_time(stream: FrameStream, size: int) -> tuple[np.ndarray, Palette]:
    """Draw a 1-D field over space, to the right, and time, upwards.

    Values between two frames are interpolated linearly, or those of the nearest frame if
    ``animation.enlarge`` is ``nearest``.

    Args:
        stream: the frames, all of which have been scanned.
        size: the width in pixels.

    Returns:
        Palette indices, ``(rows, columns)``, and the palette.

    Raises:
        ConfigError: if all frames have the same time.
    """
    reader, animation, times = stream.reader, stream.animation, stream.times
    if not times[0] < times[-1]:
        raise ConfigError(
            "animation.layout=space_time: all frames have the same time", "two times at least"
        )
    limits = find_limits([(stream.statistics, len(times))], animation)
    width, height = size, round(size * DIAGRAM_HEIGHT)
    upwards = Scale(with_unit("t", reader.time_unit), float(times[0]), float(times[-1]))
    layout = lay_out(
        LayoutSpec(
            title=title_for(animation, reader.equation),
            subtitle=with_unit(quantity_of(reader), reader.unit),
            clock=[],
            clock_unit="",
            x=axis_scale(reader.axes[0]),
            y=upwards,
            bar=scale_of(with_unit(reader.field, reader.unit), limits, animation.scale == "log"),
            width=width,
            height=height,
            zoom=max(0.8, size / 512),
        )
    )
    palette = map_palette(animation.colormap, ALL_COLORS, animation.theme)
    sharp = animation.enlarge == "nearest"
    rows = np.array(list(_rows(stream, height, sharp)))
    canvas = palette.grey(layout.canvas)
    if layout.bar:
        layout.bar.paint(canvas, palette)
    painter = MapPainter(palette, limits.ends, width, height, sharp)
    overlay = Overlay(palette, limits.ends, max(0.8, size / 512), animation.contours)
    canvas[layout.picture.slices] = overlay.draw(painter.paint(rows), rows, 0)
    return canvas, palette


def _rows(stream: FrameStream, count: int, sharp: bool) -> Iterator[np.ndarray]:
    """Yield the values at ``count`` equally spaced times, the first time first."""
    times = np.asarray(stream.times)
    wanted = times[0] + (np.arange(count) + 0.5) / count * (times[-1] - times[0])
    for place in np.interp(wanted, times, np.arange(len(times))):
        before = min(int(place), len(times) - 2)
        part = place - before
        if sharp:
            part = round(part)
        one, other = stream.values(before), stream.values(before + 1)
        # a frame with the weight 0 has no influence, even if it is not finite
        yield one if part == 0 else other if part == 1 else (1 - part) * one + part * other
