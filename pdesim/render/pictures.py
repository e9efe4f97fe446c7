"""From a snapshot file to an animation or a still: what is drawn, and where it is written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from pdesim.errors import OutputError
from pdesim.files import as_path, check_folder
from pdesim.render.colors import Palette, line_palette, map_palette
from pdesim.render.field_reader import Axis, Snapshots, open_snapshots
from pdesim.render.frames import Footage, Stale
from pdesim.render.layout import Layout, Plan, Scale, lay_out
from pdesim.render.limits import Limits
from pdesim.render.look import SIZE, Look
from pdesim.render.movie import replacing, write_gif, write_mp4
from pdesim.render.painters import CurvePainter, MapPainter, curve_painter
from pdesim.render.ticks import clock_texts
from pdesim.settings import Animation

ALL_COLORS = 240  # where the file is no GIF, colours cost nothing
CURVE_HEIGHT = 0.56  # of the picture of a 1-D field, to its width
_LONGEST_SIDE = 8  # the most that one side of a picture is drawn longer than the other


def render(source: Path, animation: Animation, destination: Path | None = None) -> Path:
    """Draw all frames of a run folder or a snapshot file as a GIF, or as an MP4.

    Without a destination, ``animation.gif`` or ``animation.mp4`` beside the snapshots.

    Raises:
        OutputError: the file is missing, unreadable or empty, or the picture cannot be written.
        ConfigError: an unknown field or colour map, or limits the wrong way round.
        MissingExtraError: MP4 without imageio-ffmpeg.
    """
    path = _snapshot_file(as_path(source))
    check_folder((destination or path).parent)
    with open_snapshots(path, animation.field, animation.slice) as snapshots:
        return draw_frames(Footage(snapshots, animation), destination)


def draw_frames(footage: Footage, destination: Path | None = None) -> Path:
    """:func:`render` for frames of which some may be still to come.

    During a run its frames are drawn with the limits and colours that the frames so far suggest.
    Whenever these turn out to be wrong, drawing begins anew, once they have held for as many
    frames as were drawn in vain: they stay fewer than twice the run's, and the file is always
    what it would be had all frames been there.
    """
    animation, path = footage.animation, footage.snapshots.path
    video = animation.name == "mp4"
    target = destination or path.with_name("animation.mp4" if video else "animation.gif")
    write = write_mp4 if video else write_gif
    vain = 0
    while True:
        footage.settle(vain)
        scene = _build(footage, animation.size or SIZE, ALL_COLORS if video else None)
        try:
            with replacing(target) as temporary:
                frames = (scene.draw(*one) for one in footage.frames(scene.look, scene.times))
                write(temporary, frames, scene.palette.rgb, animation.fps)
            return target
        except Stale as stale:
            vain += stale.frames


def poster(source: Path, animation: Animation, destination: Path) -> Path:
    """Draw the last frame as a PNG of at least 1024 pixels; arguments and errors as ``render``."""
    path = _snapshot_file(as_path(source))
    size = max(1024, animation.size or SIZE)
    with open_snapshots(path, animation.field, animation.slice) as snapshots:
        footage = Footage(snapshots, animation)
        footage.settle(0)
        last = len(snapshots.times) - 1
        scene = _build(footage, size, ALL_COLORS)
        frame = scene.draw(last, footage.values(last))
    with replacing(destination) as temporary:
        image = Image.fromarray(frame)
        image.putpalette(scene.palette.rgb.tobytes())
        image.save(temporary, "PNG", optimize=True)
    return destination


@dataclass(frozen=True)
class _Scene:
    """All that stays the same from frame to frame. ``canvas`` is ``(rows, columns)`` indices.

    ``look`` and ``times`` are those of the footage it was built for.
    """

    layout: Layout
    palette: Palette
    painter: MapPainter | CurvePainter
    canvas: np.ndarray
    clock: list[str]
    look: Look
    times: np.ndarray

    def draw(self, frame: int, values: np.ndarray) -> np.ndarray:
        """Frame ``frame`` as palette indices, the shape of ``canvas``."""
        indices = self.canvas.copy()
        indices[self.layout.picture.slices] = self.painter.paint(values)
        if self.layout.clock:
            label = self.layout.draw_clock(self.clock[frame])
            indices[self.layout.clock.slices] = self.palette.grey(label)
        return indices


def _build(footage: Footage, size: int, colors: int | None) -> _Scene:
    """All that stays the same.

    Args:
        size: of the picture, in pixels of the longer side.
        colors: of the picture; None: colours and the reduction of its size follow the frames.
    """
    snapshots, animation = footage.snapshots, footage.animation
    look, times = footage.look, footage.times
    map_colors = map_palette(animation.colormap, colors or look.colors)
    # a steady state has no time to tell
    clock = clock_texts(times) if len(times) > 1 or times[0] != 0 else []
    zoom = max(0.8, size / 512)
    if len(snapshots.axes) == 1:
        return _curve_scene(footage, look, clock, size, zoom)
    pixels = round(size * look.scale) if colors is None else size
    width, height = shape_of([axis.upper - axis.lower for axis in snapshots.axes], pixels)
    layout = _lay_out(snapshots, clock, width, height, zoom, look.limits)
    painter = MapPainter(map_colors, look.limits.ends, width, height)
    canvas = map_colors.grey(layout.canvas)
    layout.bar.paint(canvas, map_colors)
    return _Scene(layout, map_colors, painter, canvas, clock, look, times)


def _curve_scene(footage: Footage, look: Look, clock: list[str], size: int, zoom: float) -> _Scene:
    snapshots, limits = footage.snapshots, look.limits
    if footage.animation.limits is None:
        limits = with_margin(limits)
    palette = line_palette()
    width, height = size, round(size * CURVE_HEIGHT)
    layout = _lay_out(snapshots, clock, width, height, zoom, limits)
    rules, first = layout.y_ticks.places, first_curve(footage.values(0), footage.animation, limits)
    painter = curve_painter(palette, limits.ends, width, height, zoom, first, rules)
    canvas = palette.grey(layout.canvas)
    return _Scene(layout, palette, painter, canvas, clock, look, footage.times)


def first_curve(values: np.ndarray, animation: Animation, limits: Limits) -> np.ndarray:
    """The first state as it is drawn behind a curve: not at all (NaN) if it is cut-off noise."""
    with np.errstate(invalid="ignore"):
        cut = np.any((values < limits.low) | (values > limits.high))
    return np.full_like(values, np.nan) if cut and animation.limits is None else values


def with_margin(limits: Limits) -> Limits:
    """Room above and below curves."""
    margin = 0.06 * (limits.high - limits.low)
    return replace(limits, low=limits.low - margin, high=limits.high + margin)


def _lay_out(
    snapshots: Snapshots,
    clock: list[str],
    width: int,
    height: int,
    zoom: float,
    limits: Limits,
) -> Layout:
    what = snapshots.long_name
    if what != snapshots.field:
        what = f"{what} {snapshots.field}"
    value = scale_of(with_unit(snapshots.field, snapshots.unit), limits)
    x = _scale(snapshots.axes[-1])
    flat = len(snapshots.axes) == 1
    subtitle = what if flat else with_unit(what, snapshots.unit)
    if snapshots.depth:
        subtitle += f", z = {clock_texts(snapshots.depth.centres)[snapshots.plane]}"
    return lay_out(
        Plan(
            title=title_of(snapshots.equation),
            subtitle=subtitle,
            clock=clock,
            clock_unit=snapshots.time_unit,
            x=x,
            y=value if flat else _scale(snapshots.axes[0]),
            bar=None if flat else value,
            width=width,
            height=height,
            zoom=zoom,
        )
    )


def shape_of(lengths: Sequence[float], size: int) -> tuple[int, int]:
    """Width and height in pixels: true to the domain, short of slivers nobody can read.

    Args:
        lengths: of the domain along y and x.
        size: of the longer side.
    """
    y, x = lengths
    ratio = x / y
    ratio = min(max(ratio, 1 / _LONGEST_SIDE), _LONGEST_SIDE)
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
    """``gray_scott`` -> ``Gray Scott``; a name with capitals is left as its author wrote it."""
    words = equation.replace("_", " ").strip()
    return words.title() if words == words.lower() else words


def _snapshot_file(source: Path) -> Path:
    if source.is_dir():
        source = source / "snapshots.h5"
    if not source.is_file():
        raise OutputError(f"there is no file {source}", "a run folder or a snapshots.h5 file")
    return source
