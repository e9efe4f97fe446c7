"""Montages: all runs of a sweep side by side, as a still and an animation, with equal colours."""

from __future__ import annotations

import itertools
import math
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pdesim.errors import ConfigError, OutputError
from pdesim.files import as_path, check_folder
from pdesim.output.sweeps import Member, find_members
from pdesim.render.arrangement import Arrangement, arrange
from pdesim.render.colors import Palette, line_palette, map_palette
from pdesim.render.field_reader import FieldReader, open_picture
from pdesim.render.limits import Limits, given_limits, range_text
from pdesim.render.look import Look, RunLook, find_look
from pdesim.render.montage_layout import MontageLayout, MontageSpec, empty_tile, lay_out_montage
from pdesim.render.movie import frame_rate, replacing, write_gif, write_mp4, write_png
from pdesim.render.own_fields import own_animation
from pdesim.render.painters import CurvePainter, MapPainter, curve_painter
from pdesim.render.pictures import check_settings
from pdesim.render.scene import (
    ALL_COLORS,
    CURVE_HEIGHT,
    first_curve,
    scale_of,
    shape_of,
    time_labels,
    title_for,
    with_margin,
    with_unit,
)
from pdesim.settings import Animation, Montage

_STILL_PIXELS, _MOVIE_PIXELS = 1400, 960  # pixels of all tiles together along the longer side
#: the file with the last frames of all members
STILL = "montage.png"
_TILE_RANGE = (24, 400)  # pixels of a tile's longer side, unless montage.tile is set
_MAX_FRAMES = 300  # of an animation; if runs have more frames, some are skipped


@dataclass(frozen=True)
class _FileSummary:
    """The contents of a member's file; ``lengths`` are the lengths of the axes that are drawn."""

    path: Path
    times: np.ndarray
    lengths: tuple[float, ...]
    equation: str
    quantity: str
    value: str
    time_unit: str


@dataclass(frozen=True)
class _Sweep:
    """The members of a sweep and their places in the montage.

    ``summaries`` maps the indices of the members that can be drawn to descriptions of their files.
    ``animations`` maps them to the settings of their pictures. ``ratio`` is the width of a tile
    divided by its height.
    """

    members: tuple[Member, ...]
    summaries: dict[int, _FileSummary]
    animations: dict[int, Animation]
    arrangement: Arrangement
    ratio: float

    @property
    def is_curve(self) -> bool:
        return len(self._any.lengths) == 1

    @property
    def _any(self) -> _FileSummary:
        return next(iter(self.summaries.values()))


def montage(
    folder: str | Path, animation: Animation, options: Montage, own_fields: bool = True
) -> tuple[Path, ...]:
    """Draw all runs of a sweep side by side, as a still and an animation in the sweep's folder.

    The still, ``montage.png``, shows the last frames. The animation is ``montage.gif`` or ``.mp4``.
    All tiles have the same limits: ``animation.limits`` if given, otherwise the limits of all
    frames in the picture (:mod:`pdesim.render.limits`). Runs without frames and runs that failed
    are marked. In the animation, all tiles show the same time; a run that ended earlier shows its
    last frame.

    Args:
        folder: the folder of the sweep.
        animation: the field, the colours and the frame rate. With ``none`` or
            ``png``, only the still is drawn.
        options: the settings of the montage.
        own_fields: see :func:`pdesim.render.own_fields.own_animation`.

    Returns:
        The files that were written, the still first.

    Raises:
        OutputError: if no member can be drawn, or if a picture cannot be written.
        ConfigError: if the settings do not apply to the sweep, or if the domains of the members
            have different aspect ratios.
        MissingExtraError: for MP4, if imageio-ffmpeg is not installed.
    """
    check_settings(animation, Animation)
    check_settings(options, Montage)
    folder = as_path(folder)
    check_folder(folder)
    sweep = _open_sweep(folder, animation, options, own_fields)
    still, target = folder / STILL, folder / f"montage.{animation.name}"
    frames = {n: np.array([len(summary.times) - 1]) for n, summary in sweep.summaries.items()}
    last = {float(summary.times[-1]) for summary in sweep.summaries.values()}
    known = np.array(sorted(last)) if len(last) == 1 and last != {0.0} else np.empty(0)
    clock = time_labels(animation, known)
    scene = _build(sweep, animation, options, frames, clock, (_STILL_PIXELS, ALL_COLORS))
    canvas = np.empty((1, *scene.layout.base.canvas.shape), np.uint8)
    scene.draw(canvas)
    with replacing(still) as temporary:
        write_png(temporary, canvas[0], scene.palette.rgb)
    if animation.name in ("none", "png"):
        return (still,)
    video = animation.name == "mp4"
    times, frames = _frame_schedule(sweep, animation.every)
    colors = ALL_COLORS if video else None
    scene = _build(
        sweep, animation, options, frames, time_labels(animation, times), (_MOVIE_PIXELS, colors)
    )
    write = write_mp4 if video else write_gif
    fps = frame_rate(animation.fps, len(times), 1)
    with _disk_array((len(times), *scene.layout.base.canvas.shape)) as canvas:
        scene.draw(canvas)
        with replacing(target) as temporary:
            write(temporary, map(np.array, canvas), scene.palette.rgb, fps)
    return still, target


