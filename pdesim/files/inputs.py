"""Images and frames that are named in formulas."""

from __future__ import annotations

import math
import mmap
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from pdesim.errors import OutputError, nearest
from pdesim.files.folder import as_path
from pdesim.files.hdf5 import open_hdf5, read_array, reading

#: image formats that Pillow decodes itself; its EPS reader, for example, starts another program
FORMATS = ("PNG", "JPEG", "GIF", "TIFF", "BMP", "WEBP")
#: largest number of pixels that the header of an image may declare, since a compressed file of a
#: few kilobytes can declare any number. 8192 x 8192 pixels take half a gigabyte in four channels of
#: 8 bits and as float32
MOST_PIXELS = 2**26
#: lower limits for formats whose decoders keep four copies of an image
MOST_PIXELS_OF = {"WEBP": 2**25}
#: largest number of scans in a JPEG file. Programs usually write about ten scans, and each scan of
#: an image of the largest size takes about 10 ms
MOST_SCANS = 100
#: number of pixels that are converted at once, and the limit of the longest side
_BAND, LONGEST_SIDE = 2**21, 2**16
#: tags of TIFF files (TIFF 6.0, section 15), and markers of JPEG files
_TILE_WIDTH, _TILE_LENGTH = 322, 323
_MARKER, _SCAN, _END = re.compile(rb"\xff[^\x00\x01\xd0-\xd8\xff]"), 0xDA, 0xD9


def read_picture(path: str | Path) -> np.ndarray:
    """Read the brightness of an image.

    Integers are divided by the largest value of their type: 255, or 65535 for 16 bits. Floating
    point values are used unchanged. Colours are converted as in ITU-R 601-2, L = 0.299 R + 0.587 G
    + 0.114 B. The first frame of an animation is read.

    Returns:
        Values from 0 to 1 as float32, shape (rows, columns), row 0 at the bottom.

    Raises:
        OutputError: if the file is missing, is not an image, is too large, or has values outside
            0..1.
    """
    from PIL import Image

    existing = _existing(path)
    try:
        with Image.open(existing, formats=FORMATS) as picture:
            width, height = picture.size
            most = MOST_PIXELS_OF.get(picture.format or "", MOST_PIXELS)
            if width * height > most:
                raise OutputError(
                    f"{path} has {width} x {height} pixels", f"at most {most:,} pixels"
                )
            if max(width, height) > LONGEST_SIDE:
                raise OutputError(
                    f"{path} has {width} x {height} pixels", f"sides of at most {LONGEST_SIDE:,}"
                )
            _check_parts(picture, existing)
            values = _brightness(picture)
    except OutputError:
        raise
    except Exception as error:  # Pillow does not document the exceptions of its decoders
        raise OutputError(
            f"{path} cannot be read as a picture ({error})", "a PNG, JPEG, GIF, TIFF, BMP or WebP"
        ) from None
    lowest, highest = values.min(), values.max()
    if not (lowest >= 0 and highest <= 1):  # NaN fails both comparisons
        raise OutputError(
            f"the picture {path} has values from {lowest:g} to {highest:g}",
            "floating point values from 0 to 1, or integers that are not negative",
            "divide the values by the largest one, or save the image with 8 or 16 bits",
        )
    return values[::-1]


def picture_size(path: str | Path) -> tuple[int, int] | None:
    """Return the width and the height of an image in pixels; None if it cannot be read."""
    from PIL import Image

    try:
        with Image.open(as_path(path), formats=FORMATS) as picture:
            return picture.size
    except Exception:  # reported by read_picture
        return None


