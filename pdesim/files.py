"""Reading other people's files: pictures and frames that a formula names."""

from __future__ import annotations

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
    """The last frame of one field of a snapshot file, or the dataset itself if it has no time."""
    try:
        with h5py.File(_existing(path), "r") as file:
            names = [name for name in file if isinstance(file[name], h5py.Dataset)]
            if field not in names:
                raise OutputError(f"{path} holds no dataset {field!r}", nearest(field, names))
            data = file[field]
            return np.asarray(data[-1] if "time" in names else data[()], dtype=float)
    except OSError as error:
        raise OutputError(f"{path} cannot be read as HDF5 ({error})") from None


def _existing(path: str | Path) -> Path:
    path = Path(path).expanduser()
    if not path.is_file():
        raise OutputError(f"there is no file {path}", cure="a path from where pdesim was started")
    return path