def _open_sweep(folder: Path, animation: Animation, options: Montage, own_fields: bool) -> _Sweep:
    members = find_members(folder)
    summaries, animations = {}, {}
    for place, member in enumerate(members):
        if member.file is None or member.state in ("failed", "unreadable"):
            continue
        try:
            own = own_animation(member, members, animation, own_fields)
            if own is None:
                continue
            with open_picture(member.file, own) as reader:
                summaries[place], animations[place] = _summarise(reader), own
        except OutputError:
            continue  # the tile of this member will be marked as empty
    if not summaries:
        drawable = next((one.file for one in members if one.file is not None), None)
        if drawable is not None:  # raises the error for a field that no member has
            with open_picture(drawable, animation):
                pass
        raise OutputError(
            f"no run in {folder} can be drawn", "at least one run that has frames and did not fail"
        )
    first = next(iter(summaries))
    for place, summary in summaries.items():
        _check_same_shape(members[first], summaries[first], members[place], summary)
    lengths = summaries[first].lengths
    width, height = (1, CURVE_HEIGHT) if len(lengths) == 1 else shape_of(lengths, 1000)
    ratio = width / height
    return _Sweep(members, summaries, animations, arrange(members, options, ratio), ratio)


def _summarise(reader: FieldReader) -> _FileSummary:
    quantity = reader.long_name
    quantity = quantity if quantity == reader.field else f"{quantity} {reader.field}"
    return _FileSummary(
        path=reader.path,
        times=reader.times,
        lengths=tuple(axis.upper - axis.lower for axis in reader.axes),
        equation=reader.equation,
        quantity=quantity,
        value=with_unit(reader.field, reader.unit),
        time_unit=reader.time_unit,
    )


def _check_same_shape(
    first: Member, one: _FileSummary, second: Member, other: _FileSummary
) -> None:
    """Raise ConfigError if two domains have different aspect ratios.

    All tiles have the same size, so that a different ratio would distort the picture. Different
    numbers of cells are allowed.
    """
    alike = len(one.lengths) == len(other.lengths) and all(
        math.isclose(a * other.lengths[-1], b * one.lengths[-1], rel_tol=0.01)
        for a, b in zip(one.lengths, other.lengths, strict=False)
    )
    if not alike:
        a, b = (" x ".join(f"{n:g}" for n in reversed(file.lengths)) for file in (one, other))
        raise ConfigError(
            f"the domains of {first.name} and {second.name} differ in aspect ratio: {a}, {b}",
            "members whose domains have the same aspect ratio",
        )


def _frame_schedule(sweep: _Sweep, every: int) -> tuple[np.ndarray, dict[int, np.ndarray]]:
    """The times of the animation, ``(T,)``, and for each member the frames to show, ``(T,)``."""
    longest = max(sweep.summaries.values(), key=lambda file: (file.times[-1], len(file.times)))
    last = len(longest.times) - 1
    every = max(every, math.ceil(last / _MAX_FRAMES))
    times = longest.times[[*range(0, last, every), last]]
    slack = 1e-9 * np.abs(times).max()
    return times, {
        place: np.maximum(np.searchsorted(summary.times, times + slack, "right") - 1, 0)
        for place, summary in sweep.summaries.items()
    }


