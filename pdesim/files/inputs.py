"""Pictures and frames that a formula names."""

from __future__ import annotations

import math
import mmap
import os
import re
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
#: decoders that hold a picture four times
MOST_PIXELS_OF = {"WEBP": 2**25}
#: scans of a JPEG: programs write about ten, and each takes some 10 ms at that size
MOST_SCANS = 100
#: pixels of a picture that are converted at a time, and the most along a side
_BAND, LONGEST_SIDE = 2**21, 2**16
#: tags of a TIFF (TIFF 6.0, section 15), and markers of a JPEG
_TILE_WIDTH, _TILE_LENGTH = 322, 323
_MARKER, _SCAN, _END = re.compile(rb"\xff[^\x00\x01\xd0-\xd8\xff]"), 0xDA, 0xD9


def read_picture(path: str | Path) -> np.ndarray:
    """Brightness of a picture in 0..1 as float32, shape (rows, columns), row 0 at the bottom.

    Integers are divided by the largest value of their type: 255, or 65535 for 16 bits. Floating
    point numbers are taken as they are. All have to lie in 0..1 then. Of an animation the first
    frame counts; colours are weighted as in ITU-R 601-2, L = 0.299 R + 0.587 G + 0.114 B.

    Raises:
        OutputError: if it is missing, no picture, too large, or has values outside 0..1.
    """
    from PIL import Image

    place = _existing(path)
    try:
        with Image.open(place, formats=FORMATS) as picture:
            width, height = picture.size
            most = MOST_PIXELS_OF.get(picture.format, MOST_PIXELS)
            if width * height > most:
                raise OutputError(
                    f"{path} has {width} x {height} pixels", f"at most {most:,} pixels"
                )
            if max(width, height) > LONGEST_SIDE:
                raise OutputError(
                    f"{path} has {width} x {height} pixels", f"sides of at most {LONGEST_SIDE:,}"
                )
            _check_parts(picture, place)
            values = _brightness(picture)
    except OutputError:
        raise
    except Exception as error:  # Pillow raises whatever its decoders raise
        raise OutputError(
            f"{path} cannot be read as a picture ({error})", "a PNG, JPEG, GIF, TIFF, BMP or WebP"
        ) from None
    lowest, highest = values.min(), values.max()
    if not (lowest >= 0 and highest <= 1):  # NaN is neither
        raise OutputError(
            f"the picture {path} has values from {lowest:g} to {highest:g}",
            "floating point values from 0 to 1, or whole numbers that are not negative",
            "divide them by their largest value before saving, or save 8 or 16 bits",
        )
    return values[::-1]


def _check_parts(picture, path: Path) -> None:
    """Refuse what takes long or much memory to decode, whatever the size of the picture.

    Raises:
        OutputError: for a JPEG of more than ``MOST_SCANS``, and for a TIFF of vast tiles.
    """
    if picture.format in ("JPEG", "MPO"):
        scans = _count_scans(path)
        if scans > MOST_SCANS:
            raise OutputError(
                f"{path} consists of more than {MOST_SCANS} scans",
                "a JPEG of a camera or a program",
            )
    if picture.format == "TIFF":
        width, height = (int(picture.tag_v2.get(tag, 1)) for tag in (_TILE_WIDTH, _TILE_LENGTH))
        if width * height > MOST_PIXELS:
            raise OutputError(f"the tiles of {path} have {width} x {height} pixels")


def _count_scans(path: Path) -> int:
    """How many scans a JPEG has up to its end, counted until ``MOST_SCANS`` are exceeded.

    Every scan of a progressive JPEG changes all pixels, and may take a hundred bytes. Segments
    begin with 0xff, a marker, and a length; what follows in a scan has no 0xff but before 0x00,
    0xff and the restart markers 0xd0 to 0xd7. Source: ITU-T T.81, annex B.
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


def _brightness(picture) -> np.ndarray:
    """The values of a picture divided by the largest of their type, a band of rows at a time."""
    values = np.empty(picture.size[::-1], np.float32)
    rows = max(1, _BAND // picture.width)
    for top in range(0, len(values), rows):
        bottom = min(top + rows, len(values))
        band = picture.crop((0, top, picture.width, bottom))
        values[top:bottom] = _scaled(band, picture.format)
    return values


def _scaled(band, kind: str) -> np.ndarray:
    if band.mode.startswith("I;16"):
        return np.asarray(band).astype(np.float32) / 65535
    if band.mode == "I":  # 32 bits in memory: 16-bit PNGs in Pillow before 11.3 among them
        return np.asarray(band) / (65535 if kind == "PNG" else 2**31 - 1)
    if band.mode == "F":
        return np.asarray(band)
    return np.asarray(band.convert("L")).astype(np.float32) / 255


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
        raise OutputError(f"there is no file {path}", hint="a path from where pdesim was started")
    return path
