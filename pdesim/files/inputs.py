"""Pictures and frames that a formula names."""

from __future__ import annotations

import math
import os
from pathlib import Path

import h5py
import numpy as np

from pdesim.errors import OutputError, nearest
from pdesim.files.hdf5 import open_hdf5, read_array, reading

#: what is read of a picture: decoded by Pillow itself. Its EPS reader starts another program
FORMATS = ("PNG", "JPEG", "GIF", "TIFF", "BMP", "WEBP")
#: pixels of a picture, by its header: decoded in four colours and as float32, 8192 x 8192 take half
#: a gigabyte, while a compressed file of some kilobytes may claim any number of them
MOST_PIXELS = 2**26


def read_picture(path: str | Path) -> np.ndarray:
    """Brightness of a picture in 0..1 as float32, shape (rows, columns), row 0 at the bottom.

    Integers are divided by the largest value of their type: 255, or 65535 for 16 bits. Floating
    point numbers are taken as they are and have to lie in 0..1. Of an animation the first frame
    counts; colours are weighted as in ITU-R 601-2, L = 0.299 R + 0.587 G + 0.114 B.

    Raises:
        OutputError: if it is missing, no picture, too large, or has values outside 0..1.
    """
    from PIL import Image

    try:
        with Image.open(_existing(path), formats=FORMATS) as picture:
            width, height = picture.size
            if width * height > MOST_PIXELS:
                raise OutputError(
                    f"{path} has {width} x {height} pixels",
                    f"at most {MOST_PIXELS:,} pixels, such as 8192 x 8192",
                )
            values = _brightness(picture, path)
    except OutputError:
        raise
    except Exception as error:  # Pillow raises whatever its decoders raise
        raise OutputError(
            f"{path} cannot be read as a picture ({error})", "a PNG, JPEG, GIF, TIFF, BMP or WebP"
        ) from None
    return values[::-1]


def _brightness(picture, path: str | Path) -> np.ndarray:
    if picture.mode.startswith("I;16"):
        return np.asarray(picture).astype(np.float32) / 65535
    if picture.mode == "I":  # 32 bits in memory: 16-bit PNGs in Pillow before 11.3 among them
        values = np.asarray(picture)
        largest = 65535 if picture.format == "PNG" else 2**31 - 1
        return (values / largest).astype(np.float32)
    if picture.mode == "F":
        values = np.asarray(picture)
        if not (np.isfinite(values).all() and values.min() >= 0 and values.max() <= 1):
            raise OutputError(
                f"the floating point picture {path} has values from {values.min():g} to "
                f"{values.max():g}",
                "values from 0 to 1",
                "divide them by their largest value before saving, or save integers",
            )
        return values
    return np.asarray(picture.convert("L")).astype(np.float32) / 255


def resize(values: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Resample a 2-D array to another shape (area average when shrinking)."""
    from PIL import Image

    picture = Image.fromarray(np.ascontiguousarray(values, dtype=np.float32))
    return np.asarray(
        picture.resize(
            shape[::-1],
            Image.Resampling.BOX if shape[0] < values.shape[0] else Image.Resampling.BICUBIC,
        ),
        dtype=float,
    )


def read_last_frame(path: str | Path, field: str, shape: tuple[int, ...]) -> np.ndarray:
    """The last frame of one field of a snapshot file, or the dataset itself if it has no time.

    Args:
        shape: of the grid, which the frame must have; checked before anything is read.

    Raises:
        OutputError: if it is missing, refers to other files, has another shape, or is no array of
            real numbers.
    """
    place = _existing(path)
    with reading(place), open_hdf5(place.resolve()) as file:
        names = [name for name in file if isinstance(file[name], h5py.Dataset)]
        if field not in names:
            raise OutputError(f"{path} holds no dataset {field!r}", nearest(field, names))
        if file[field].dtype.kind == "c":
            raise OutputError(
                f"the dataset {field!r} of {path} holds complex numbers",
                "real numbers; store its real and imaginary parts as two datasets",
            )
        if "time" not in names:
            return read_array(file, field, None, shape).astype(float)
        count = min(_length(file["time"]), _length(file[field]))
        if count == 0:
            raise OutputError(f"{path} has no frames yet")
        return read_array(file, field, count - 1, shape).astype(float)


def _length(data: h5py.Dataset) -> int:
    return data.shape[0] if data.shape else 0


def memory() -> float:
    """Bytes of this machine's memory; infinite where the system does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return math.inf


def _existing(path: str | Path) -> Path:
    path = Path(os.path.expanduser(path))
    if not path.is_file():
        raise OutputError(f"there is no file {path}", cure="a path from where pdesim was started")
    return path
