"""Snapshot files made by hand, in the documented layout, with fields that show every mix-up."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import yaml

EXTENT = {"x": 2.0, "y": 3.0, "z": 1.0}
ORIGIN = {"x": -1.0, "y": 0.0, "z": 5.0}
SHAPES = [(5,), (6, 4), (3, 6, 4)]


def coordinates(shape: tuple[int, ...]) -> dict[str, np.ndarray]:
    """Cell centres of the last axes of ``(z, y, x)``, in array order."""
    axes = ("z", "y", "x")[-len(shape) :]
    return {
        a: ORIGIN[a] + (np.arange(n) + 0.5) * EXTENT[a] / n
        for a, n in zip(axes, shape, strict=True)
    }


def values(shape: tuple[int, ...], frames: int) -> np.ndarray:
    """``x + 10*y + 100*z + 1000*frame``: no flip and no transposition goes unseen."""
    centres = coordinates(shape)
    grid = dict(zip(centres, np.meshgrid(*centres.values(), indexing="ij"), strict=True))
    place = grid["x"] + 10 * grid.get("y", 0) + 100 * grid.get("z", 0)
    return place + 1000 * np.arange(frames).reshape(-1, *(1,) * len(shape))


def make_run(
    folder: Path,
    shape: tuple[int, ...] = (6, 4),
    frames: int = 3,
    *,
    fields: tuple[str, ...] = ("u", "a"),
    dtype: str = "float32",
    compression: str | None = "gzip",
    parameters: dict | None = None,
    boundary: dict | None = None,
    kinds: dict | None = None,
    mask: np.ndarray | None = None,
    interval: float = 0.5,
    status: dict | None = None,
    shown: str | None = None,
) -> Path:
    """A run's folder; field number k holds ``values * (k + 1)``. Returns the snapshot file."""
    folder.mkdir(parents=True, exist_ok=True)
    centres = coordinates(shape)
    axes = list(reversed(centres))
    config = {
        "equation": {"name": "made", "fields": list(fields), "rhs": dict.fromkeys(fields, "0")}
        | ({"D": 0.25} if parameters is None else parameters),
        "grid": list(reversed(shape)),
        "domain": {"extent": [EXTENT[a] for a in axes], "origin": [ORIGIN[a] for a in axes]},
        "boundary": {"default": "periodic"} if boundary is None else boundary,
        "operators": {"name": "stencil", "order": 2},
    }
    if shown is not None:
        config["animation"] = {"field": shown}
    if kinds is None:
        kinds = {f"{field}.{axis}": ["periodic", "periodic"] for field in fields for axis in axes}
    path = folder / "snapshots.h5"
    with h5py.File(path, "w", libver=("v110", "v110")) as file:
        file["time"] = interval * np.arange(frames)
        file["time"].make_scale("time")
        for axis, points in centres.items():
            file[axis] = points
            file[axis].make_scale(axis)
        for number, field in enumerate(fields):
            data = (values(shape, frames) * (number + 1)).astype(dtype)
            file.create_dataset(
                field,
                data=data,
                chunks=(1, *shape),
                maxshape=(None, *shape),
                compression=compression,
            )
            file[field].attrs.update({"units": "K", "long_name": f"field {field}"})
            for dimension, name in enumerate(("time", *centres)):
                file[field].dims[dimension].attach_scale(file[name])
        if mask is not None:
            file["mask"] = mask.astype(np.uint8)
        file.attrs.update(
            {
                "config": yaml.safe_dump(config),
                "equation_name": "made",
                "equation": "\n".join(f"d{f}/dt = 0" for f in fields),
                "fields": list(fields),
                "boundary": repr(kinds),
                "seed": 7,
                "precision": "float32",
                "pdesim_version": "0.1.0",
            }
        )
    if status is not None:
        (folder / "status.json").write_text(json.dumps(status))
    return path
