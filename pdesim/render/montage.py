"""All runs of a sweep in one picture, still and animated, with the same colours in every tile."""

from __future__ import annotations

import itertools
import math
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from pdesim.errors import ConfigError, OutputError
from pdesim.files import check_folder
from pdesim.output.sweeps import Member, find_members
from pdesim.render.arrangement import Arrangement, arrange
from pdesim.render.colors import Palette, line_palette, map_palette
from pdesim.render.field_reader import Snapshots, open_snapshots
from pdesim.render.limits import Limits
from pdesim.render.look import Look, RunLook, find_look
from pdesim.render.montage_layout import MontageLayout, MontagePlan, empty_tile, lay_out_montage
from pdesim.render.movie import replacing, write_gif, write_mp4
from pdesim.render.painters import MapPainter, curve_painter
from pdesim.render.pictures import (
    ALL_COLORS,
    CURVE_HEIGHT,
    first_curve,
    scale_of,
    shape_of,
    title_of,
    with_margin,
    with_unit,
)
from pdesim.render.ticks import clock_texts, number
from pdesim.settings import Animation, Montage

_STILL, _MOVIE = 1400, 960  # pixels that the tiles' longer side together may take
_TILES = (24, 400)  # the least and the most of a tile, unless montage.tile says otherwise
_MOST_FRAMES = 300  # of an animation; longer runs are shown in longer steps


@dataclass(frozen=True)
class _Kind:
    """What is known of a member's file before it is drawn; ``lengths`` are of the axes as drawn."""

    path: Path
    times: np.ndarray
    lengths: tuple[float, ...]
    equation: str
    what: str
    value: str
    time_unit: str


@dataclass(frozen=True)
class _Sweep:
    """The members, a look at each that can be drawn, their places and a tile's proportions."""

    members: tuple[Member, ...]
    looks: dict[int, _Kind]
    arrangement: Arrangement
    ratio: float

    @property
    def flat(self) -> bool:
        return len(self._any.lengths) == 1

    @property
    def _any(self) -> _Kind:
        return next(iter(self.looks.values()))


def montage(folder: Path, animation: Animation, asked: Montage) -> tuple[Path, ...]:
    """Draw ``montage.png``, the last frames, and ``montage.gif`` or ``.mp4``, in a sweep's folder.

    All tiles share their limits: the still's follow the last frames, the animation's all frames it
    shows (see :mod:`pdesim.render.limits`), unless ``animation.limits`` gives both. Runs that
    failed or left nothing are marked. In the animation all tiles show the same moment; a run that
    ended earlier stays at its last frame.

    Args:
        animation: field, colours, rate; ``none`` draws the still alone.

    Returns:
        The files: the still first.

    Raises:
        OutputError: no member can be drawn, or a picture cannot be written.
        ConfigError: settings that do not fit the sweep, or members whose domains do not fit into
            equal tiles.
        MissingExtraError: MP4 without imageio-ffmpeg.
    """
    check_folder(folder)
    sweep = _look_at(folder, animation, asked)
    still, target = folder / "montage.png", folder / f"montage.{animation.name}"
    frames = {n: np.array([len(look.times) - 1]) for n, look in sweep.looks.items()}
    last = {float(look.times[-1]) for look in sweep.looks.values()}
    moment = clock_texts(np.array(sorted(last))) if len(last) == 1 and last != {0.0} else []
    scene = _build(sweep, animation, asked, frames, moment, (_STILL, ALL_COLORS))
    canvas = np.empty((1, *scene.layout.base.canvas.shape), np.uint8)
    scene.draw(canvas)
    with replacing(still) as temporary:
        image = Image.fromarray(canvas[0])
        image.putpalette(scene.palette.rgb.tobytes())
        image.save(temporary, "PNG", optimize=True)
    if animation.name == "none":
        return (still,)
    video = animation.name == "mp4"
    times, frames = _moments(sweep, animation.every)
    colors = ALL_COLORS if video else None
    scene = _build(sweep, animation, asked, frames, clock_texts(times), (_MOVIE, colors))
    write = write_mp4 if video else write_gif
    with _on_disk((len(times), *scene.layout.base.canvas.shape)) as canvas:
        scene.draw(canvas)
        with replacing(target) as temporary:
            write(temporary, map(np.array, canvas), scene.palette.rgb, animation.fps)
    return still, target