@dataclass(frozen=True)
class _Scene:
    """All that is needed to draw; ``frames`` maps each member to its frame in every picture."""

    sweep: _Sweep
    animation: Animation
    layout: MontageLayout
    palette: Palette
    limits: Limits
    tile: tuple[int, int]
    frames: dict[int, np.ndarray]
    clock: Sequence[str]

    def draw(self, canvas: np.ndarray) -> None:
        """Draw all pictures, member by member.

        Args:
            canvas: filled with palette indices, shape ``(pictures, rows, columns)``.
        """
        still = self._still()
        base = self.layout.base
        for index in range(len(canvas)):
            canvas[index] = still
            if base.clock and self.clock:
                rows, columns = base.clock.slices
                canvas[index, rows, columns] = self.palette.grey(base.draw_clock(self.clock[index]))
        for place, box in zip(self.sweep.arrangement.cells, self.layout.tiles, strict=True):
            if place in self.sweep.summaries:
                rows, columns = box.slices
                for index, tile in enumerate(self._tiles(place)):
                    canvas[index, rows, columns] = tile

    def _still(self) -> np.ndarray:
        base, arranged = self.layout.base, self.sweep.arrangement
        still = self.palette.grey(base.canvas)
        if base.bar:
            base.bar.paint(still, self.palette)
        for place, box in zip(arranged.cells, self.layout.tiles, strict=True):
            if place in self.sweep.summaries or (place is None and not arranged.is_plane):
                continue
            state = "missing" if place is None else self.sweep.members[place].state
            still[box.slices] = self.palette.grey(empty_tile(*self.tile, state, base.zoom))
        return still

    def _tiles(self, place: int) -> Iterator[np.ndarray]:
        """Yield the tile of a member for every picture. A frame shown repeatedly is drawn once."""
        summary, animation = self.sweep.summaries[place], self.sweep.animations[place]
        with open_picture(summary.path, animation) as reader:
            painter: MapPainter | CurvePainter
            if self.sweep.is_curve:
                first = first_curve(reader.values(0), animation, self.limits)
                zoom, limits = self.layout.base.zoom, self.limits.ends
                painter = curve_painter(self.palette, limits, *self.tile, zoom, first, ())
            else:
                painter = MapPainter(
                    self.palette, self.limits.ends, *self.tile, animation.enlarge == "nearest"
                )
            for frame, times in itertools.groupby(self.frames[place].tolist()):
                tile = painter.paint(reader.values(frame))
                for _ in times:
                    yield tile


def _build(
    sweep: _Sweep,
    animation: Animation,
    options: Montage,
    frames: dict[int, np.ndarray],
    clock: Sequence[str],
    size_and_colors: tuple[int, int | None],
) -> _Scene:
    size, colors = size_and_colors
    tile, arranged = _tile_size(sweep, options, size), sweep.arrangement
    given = colors is not None or animation.colors is not None
    look = _find_look(sweep, animation, frames, None if given else max(tile))
    limits = look.limits
    palette = map_palette(animation.colormap, colors or look.colors, animation.theme)
    if sweep.is_curve:
        palette = line_palette(theme=animation.theme)
        limits = limits if given_limits(animation) else with_margin(limits)
    total = max(arranged.columns * tile[0], arranged.rows * tile[1])
    log = animation.scale == "log"
    subtitle, value = _subtitle(sweep, limits, log)
    equations = {summary.equation for summary in sweep.summaries.values()}
    spec = MontageSpec(
        title=title_for(animation, equations.pop() if len(equations) == 1 else ""),
        subtitle=subtitle,
        clock=clock,
        clock_unit="" if animation.time_format else next(iter(sweep.summaries.values())).time_unit,
        clock_name="" if animation.time_format else "t",
        arrangement=arranged,
        tile=tile,
        bar=None if sweep.is_curve else scale_of(value, limits, log),
        zoom=min(max(total / 900, 0.9), 1.5),
    )
    layout = lay_out_montage(spec)
    return _Scene(sweep, animation, layout, palette, limits, tile, frames, clock)


def _find_look(
    sweep: _Sweep, animation: Animation, frames: dict[int, np.ndarray], size: int | None
) -> Look:
    """The look according to all frames that are shown; for ``size`` see :class:`RunLook`."""
    runs = []
    for place, summary in sweep.summaries.items():
        run, shown = RunLook(size, animation.limits == "robust"), np.unique(frames[place]).tolist()
        with open_picture(summary.path, sweep.animations[place]) as reader:
            for frame in shown:
                run.add(*reader.read(frame))
        runs.append((run, len(shown)))
    return find_look(runs, animation, sweep.is_curve)


def _tile_size(sweep: _Sweep, options: Montage, size: int) -> tuple[int, int]:
    arranged, ratio = sweep.arrangement, sweep.ratio
    longer = options.tile
    if longer is None:
        width = min(size / arranged.columns, size / arranged.rows * ratio)
        longer = min(max(round(width * max(1, 1 / ratio)), _TILE_RANGE[0]), _TILE_RANGE[1])
    if ratio >= 1:
        return longer, max(round(longer / ratio), 4)
    return max(round(longer * ratio), 4), longer


def _subtitle(sweep: _Sweep, limits: Limits, log: bool) -> tuple[str, str]:
    """The subtitle and the label of the colour bar. For curves, the subtitle states the range."""
    labels = {summary.quantity: summary.value for summary in sweep.summaries.values()}
    quantity, value = next(iter(labels.items())) if len(labels) == 1 else ("first fields", "")
    if sweep.is_curve:
        quantity += f" {range_text(limits, log)}"
    missing = len(sweep.members) - len(sweep.summaries)
    count = f"{len(sweep.members)} runs" + (f", {missing} without a picture" if missing else "")
    return f"{quantity}; {count}", value


@contextmanager
def _disk_array(shape: tuple[int, ...]) -> Iterator[np.ndarray]:
    """A uint8 array in a temporary file, so that the pictures need not all be kept in memory."""
    with tempfile.TemporaryFile() as file:
        yield np.memmap(file, np.uint8, "w+", shape=shape)
