"""Writers of animations: GIF with Pillow's compressor, MP4 with ffmpeg.

Pillow's own writer of animated GIFs keeps all frames in memory and stores a colour table per frame.
The writer of this module keeps only the previous frame, and stores one colour table for all frames.
"""

from __future__ import annotations

import itertools
import math
import struct
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import GifImagePlugin, Image

from pdesim import files
from pdesim.errors import MissingExtraError, OutputError

#: frames per second of films, unless ``animation.fps`` is set
DEFAULT_FPS = 20.0
#: films of fewer frames get fewer frames per second, so that they last this many seconds
SHORTEST = 3.0
#: if more than this fraction of pixels is unchanged, the block is smaller with transparent pixels
_MOSTLY_UNCHANGED = 0.7
_MAX_DELAY = 65535  # hundredths of a second; the longest duration of a frame in a GIF


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Provide a temporary file in the folder of ``path``, and rename it to ``path`` on success.

    Raises:
        OutputError: if the folder or the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with files.replacing(path, shared=True) as temporary:
            yield temporary
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error}") from None


def frame_rate(fps: float | None, frames: int, every: int) -> float:
    """The frames per second of a film; None: 20, or fewer for a film of less than 3 seconds.

    Args:
        fps: ``animation.fps``.
        frames: the number of stored frames.
        every: every n-th frame is shown, and the last one.
    """
    if fps is not None:
        return fps
    shown = math.ceil((frames - 1) / every) + 1
    return min(DEFAULT_FPS, shown / SHORTEST)


def write_png(path: Path, indices: np.ndarray, rgb: np.ndarray) -> None:
    """Write palette indices, ``(rows, columns)``, as a PNG; for ``rgb`` see :func:`write_gif`."""
    image = Image.fromarray(indices)
    image.putpalette(rgb.tobytes())
    image.save(path, "PNG", optimize=True)


def write_gif(path: Path, frames: Iterable[np.ndarray], rgb: np.ndarray, fps: float) -> None:
    """Write a GIF that repeats forever.

    Args:
        path: the file to write.
        frames: palette indices, each ``(rows, columns)`` uint8.
        rgb: the palette, ``(n, 3)`` uint8, n <= 255.
        fps: frames per second. Durations in a GIF are multiples of 1/100 s, at least 2/100 s. For
            other frame rates, durations vary by 1/100 s, so that the total duration is correct.
    """
    delays = _delays(fps)
    transparent = len(rgb)  # the palette index of unchanged pixels
    with open(path, "wb") as file:
        previous: np.ndarray | None = None
        block, delay_so_far = b"", 0
        for frame, delay in zip(frames, delays, strict=False):
            if previous is None:
                file.write(_head(frame.shape, rgb))
                block = _block(frame, 0, 0)
            elif np.array_equal(frame, previous):
                delay_so_far += delay
                continue
            else:
                _write_frame(file, block, delay_so_far, transparent)
                block = changed_block(frame, previous, transparent)
            previous, delay_so_far = frame, delay
        _write_frame(file, block, delay_so_far, transparent)
        file.write(b";")


def _delays(fps: float) -> Iterator[int]:
    """Yield the durations of the frames in 1/100 s; frame n ends at ``100 * n / fps``, rounded."""
    ended = 0
    for number in itertools.count(1):
        end = max(ended + 2, round(100 * number / fps))
        yield end - ended
        ended = end


def _head(shape: tuple[int, ...], rgb: np.ndarray) -> bytes:
    """The head of a GIF: signature, size, global colour table, and endless repetition."""
    bits = max(1, len(rgb).bit_length())  # the table has at least one entry more than rgb
    table = rgb.tobytes().ljust(3 << bits, b"\0")
    screen = struct.pack("<HHBBB", shape[1], shape[0], 0xF0 | (bits - 1), 0, 0)
    return b"GIF89a" + screen + table + b"!\xff\x0bNETSCAPE2.0\x03\x01\0\0\0"


def _write_frame(file: BinaryIO, block: bytes, delay_so_far: int, transparent: int) -> None:
    flags = 1 << 2 | 1  # do not dispose of this frame; it has a transparent index
    control = struct.pack("<BBHBB", 4, flags, min(delay_so_far, _MAX_DELAY), transparent, 0)
    file.write(b"!\xf9" + control + block)


def changed_block(frame: np.ndarray, previous: np.ndarray, transparent: int) -> bytes:
    """The image block that changes ``previous`` to ``frame``.

    It covers the bounding box of all changes. Unchanged pixels inside the box get the index
    ``transparent`` if this makes the block smaller.
    """
    same = frame == previous
    rows = np.flatnonzero(~same.all(axis=1))
    columns = np.flatnonzero(~same.all(axis=0))
    if rows.size == 0:
        return b""
    place = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    patch, unchanged = frame[place], same[place]
    block = _block(np.where(unchanged, np.uint8(transparent), patch), columns[0], rows[0])
    if unchanged.mean() < _MOSTLY_UNCHANGED:
        block = min(block, _block(patch, columns[0], rows[0]), key=len)
    return block


def _block(indices: np.ndarray, left: int, top: int) -> bytes:
    """The image descriptor and the data compressed by Pillow."""
    image = Image.fromarray(indices)
    return b"".join(GifImagePlugin.getdata(image, (int(left), int(top))))


def write_mp4(path: Path, frames: Iterable[np.ndarray], rgb: np.ndarray, fps: float) -> None:
    """Write an H.264 video that all browsers can play.

    For the arguments see :func:`write_gif`. The numbers of rows and columns must be even.

    Raises:
        MissingExtraError: if imageio-ffmpeg is not installed.
    """
    try:
        import imageio.v2 as imageio
        import imageio_ffmpeg  # noqa: F401
    except ImportError:
        raise MissingExtraError("animation=mp4", "imageio-ffmpeg", "mp4") from None
    # if the colour standard is not named, players guess it, and colours may change
    names = "setparams=colorspace=bt709:color_primaries=bt709:color_trc=bt709"
    filters = f"scale=out_color_matrix=bt709:out_range=tv,{names}"
    writer = imageio.get_writer(
        path,
        format="FFMPEG",
        mode="I",
        fps=fps,
        codec="libx264",
        pixelformat="yuv420p",
        macro_block_size=2,
        quality=None,
        ffmpeg_log_level="error",
        output_params=["-crf", "17", "-vf", filters, "-movflags", "+faststart"],
    )
    with writer:
        for frame in frames:
            writer.append_data(rgb[frame])
