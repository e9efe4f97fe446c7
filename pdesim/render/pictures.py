"""Animations and stills of a snapshot file."""

from __future__ import annotations

import math
from contextlib import nullcontext
from pathlib import Path

import numpy as np
from PIL import Image

from pdesim.errors import ConfigError, OutputError, clip
from pdesim.files import as_path, check_folder
from pdesim.output.find import find_snapshots
from pdesim.render.colors import Palette
from pdesim.render.frames import FrameStream, LookChanged
from pdesim.render.look import SIZE
from pdesim.render.movie import frame_rate, replacing, write_gif, write_mp4, write_png
from pdesim.render.quantity import check_still
from pdesim.render.row import build_picture
from pdesim.render.scene import ALL_COLORS
from pdesim.render.spectrum import spectrum_picture
from pdesim.render.stills import contact_sheet, space_time
from pdesim.render.streams import FrameGroup, open_stream
from pdesim.render.time_format import check_time_format
from pdesim.settings import Animation, Montage

#: pixels of the longer side of a still, unless ``animation.size`` is set
STILL_SIZE = 1024
#: the smallest value of ``animation.size``
SMALLEST_SIZE = 64
#: the size of a film in bytes grows with this power of its width
GROWTH_OF_SIZE = 1.6
#: the layouts that show all times in one still
WHOLE_RUN = ("sheet", "space_time")
#: the layouts that are always drawn as a PNG
STILLS = (*WHOLE_RUN, "spectrum")


def render(source: str | Path, animation: Animation, destination: str | Path | None = None) -> Path:
    """Draw the frames of a run folder or a snapshot file as a GIF, an MP4 or a PNG.

    Args:
        source: the folder or the file.
        animation: the settings of the picture.
        destination: the file to write, or a folder for ``animation.gif``, ``animation.mp4`` or
            ``animation.png``; None: the folder of the snapshots. Unless a file is given, a single
            frame becomes a PNG.

    Returns:
        The file that was written.

    Raises:
        OutputError: if the file is missing, unreadable or empty, or the picture cannot be written.
        ConfigError: for an unknown field or colour map, limits in the wrong order, or
            ``animation=none``.
        MissingExtraError: for MP4, if imageio-ffmpeg is not installed.
    """
    check_settings(animation, Animation)
    if animation.name == "none":
        raise ConfigError(
            "animation=none disables drawing", "animation=gif, animation=mp4 or animation=png"
        )
    check_still(animation)
    check_time_format(animation.time_format)
    path = find_snapshots(source)
    target = None if destination is None else as_path(destination)
    check_folder((target or path).parent)
    with open_stream(path, animation) as stream:
        return draw_frames(stream, target)


def check_settings(value: object, kind: type[Animation | Montage]) -> None:
    """Raise ConfigError unless an argument is a section of the settings of this class."""
    if not isinstance(value, kind):
        raise ConfigError(
            f"{clip(repr(value), 100)} cannot be the settings of a picture",
            f"pdesim.settings.{kind.__name__}(...)",
        )


def draw_frames(stream: FrameStream | FrameGroup, destination: Path | None = None) -> Path:
    """Draw the frames of a run that has ended or is still writing; see :func:`render`.

    Frames are drawn with the limits and colours that follow from the frames so far. If a new frame
    changes these, drawing starts again, but only after the limits and colours have remained
    unchanged for as many frames as were discarded. The number of discarded frames is therefore less
    than twice the number of frames of the run. The resulting file is the same as for a run that has
    ended.
    """
    wasted = 0
    while True:
        # the ticks of all frames must be known before the first is drawn
        stream.scan_limits(math.inf if stream.animation.limits == "per_frame" else wasted)
        kind = _kind(stream, destination)
        folder = destination or stream.reader.path.parent
        target = folder / f"animation.{kind}" if folder.is_dir() else folder
        if kind == "png":
            return _draw_still(stream, target, stream.animation.size or STILL_SIZE)
        try:
            _draw_film(stream, target, kind)
            _limit_size(stream, target)
            return target
        except LookChanged as change:
            wasted += change.frames


