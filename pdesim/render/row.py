"""Pictures of several parts side by side, with one title and one time label."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from pdesim.render.colors import Palette, joint_palettes
from pdesim.render.field_reader import FrameReader
from pdesim.render.frames import FrameStream
from pdesim.render.layout import Layout, LayoutSpec, Scale, place_header
from pdesim.render.look import Look
from pdesim.render.scene import (
    ChangingScene,
    Part,
    Scene,
    build_scene,
    labels_of,
    quantity_of,
    title_for,
    with_unit,
)
from pdesim.render.streams import FrameGroup
from pdesim.render.surface import SurfaceScene, build_surface
from pdesim.render.ticks import Ticks
from pdesim.render.volume import View, VolumeReader

#: the size of a part relative to that of a picture with one part
PART_SIZE = 5 / 8
#: largest number of parts in a row
MOST_IN_ROW = 3


@dataclass(frozen=True)
class RowScene:
    """Scenes side by side, in one row or several, below a header.

    Attributes:
        parts: the scenes.
        corners: the top row and the left column of each part.
        views: the views of a 3-D field; empty for several fields.
        header: the title and the place of the time label.
        clock: the time label of each frame.
        look, times: see :class:`pdesim.render.scene.Scene`.
    """

    parts: tuple[Scene | ChangingScene | SurfaceScene, ...]
    corners: tuple[tuple[int, int], ...]
    views: tuple[View, ...]
    header: Layout
    clock: Sequence[str]
    look: Look | tuple[Look, ...]
    times: np.ndarray

    @property
    def palette(self) -> Palette:
        return self.parts[0].palette

    def draw(self, frame: int, values: np.ndarray | Sequence[np.ndarray]) -> np.ndarray:
        """Draw a frame as palette indices.

        Args:
            frame: the number of the frame.
            values: an array for each part, or an array of all views.
        """
        indices = self.palette.grey(self.header.canvas)
        if isinstance(values, np.ndarray):
            values = [values[view.place] for view in self.views]
        for part, (top, left), one in zip(self.parts, self.corners, values, strict=True):
            drawn = part.draw(frame, one)
            indices[top : top + drawn.shape[0], left : left + drawn.shape[1]] = drawn
        if self.header.clock:
            label = self.header.draw_clock(self.clock[frame])
            indices[self.header.clock.slices] = self.palette.grey(label)
        return indices


def build_picture(
    stream: FrameStream | FrameGroup, size: int, colors: int | None
) -> Scene | ChangingScene | RowScene:
    """Build the scene of a picture with one or several parts; see :func:`.scene.build_scene`."""
    small = round(size * PART_SIZE)
    if isinstance(stream, FrameGroup):
        colors = colors or max(look.colors for look in stream.look)
        zoom = max(0.8, small / 512)
        maps = [one.animation.colormap for one in stream.streams]
        shared: dict[str, Palette] = {}
        if len(set(maps)) > 1 and len(stream.reader.axes) > 1:
            shared = joint_palettes(maps, colors, stream.animation.theme)
        parts = [
            build_scene(one, small, colors, Part(zoom, palette=shared.get(one.animation.colormap)))
            for one in stream.streams
        ]
        return _arrange(stream, parts, (), zoom)
    if stream.animation.layout == "surface":
        zoom = max(0.8, size / 512)
        scene = build_surface(stream, size, zoom)
        _, y, x = stream.reader.axes
        whole = View(0, (y, x), "", (slice(None), slice(None)))
        return _arrange(stream, [scene], (whole,), zoom, scene.text(stream.reader))
    if isinstance(stream.reader, VolumeReader):
        return _volume(stream, stream.reader.views, small, colors or stream.look.colors)
    return build_scene(stream, size, colors)


def _volume(stream: FrameStream, views: tuple[View, ...], size: int, colors: int) -> RowScene:
    """The scene of the views of a 3-D field, in which equal lengths have equal sizes."""
    zoom = max(0.8, size / 512)
    longest = max(axis.upper - axis.lower for view in views for axis in view.axes)
    parts = []
    for view in views:
        length = max(axis.upper - axis.lower for axis in view.axes)
        part = Part(zoom, view.note, view.axes, bar=view is views[-1])
        parts.append(build_scene(stream, max(32, round(size * length / longest)), colors, part))
    quantity = with_unit(quantity_of(stream.reader), stream.reader.unit)
    return _arrange(stream, parts, views, zoom, quantity)


def _arrange(
    stream: FrameStream | FrameGroup,
    parts: Sequence[Scene | ChangingScene | SurfaceScene],
    views: tuple[View, ...],
    zoom: float,
    subtitle: str = "",
) -> RowScene:
    """Place the parts in rows below a header; the parts of a row end at the same height."""
    shapes = [part.shape for part in parts]
    columns = len(parts) if len(parts) <= MOST_IN_ROW else -(-len(parts) // 2)
    columns = min(columns, MOST_IN_ROW)
    labels, pad = labels_of(stream), round(14 * zoom)
    width = max(
        sum(shape[1] for shape in shapes[start : start + columns])
        for start in range(0, len(parts), columns)
    )
    spec = _header_spec(stream.reader, stream, labels, width - 2 * pad, zoom, subtitle)
    pieces, clock, top, needed = place_header(spec, pad, pad, pad)
    corners = []
    for start in range(0, len(parts), columns):
        row, left = shapes[start : start + columns], 0
        bottom = top + max(shape[0] for shape in row)
        for shape in row:
            corners.append((bottom - shape[0], left))
            left += shape[1]
        top = bottom
    width = max(width, needed)
    image = Image.new("L", (width + width % 2, top + top % 2), 255)
    draw = ImageDraw.Draw(image)
    for piece in pieces:
        draw.text(piece.at, piece.text, piece.ink, piece.font, anchor=piece.anchor)
    unit = f" {spec.clock_unit}" if spec.clock_unit else ""
    box = parts[0].picture
    header = Layout(
        np.asarray(image), box, None, clock, unit, Ticks((), (), ""), zoom, spec.clock_name
    )
    return RowScene(
        tuple(parts), tuple(corners), views, header, labels[1], stream.look, stream.times
    )


def _header_spec(
    reader: FrameReader,
    stream: FrameStream | FrameGroup,
    labels: tuple[str, Sequence[str]],
    width: int,
    zoom: float,
    subtitle: str,
) -> LayoutSpec:
    empty = Scale("", 0, 1)
    return LayoutSpec(
        title=title_for(stream.animation, reader.equation),
        subtitle=subtitle,
        clock=labels[1],
        clock_unit=reader.time_unit if labels[0] == "t" else "",
        x=empty,
        y=empty,
        bar=None,
        width=width,
        height=width,
        zoom=zoom,
        clock_name=labels[0],
    )