def _look_at(folder: Path, animation: Animation, asked: Montage) -> _Sweep:
    members = find_members(folder)
    looks = {}
    for place, member in enumerate(members):
        if member.file is None or member.state in ("failed", "unreadable"):
            continue
        try:
            with open_snapshots(member.file, animation.field, animation.slice) as snapshots:
                looks[place] = _look(snapshots)
        except OutputError:
            continue  # marked in the picture, as one that left nothing
    if not looks:
        raise OutputError(
            f"no run in {folder} can be drawn", "one that has frames and did not fail"
        )
    first = next(iter(looks))
    for place, look in looks.items():
        _check_alike(members[first], looks[first], members[place], look)
    lengths = looks[first].lengths
    width, height = (1, CURVE_HEIGHT) if len(lengths) == 1 else shape_of(lengths, 1000)
    ratio = width / height
    return _Sweep(members, looks, arrange(members, asked, ratio), ratio)


def _look(snapshots: Snapshots) -> _Kind:
    what = snapshots.long_name
    what = what if what == snapshots.field else f"{what} {snapshots.field}"
    return _Kind(
        path=snapshots.path,
        times=snapshots.times,
        lengths=tuple(axis.upper - axis.lower for axis in snapshots.axes),
        equation=snapshots.equation,
        what=what,
        value=with_unit(snapshots.field, snapshots.unit),
        time_unit=snapshots.time_unit,
    )


def _check_alike(first: Member, one: _Kind, second: Member, other: _Kind) -> None:
    """Other numbers of cells are drawn to the same size; other shapes would be distorted."""
    alike = len(one.lengths) == len(other.lengths) and all(
        math.isclose(a * other.lengths[-1], b * one.lengths[-1], rel_tol=0.01)
        for a, b in zip(one.lengths, other.lengths, strict=False)
    )
    if not alike:
        told = [" x ".join(f"{n:g}" for n in reversed(look.lengths)) for look in (one, other)]
        raise ConfigError(
            f"the domains of {first.name} and {second.name} differ in shape: {told[0]}, {told[1]}",
            "members whose domains have the same sides, or multiples of them",
        )


def _moments(sweep: _Sweep, every: int) -> tuple[np.ndarray, dict[int, np.ndarray]]:
    """The times of the animation, and which frame each member shows then."""
    longest = max(sweep.looks.values(), key=lambda look: (look.times[-1], len(look.times)))
    last = len(longest.times) - 1
    every = max(every, math.ceil(last / _MOST_FRAMES))
    times = longest.times[[*range(0, last, every), last]]
    slack = 1e-9 * np.abs(times).max()
    return times, {
        place: np.maximum(np.searchsorted(look.times, times + slack, "right") - 1, 0)
        for place, look in sweep.looks.items()
    }


@dataclass(frozen=True)
class _Scene:
    """All that is needed to draw; ``frames`` names each member's frame for every picture."""

    sweep: _Sweep
    animation: Animation
    layout: MontageLayout
    palette: Palette
    limits: Limits
    tile: tuple[int, int]
    frames: dict[int, np.ndarray]
    clock: Sequence[str]

    def draw(self, canvas: np.ndarray) -> None:
        """Fill ``canvas``, ``(pictures, rows, columns)`` palette indices, one member at a time."""
        still = self._still()
        base = self.layout.base
        for index in range(len(canvas)):
            canvas[index] = still
            if base.clock and self.clock:
                rows, columns = base.clock.slices
                canvas[index, rows, columns] = self.palette.grey(base.draw_clock(self.clock[index]))
        for place, box in zip(self.sweep.arrangement.cells, self.layout.tiles, strict=True):
            if place in self.sweep.looks:
                rows, columns = box.slices
                for index, tile in enumerate(self._tiles(place)):
                    canvas[index, rows, columns] = tile

    def _still(self) -> np.ndarray:
        base, arranged = self.layout.base, self.sweep.arrangement
        still = self.palette.grey(base.canvas)
        if base.bar:
            base.bar.paint(still, self.palette)
        for place, box in zip(arranged.cells, self.layout.tiles, strict=True):
            if place in self.sweep.looks or (place is None and not arranged.is_plane):
                continue
            state = "missing" if place is None else self.sweep.members[place].state
            still[box.slices] = self.palette.grey(empty_tile(*self.tile, state, base.zoom))
        return still

    def _tiles(self, place: int) -> Iterator[np.ndarray]:
        """The tile of a member for every picture; a frame that is shown twice is drawn once."""
        look, animation = self.sweep.looks[place], self.animation
        with open_snapshots(look.path, animation.field, animation.slice) as snapshots:
            if self.sweep.flat:
                first = first_curve(snapshots.values(0), animation, self.limits)
                zoom, limits = self.layout.base.zoom, self.limits.ends
                painter = curve_painter(self.palette, limits, *self.tile, zoom, first, ())
            else:
                painter = MapPainter(self.palette, self.limits.ends, *self.tile)
            for frame, times in itertools.groupby(self.frames[place].tolist()):
                tile = painter.paint(snapshots.values(frame))
                for _ in times:
                    yield tile