def _kind(stream: FrameStream | FrameGroup, destination: Path | None) -> str:
    """The format: a single frame becomes a PNG, unless a file is given; a whole run always."""
    if stream.animation.layout in STILLS:
        return "png"
    given = destination is not None and not destination.is_dir()
    if stream.animation.name != "png" and (given or len(stream.times) > 1):
        return stream.animation.name
    return "png"


def _draw_film(stream: FrameStream | FrameGroup, target: Path, kind: str) -> None:
    animation, video = stream.animation, kind == "mp4"
    scene = build_picture(stream, animation.size or SIZE, ALL_COLORS if video else None)
    write = write_mp4 if video else write_gif
    fps = frame_rate(animation.fps, len(stream.times), animation.every)
    with replacing(target) as temporary:
        frames = stream.frames(scene.look, scene.times)  # type: ignore[arg-type]
        pictures = (scene.draw(*one) for one in frames)
        write(temporary, pictures, scene.palette.rgb, fps)


def _limit_size(stream: FrameStream | FrameGroup, target: Path) -> None:
    """Draw a film that is larger than ``animation.max_mb`` again, with fewer pixels.

    Raises:
        OutputError: if it is larger even with the smallest size.
    """
    most = stream.animation.max_mb
    if most is None or (taken := target.stat().st_size / 1e6) <= most:
        return
    with Image.open(target) if target.suffix == ".gif" else nullcontext() as image:
        drawn = min(SIZE, *image.size) if image else SIZE
    now = stream.animation.size or drawn
    if now <= SMALLEST_SIZE:
        raise OutputError(
            f"{target} takes {taken:.2f} MB with {now} pixels, more than animation.max_mb={most:g}",
            "animation.every=2 or a larger animation.max_mb",
        )
    size = int(now * min(0.9, (0.95 * most / taken) ** (1 / GROWTH_OF_SIZE)))
    smaller = stream.animation.model_copy(update={"size": max(SMALLEST_SIZE, size)})
    with open_stream(stream.reader.path, smaller) as again:
        draw_frames(again, target)


def _draw_still(stream: FrameStream | FrameGroup, target: Path, size: int) -> Path:
    """Draw the frame at ``animation.time`` as a PNG, with the limits of the whole run."""
    stream.scan_limits(math.inf)
    indices, palette = _still_of(stream, size)
    with replacing(target) as temporary:
        write_png(temporary, indices, palette.rgb)
    return target


def _still_of(stream: FrameStream | FrameGroup, size: int) -> tuple[np.ndarray, Palette]:
    layout = stream.animation.layout
    if isinstance(stream, FrameStream) and layout in WHOLE_RUN:
        return (contact_sheet if layout == "sheet" else space_time)(stream, size)
    frame = _frame_at(stream.animation.time, stream.reader.times)
    if isinstance(stream, FrameStream) and layout == "spectrum":
        return spectrum_picture(stream, size, frame)
    scene = build_picture(stream, size, ALL_COLORS)
    return scene.draw(frame, stream.values(frame)), scene.palette  # type: ignore[arg-type]


def _frame_at(time: float | None, times: np.ndarray) -> int:
    """The number of the frame whose time is nearest to ``time``; None stands for the last frame.

    Raises:
        ConfigError: if the time is before the first or after the last frame.
    """
    if time is None:
        return len(times) - 1
    first, last = float(times.min()), float(times.max())
    slack = 1e-6 * max(abs(first), abs(last))
    if not first - slack <= time <= last + slack:
        raise ConfigError(
            f"animation.time is {time:g}, and the frames have times from {first:g} to {last:g}",
            "a time between these, or null for the last frame",
        )
    return int(np.abs(times - time).argmin())


def poster(source: str | Path, animation: Animation, destination: str | Path) -> Path:
    """Draw the last frame as a PNG of at least 1024 pixels; arguments as in :func:`render`."""
    check_settings(animation, Animation)
    animation = animation.model_copy(update={"name": "png", "time": None})
    destination = as_path(destination)
    path = find_snapshots(source)
    with open_stream(path, animation) as stream:
        return _draw_still(stream, destination, max(STILL_SIZE, animation.size or SIZE))
