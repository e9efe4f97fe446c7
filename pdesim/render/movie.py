"""Frames into files: GIF blocks around Pillow's compressor, MP4 through ffmpeg.

Pillow's own animated GIFs keep all frames in memory and give every frame a colour table of its
own; here frames pass one by one, and all share one table.
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

#: transparent pixels save room for sure if they are more than this fraction of all
_MOSTLY = 0.7
_LONGEST = 65535  # hundredths of a second that a GIF can hold one frame


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary name beside ``path`` that takes its place when all went well.

    Raises:
        OutputError: the folder or the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with files.replacing(path, shared=True) as temporary:
            yield temporary
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error}") from None


def write_gif(path: Path, frames: Iterable[np.ndarray], rgb: np.ndarray, fps: float) -> None:
    """Write an endless GIF.

    Args:
        frames: palette indices, each ``(rows, columns)`` uint8.
        rgb: the palette, ``(n, 3)`` uint8, n <= 255.
        fps: frames a second. A GIF counts hundredths of a second, at least two per frame: frames
            that follow each other differ by one, so that the whole has the right length.
    """
    delays = _delays(fps)
    clear = len(rgb)  # the palette index that leaves a pixel as it was
    with open(path, "wb") as file:
        shown, block, shown_for = None, b"", 0
        for frame, delay in zip(frames, delays, strict=False):
            if shown is None:
                file.write(_head(frame.shape, rgb))
                block = _block(frame, 0, 0)
            elif np.array_equal(frame, shown):
                shown_for += delay
                continue
            else:
                _write_frame(file, block, shown_for, clear)
                block = changed_block(frame, shown, clear)
            shown, shown_for = frame, delay
        _write_frame(file, block, shown_for, clear)
        file.write(b";")


def _delays(fps: float) -> Iterator[int]:
    """Hundredths of a second, frame by frame; frame n ends at ``100 * n / fps``, rounded."""
    ended = 0
    for number in itertools.count(1):
        end = max(ended + 2, round(100 * number / fps))
        yield end - ended
        ended = end


def _head(shape: tuple[int, int], rgb: np.ndarray) -> bytes:
    """Signature, size, the one colour table, and the extension that repeats for ever."""
    bits = max(1, len(rgb).bit_length())  # one entry more than rgb has
    table = rgb.tobytes().ljust(3 << bits, b"\0")
    screen = struct.pack("<HHBBB", shape[1], shape[0], 0xF0 | (bits - 1), 0, 0)
    return b"GIF89a" + screen + table + b"!\xff\x0bNETSCAPE2.0\x03\x01\0\0\0"


def _write_frame(file: BinaryIO, block: bytes, shown_for: int, clear: int) -> None:
    keep_and_clear = 1 << 2 | 1  # the next frame is drawn over this one; index clear is glass
    control = struct.pack("<BBHBB", 4, keep_and_clear, min(shown_for, _LONGEST), clear, 0)
    file.write(b"!\xf9" + control + block)


def changed_block(frame: np.ndarray, shown: np.ndarray, clear: int) -> bytes:
    """The block that makes ``frame`` of ``shown``: the smallest rectangle that holds all changes.

    Pixels that did not change are transparent there, index ``clear``, where that takes less room.
    """
    same = frame == shown
    rows = np.flatnonzero(~same.all(axis=1))
    columns = np.flatnonzero(~same.all(axis=0))
    if rows.size == 0:
        return b""
    place = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    patch, unchanged = frame[place], same[place]
    block = _block(np.where(unchanged, np.uint8(clear), patch), columns[0], rows[0])
    if unchanged.mean() < _MOSTLY:
        block = min(block, _block(patch, columns[0], rows[0]), key=len)
    return block


def _block(indices: np.ndarray, left: int, top: int) -> bytes:
    """Image descriptor and compressed data; Pillow compresses, as a grey picture of its own."""
    buffer = io.BytesIO()
    Image.fromarray(indices).save(buffer, "GIF", optimize=False, interlace=0)
    whole = buffer.getvalue()
    start = 13 + (3 << ((whole[10] & 7) + 1))  # header and colour table
    descriptor = struct.pack("<BHHHHB", 0x2C, left, top, *indices.shape[::-1], 0)
    return descriptor + whole[start + len(descriptor) : -1]


def write_mp4(path: Path, frames: Iterable[np.ndarray], rgb: np.ndarray, fps: float) -> None:
    """Write H.264 that every browser plays; frames as in ``write_gif``, with even sides.

    Raises:
        MissingExtraError: there is no imageio-ffmpeg.
    """
    try:
        import imageio.v2 as imageio
        import imageio_ffmpeg  # noqa: F401
    except ImportError:
        raise MissingExtraError("animation=mp4", "imageio-ffmpeg", "mp4") from None
    # without the name of the colour standard, players guess, and colours shift
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
