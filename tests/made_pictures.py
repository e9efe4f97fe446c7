"""Snapshot files to draw, made by hand, and pictures read back as numbers."""

from __future__ import annotations

from pathlib import Path

import h5py
import matplotlib
import numpy as np
from PIL import Image

from pdesim.settings import Animation


def write(
    folder: Path, fields: dict, extent=(1.0, 1.0, 1.0), times=None, equation="heat", units="1"
) -> Path:
    """A snapshots.h5 in ``folder``; each field ``(T, [[nz,] ny,] nx)``, extent in x, y, z."""
    folder.mkdir(exist_ok=True)
    shape = next(iter(fields.values())).shape
    with h5py.File(folder / "snapshots.h5", "w") as file:
        file.attrs["equation_name"] = equation
        file["time"] = np.arange(shape[0], dtype=float) if times is None else np.asarray(times)
        for name, n, length in zip("xyz", shape[:0:-1], extent, strict=False):
            file[name] = (np.arange(n) + 0.5) * length / n
            file[name].attrs["units"] = "1"
        for name, values in fields.items():
            file[name] = values
            file[name].attrs["units"] = units
            file[name].attrs["long_name"] = f"the {name}"
    return folder


def waves(frames: int = 6, ny: int = 24, nx: int = 32) -> np.ndarray:
    x, y = np.meshgrid(np.linspace(0, 1, nx), np.linspace(0, 1, ny))
    return np.array([np.sin(6 * x + t) * np.cos(4 * y) for t in range(frames)], dtype="f4")


def flat(*values: float, size: int = 16) -> np.ndarray:
    """Frames of one value each."""
    return np.array(values, dtype="f4")[:, None, None] * np.ones((size, size), dtype="f4")


def frames_of(path: Path) -> list[np.ndarray]:
    """All frames of a GIF as ``(rows, columns, 3)``."""
    with Image.open(path) as image:
        frames = []
        for i in range(getattr(image, "n_frames", 1)):
            image.seek(i)
            frames.append(np.asarray(image.convert("RGB")).astype(int))
        return frames


def blocks_of(path: Path) -> tuple[int, list[int], list[int]]:
    """The global table's flag, and every frame's local table flag and delay (1/100 s)."""
    data = path.read_bytes()
    place = 13 + (3 << ((data[10] & 7) + 1))
    local, delays = [], []
    while data[place] != 0x3B:
        if data[place] == 0x21:
            if data[place + 1] == 0xF9:
                delays.append(int.from_bytes(data[place + 4 : place + 6], "little"))
            place += 2
        else:
            local.append(data[place + 9] & 0x80)
            place += 11
        while data[place]:
            place += data[place] + 1
        place += 1
    return data[10] & 0x80, local, delays


def color(colormap: str, fraction: float) -> np.ndarray:
    return np.array(matplotlib.colormaps[colormap](fraction)[:3]) * 255


def picture_of(frame: np.ndarray, rgb: np.ndarray) -> tuple[slice, slice]:
    """Rows and columns of a picture that has the one colour ``rgb`` all over."""
    mask = np.abs(frame - rgb).max(axis=2) < 2
    columns = np.flatnonzero(mask.sum(axis=0) > 0.9 * mask.sum(axis=0).max())
    rows = np.flatnonzero(mask.sum(axis=1) > 0.9 * mask.sum(axis=1).max())
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


SMALL = Animation(size=160)
