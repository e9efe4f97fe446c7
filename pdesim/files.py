"""Reading other people's files: pictures and frames that a formula names, checkpoints.

An HDF5 file can make its reader open other files: through links, through external storage and
through virtual datasets. Nothing here follows any of them.
"""

from __future__ import annotations

import math
import os
from pathlib import Path

import h5py
import numpy as np

from pdesim.errors import OutputError, nearest


def read_picture(path: str | Path) -> np.ndarray:
    """Brightness of a picture in 0..1, shape (rows, columns), row 0 at the bottom (y upward)."""
    import imageio.v3 as iio
    from PIL import Image

    try:
        pixels = iio.imread(_existing(path), index=0)
    except OutputError:
        raise
    except Exception as error:  # imageio raises whatever its plugins raise
        raise OutputError(
            f"{path} cannot be read as a picture ({error})", "a PNG, JPEG or GIF"
        ) from None
    grey = Image.fromarray(pixels).convert("L")
    return np.asarray(grey, dtype=float)[::-1] / 255.0


def resize(values: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Resample a 2-D array to another shape (area average when shrinking)."""
    from PIL import Image

    picture = Image.fromarray(values.astype(np.float32))
    return np.asarray(
        picture.resize(
            shape[::-1],
            Image.Resampling.BOX if shape[0] < values.shape[0] else Image.Resampling.BICUBIC,
        ),
        dtype=float,
    )


def read_last_frame(path: str | Path, field: str) -> np.ndarray:
    """The last frame of one field of a snapshot file, or the dataset itself if it has no time.

    Raises:
        OutputError: if it is missing, refers to other files, or is no array of numbers.
    """
    try:
        with open_hdf5(_existing(path)) as file:
            names = [name for name in file if _is_dataset(file, name)]
            if field not in names:
                raise OutputError(f"{path} holds no dataset {field!r}", nearest(field, names))
            if "time" not in names:
                return read_array(file, field).astype(float)
            count = min(len(dataset(file, "time")), len(dataset(file, field)))
            if count == 0:
                raise OutputError(f"{path} has no frames yet")
            return read_array(file, field, count - 1).astype(float)
    except (OSError, RuntimeError) as error:
        raise OutputError(f"{path} cannot be read as HDF5 ({error})") from None


def open_hdf5(path: Path) -> h5py.File:
    """Open for reading, also while it is written (SWMR) or after its writer was killed.

    Raises:
        OSError: if it is no readable HDF5 file.
    """
    try:
        return h5py.File(path, "r")
    except OSError as error:
        # an SWMR reader waits for ever for the rest of a file that is merely damaged
        if "already open for write" not in str(error):
            raise
        return h5py.File(path, "r", swmr=True)


def dataset(file: h5py.File, name: str) -> h5py.Dataset:
    """A dataset whose numbers lie in this very file.

    Raises:
        OutputError: if it is none, or reached through links, or stored elsewhere.
    """
    if not _is_dataset(file, name):
        raise OutputError(
            f"{file.filename} holds no dataset {name!r} of its own",
            "a plain dataset in the root group; links are not followed",
        )
    data = file[name]
    if data.external or data.is_virtual:
        raise OutputError(
            f"the dataset {name!r} of {file.filename} refers to other files",
            "a dataset whose numbers lie in the file itself",
        )
    return data


def read_array(file: h5py.File, name: str, frame: int | None = None) -> np.ndarray:
    """A dataset of real or complex numbers, or one frame of it.

    Raises:
        OutputError: see :func:`dataset`; also for other types, and for sizes beyond this machine.
    """
    data = dataset(file, name)
    shape = data.shape if frame is None else data.shape[1:]
    if data.dtype.kind not in "fiuc" or shape is None or len(shape) > 6:
        raise OutputError(
            f"the dataset {name!r} of {file.filename} has type {data.dtype} and shape {data.shape}",
            "an array of numbers",
        )
    if math.prod(shape) * data.dtype.itemsize > memory():
        raise OutputError(
            f"the dataset {name!r} of {file.filename} has shape {data.shape}",
            "at most what fits into this machine's memory",
        )
    return data[()] if frame is None else data[frame]


def memory() -> float:
    """Bytes of this machine's memory; infinite where the system does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return math.inf


def _is_dataset(file: h5py.File, name: str) -> bool:
    link = file.get(name, getlink=True) if "/" not in name else None
    return isinstance(link, h5py.HardLink) and isinstance(file[name], h5py.Dataset)


def _existing(path: str | Path) -> Path:
    path = Path(path).expanduser()
    if not path.is_file():
        raise OutputError(f"there is no file {path}", cure="a path from where pdesim was started")
    return path
