"""Writers of animations: GIF with Pillow's compressor, MP4 with ffmpeg.

Pillow's writer of animated GIFs keeps all frames in memory and stores a colour table per frame.
The writer here keeps one frame at a time, and all frames share one table.
"""

from __future__ import annotations

import io
import itertools
import struct
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image

from pdesim import files
from pdesim.errors import MissingExtraError, OutputError

#: fraction of unchanged pixels above which making them transparent always reduces the size
_MOSTLY_UNCHANGED = 0.7
_MAX_DELAY = 65535  # hundredths of a second; the longest duration of a frame in a GIF


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary file in the folder of ``path``, renamed to ``path`` on success.

    Raises:
        OutputError: if the folder or the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with files.replacing(path, shared=True) as temporary:
            yield temporary
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error}") from None


def write_gif(path: Path, frames: Iterable[np.ndarray], rgb: np.ndarray, fps: float) -> None:
    """Write a GIF that repeats forever.

    Args:
        path: the file.
        frames: palette indices, each ``(rows, columns)`` uint8.
        rgb: the palette, ``(n, 3)`` uint8, n <= 255.
        fps: frames per second. Durations in a GIF are multiples of 1/100 s, at least 2/100 s.
            Those of successive frames differ by 1/100 s where needed for the right total.
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
    """Signature, size, the global colour table, and the extension for endless repetition."""
    bits = max(1, len(rgb).bit_length())  # room for one entry more than in rgb
    table = rgb.tobytes().ljust(3 << bits, b"\0")
    screen = struct.pack("<HHBBB", shape[1], shape[0], 0xF0 | (bits - 1), 0, 0)
    return b"GIF89a" + screen + table + b"!\xff\x0bNETSCAPE2.0\x03\x01\0\0\0"


def _write_frame(file: BinaryIO, block: bytes, delay_so_far: int, transparent: int) -> None:
    flags = 1 << 2 | 1  # do not dispose of this frame; it has a transparent index
    control = struct.pack("<BBHBB", 4, flags, min(delay_so_far, _MAX_DELAY), transparent, 0)
    file.write(b"!\xf9" + control + block)


def changed_block(frame: np.ndarray, previous: np.ndarray, transparent: int) -> bytes:
    """The image block that changes ``previous`` to ``frame``: the bounding box of all changes.

    Unchanged pixels in it get the index ``transparent`` if that makes the block smaller.
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
    """Image descriptor and compressed data, taken from a GIF of this image that Pillow writes."""
    buffer = io.BytesIO()
    Image.fromarray(indices).save(buffer, "GIF", optimize=False, interlace=0)
    gif = buffer.getvalue()
    start = 13 + (3 << ((gif[10] & 7) + 1))  # header and colour table
    descriptor = struct.pack("<BHHHHB", 0x2C, left, top, *indices.shape[::-1], 0)
    return descriptor + gif[start + len(descriptor) : -1]


def write_mp4(path: Path, frames: Iterable[np.ndarray], rgb: np.ndarray, fps: float) -> None:
    """Write H.264 video that every browser plays; arguments as of ``write_gif``, with even sides.

    Raises:
        MissingExtraError: if imageio-ffmpeg is not installed.
    """
    try:
        import imageio.v2 as imageio
        import imageio_ffmpeg  # noqa: F401
    except ImportError:
        raise MissingExtraError("animation=mp4", "imageio-ffmpeg", "mp4") from None
    # without the name of the colour standard, players assume one, and colours may change
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