def _check_parts(picture: Any, path: Path) -> None:
    """Check that decoding an image does not take a long time or a large amount of memory.

    Raises:
        OutputError: for a JPEG file with more than ``MOST_SCANS`` scans, and for a TIFF file whose
            tiles have more than ``MOST_PIXELS`` pixels.
    """
    if picture.format in ("JPEG", "MPO"):
        scans = _count_scans(path)
        if scans > MOST_SCANS:
            raise OutputError(
                f"{path} consists of more than {MOST_SCANS} scans", "a JPEG file of fewer scans"
            )
    if picture.format == "TIFF":
        width, height = (int(picture.tag_v2.get(tag, 1)) for tag in (_TILE_WIDTH, _TILE_LENGTH))
        if width * height > MOST_PIXELS:
            raise OutputError(f"the tiles of {path} have {width} x {height} pixels")


def _count_scans(path: Path) -> int:
    """Count the scans of a JPEG file, up to ``MOST_SCANS + 1``.

    Every scan of a progressive JPEG changes all pixels, but may take only a hundred bytes. Segments
    begin with 0xff, a marker and a length. In the data of a scan, 0xff is always followed by 0x00,
    0xff or a restart marker, 0xd0 to 0xd7. Source: ITU-T T.81, annex B.
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        place, scans = 2, 0
        while scans <= MOST_SCANS and (found := _MARKER.search(data, place)):
            marker, place = found[0][1], found.end()
            if marker == _END:
                break
            scans += marker == _SCAN
            place += int.from_bytes(data[place : place + 2], "big")
    return scans


def _brightness(picture: Any) -> np.ndarray:
    """Return the brightness of an image, divided by the largest value of its type.

    The rows are converted in bands, which limits the memory that is needed.
    """
    values = np.empty(picture.size[::-1], np.float32)
    rows = max(1, _BAND // picture.width)
    for top in range(0, len(values), rows):
        bottom = min(top + rows, len(values))
        band = picture.crop((0, top, picture.width, bottom))
        values[top:bottom] = _scaled(band, picture.format)
    return values


def _scaled(band: Any, kind: str) -> np.ndarray:
    if band.mode.startswith("I;16"):
        return np.asarray(band).astype(np.float32) / 65535
    if band.mode == "I":  # 32 bits; Pillow before 11.3 also for PNGs of 16 bits
        return np.asarray(band) / (65535 if kind == "PNG" else 2**31 - 1)
    if band.mode == "F":
        return np.asarray(band)
    return np.asarray(band.convert("L")).astype(np.float32) / 255


def resize(values: np.ndarray, shape: tuple[int, int], rows: slice | None = None) -> np.ndarray:
    """Resample a 2-D array to another shape.

    If the result has fewer rows, its values are averages over areas; otherwise they are bicubic
    interpolations.

    Args:
        values: the array, which is converted to float32.
        shape: the new shape.
        rows: the rows that are returned, as float64; None for all.
    """
    from PIL import Image

    picture = Image.fromarray(np.ascontiguousarray(values, dtype=np.float32)).resize(
        shape[::-1],
        Image.Resampling.BOX if shape[0] < values.shape[0] else Image.Resampling.BICUBIC,
    )
    if rows is not None:
        picture = picture.crop((0, rows.start, shape[1], rows.stop))
    return np.asarray(picture, dtype=float)


@dataclass(frozen=True)
class StoredFrame:
    """A frame of a field in an HDF5 file.

    Attributes:
        values: the values in float64, x last, in all rows or in those that were asked for.
        shape: the shape of the complete frame.
        centres: the cell centres along each axis, x first; None if the file contains none.
        time: the time of the frame; None if the file has no times.
        obstacles: whether the file contains obstacles.
    """

    values: np.ndarray
    shape: tuple[int, ...]
    centres: tuple[np.ndarray, ...] | None
    time: float | None
    obstacles: bool = False


def read_frame(
    path: str | Path,
    field: str,
    time: float | None = None,
    rows: np.ndarray | None = None,
) -> StoredFrame:
    """Read a frame of a field, or the entire dataset if the file has no times.

    Args:
        path: a snapshot file or another HDF5 file.
        field: the name of the dataset.
        time: the time of the frame; None: the last frame.
        rows: the rows that are read (ascending indices along the first axis of a frame), which may
            be none of them; None for all.

    Raises:
        OutputError: if the file, the dataset or the frame is missing, if the file refers to other
            files, or if the dataset is not an array of real numbers.
    """
    existing = _existing(path)
    with reading(existing), open_hdf5(existing.resolve()) as file:
        names = [name for name in file if isinstance(file[name], h5py.Dataset)]
        if field not in names:
            raise OutputError(f"{path} has no dataset {field!r}", nearest(field, names))
        if file[field].dtype.kind == "c":
            raise OutputError(
                f"the dataset {field!r} of {path} contains complex numbers",
                "real numbers; store the real and imaginary parts as two datasets",
            )
        number, found = _frame_number(file, field, time, path) if "time" in names else (None, None)
        values = read_array(file, field, number, rows=rows).astype(float)
        shape = file[field].shape if number is None else file[field].shape[1:]
        axes = "xyz"[: values.ndim]
        centres = None
        if all(axis in names and file[axis].ndim == 1 for axis in axes):
            centres = tuple(read_array(file, axis).astype(float) for axis in axes)
            if tuple(map(len, centres)) != shape[::-1]:
                centres = None
        return StoredFrame(values, shape, centres, found, "mask" in names)


def read_centres(path: str | Path, dimensions: int) -> tuple[np.ndarray, ...] | None:
    """Return the cell centres along each axis, x first, in a snapshot file; None if it has none.

    Raises:
        OutputError: if the file is missing or cannot be read.
    """
    existing = _existing(path)
    with reading(existing), open_hdf5(existing.resolve()) as file:
        axes = "xyz"[:dimensions]
        if not all(isinstance(file.get(axis), h5py.Dataset) for axis in axes):
            return None
        return tuple(np.atleast_1d(read_array(file, axis)).astype(float) for axis in axes)


def _frame_number(
    file: h5py.File, field: str, time: float | None, path: str | Path
) -> tuple[int, float]:
    """Return the index and the time of a frame."""
    count = min(_length(file["time"]), _length(file[field]))
    if count == 0:
        raise OutputError(f"{path} has no frames yet")
    times = read_array(file, "time").astype(float)[:count]
    if time is None:
        return count - 1, float(times[-1])
    nearest_frame = int(np.abs(times - time).argmin())
    if abs(times[nearest_frame] - time) > 1e-9 * max(abs(time), float(np.ptp(times))):
        raise OutputError(
            f"{path} has no frame at t = {time:g}; the nearest is at t = {times[nearest_frame]:g}",
            f"the time of a frame, from {times[0]:g} to {times[-1]:g}",
        )
    return nearest_frame, float(times[nearest_frame])


def read_cells(
    path: str | Path, name: str, shape: tuple[int, ...], rows: slice | None = None
) -> np.ndarray:
    """Read an array with one real number for each cell of a grid from an HDF5 file.

    Args:
        path: the file.
        name: the name of the dataset, with those of its groups, such as ``fields/charge``.
        shape: the shape of the grid, x last.
        rows: the rows that are read (indices along the first axis); None for all.

    Raises:
        OutputError: if the file or the dataset is missing, or is not such an array.
    """
    existing = _existing(path)
    with reading(existing), open_hdf5(existing) as file:
        kept = None if rows is None else np.arange(rows.start, rows.stop)
        values = read_array(file, name, shape=shape, rows=kept)
    if values.dtype.kind == "c":
        raise OutputError(f"{name!r} in {path} is complex", "an array of real numbers")
    return values.astype(float)


def _length(data: h5py.Dataset) -> int:
    return data.shape[0] if data.shape else 0


def memory() -> float:
    """Return the memory of this machine in bytes, or infinity if it is unknown."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return math.inf


def _existing(path: str | Path) -> Path:
    path = as_path(path)
    if not path.is_file():
        raise OutputError(
            f"no such file: {path}", hint="paths are relative to the current directory"
        )
    return path