def _build(
    sweep: _Sweep,
    animation: Animation,
    asked: Montage,
    frames: dict[int, np.ndarray],
    clock: Sequence[str],
    size_and_colors: tuple[int, int | None],
) -> _Scene:
    size, colors = size_and_colors
    tile, arranged = _tile(sweep, asked, size), sweep.arrangement
    given = colors is not None or animation.colors is not None
    look = _find_look(sweep, animation, frames, None if given else max(tile))
    limits = look.limits
    palette = map_palette(animation.colormap, colors or look.colors)
    if sweep.flat:
        palette = line_palette()
        limits = with_margin(limits) if animation.limits is None else limits
    whole = max(arranged.columns * tile[0], arranged.rows * tile[1])
    subtitle, value = _subtitle(sweep, limits)
    equations = {look.equation for look in sweep.looks.values()}
    plan = MontagePlan(
        title=title_of(equations.pop()) if len(equations) == 1 else "",
        subtitle=subtitle,
        clock=clock,
        clock_unit=next(iter(sweep.looks.values())).time_unit,
        arrangement=arranged,
        tile=tile,
        bar=None if sweep.flat else scale_of(value, limits),
        zoom=min(max(whole / 900, 0.9), 1.5),
    )
    layout = lay_out_montage(plan)
    return _Scene(sweep, animation, layout, palette, limits, tile, frames, clock)


def _find_look(
    sweep: _Sweep, animation: Animation, frames: dict[int, np.ndarray], size: int | None
) -> Look:
    """Of all frames that are shown; ``size`` as of :class:`RunLook`."""
    runs = []
    for place, look in sweep.looks.items():
        run, shown = RunLook(size), np.unique(frames[place]).tolist()
        with open_snapshots(look.path, animation.field, animation.slice) as snapshots:
            for frame in shown:
                run.add(*snapshots.read(frame))
        runs.append((run, len(shown)))
    return find_look(runs, animation, sweep.flat)


def _tile(sweep: _Sweep, asked: Montage, size: int) -> tuple[int, int]:
    arranged, ratio = sweep.arrangement, sweep.ratio
    longer = asked.tile
    if longer is None:
        width = min(size / arranged.columns, size / arranged.rows * ratio)
        longer = min(max(round(width * max(1, 1 / ratio)), _TILES[0]), _TILES[1])
    if ratio >= 1:
        return longer, max(round(longer / ratio), 4)
    return max(round(longer * ratio), 4), longer


def _subtitle(sweep: _Sweep, limits: Limits) -> tuple[str, str]:
    """What is drawn, and the label of the colour bar; curves have no bar to tell their range."""
    found = {look.what: look.value for look in sweep.looks.values()}
    what, value = next(iter(found.items())) if len(found) == 1 else ("first fields", "")
    if sweep.flat:
        digits = max(0, 2 - math.floor(math.log10(limits.high - limits.low)))
        what += f" from {number(limits.low, digits)} to {number(limits.high, digits)}"
        what += " (cut off there)" if limits.below or limits.above else ""
    missing = len(sweep.members) - len(sweep.looks)
    told = f"{len(sweep.members)} runs" + (f", {missing} without a picture" if missing else "")
    return f"{what}; {told}", value


@contextmanager
def _on_disk(shape: tuple[int, ...]) -> Iterator[np.ndarray]:
    """Room for pictures in a temporary file, so that memory does not grow with their number."""
    with tempfile.TemporaryFile() as file:
        yield np.memmap(file, np.uint8, "w+", shape=shape)
