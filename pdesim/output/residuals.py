"""The residuals of the iterations for a steady problem, in the group ``solver`` of a snapshot file.

``solver/residual`` and its axis ``solver/iteration`` are created with the file and filled while it
is in HDF5's SWMR mode. The attributes of ``residual`` are the name of the solver and its limits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from pdesim.errors import OutputError
from pdesim.files import (
    UNREADABLE,
    as_path,
    check_stored,
    open_hdf5,
    read_attributes,
    reading,
)

GROUP, RESIDUAL, ITERATION = "solver", "residual", "iteration"
#: number of residuals in a chunk of the file, and the largest number that is read
CHUNK, MOST = 1024, 2_000_000


@dataclass(frozen=True)
class Residuals:
    """The residuals of a steady problem, relative to the source.

    Attributes:
        solver: the name of the solver.
        tolerance: the residual at which iterations end; None for solvers without iterations.
        values: the residual at the start and after each iteration; without iterations, the residual
            of the solution.
    """

    solver: str
    tolerance: float | None
    values: np.ndarray

    @property
    def iterations(self) -> int:
        return 0 if self.tolerance is None else max(0, len(self.values) - 1)


def create_residuals(file: h5py.File, attributes: Mapping[str, Any]) -> None:
    """Create the empty group of a new file.

    Args:
        file: the file.
        attributes: attributes of the residuals, at least ``solver``.
    """
    group = file.create_group(GROUP)
    growing: dict[str, Any] = {"shape": (0,), "maxshape": (None,), "chunks": (CHUNK,)}
    iteration = group.create_dataset(ITERATION, dtype="i8", **growing)
    iteration.make_scale(ITERATION)
    iteration.attrs.update({"units": "1", "long_name": "iteration"})
    residual = group.create_dataset(RESIDUAL, dtype="f8", **growing)
    residual.attrs.update({"units": "1", "long_name": "residual relative to the source"})
    residual.attrs.update({key: value for key, value in attributes.items() if value is not None})
    residual.dims[0].attach_scale(iteration)


def store_residuals(file: h5py.File, values: Sequence[float]) -> None:
    """Write the residuals into the group of :func:`create_residuals`."""
    group = file[GROUP]
    for name, data in ((ITERATION, np.arange(len(values))), (RESIDUAL, np.asarray(values))):
        group[name].resize((len(values),))
        group[name][:] = data
        group[name].flush()


def read_residuals(path: str | Path) -> Residuals | None:
    """Return the residuals in a snapshot file; None if there are none, or if they are damaged.

    Raises:
        OutputError: if the file cannot be read.
    """
    with reading(Path(path)), open_hdf5(as_path(path)) as file:
        return residuals_in(file)


def residuals_in(file: h5py.File) -> Residuals | None:
    """Return the residuals in an open file; see :func:`read_residuals`."""
    try:
        data = file.get(f"{GROUP}/{RESIDUAL}")
        if not isinstance(data, h5py.Dataset) or data.ndim != 1 or data.dtype.kind != "f":
            return None
        check_stored(data, len(data))
        attributes = read_attributes(data)
        solver, tolerance = attributes["solver"], attributes.get("tolerance")
        values = np.asarray(data[:MOST], float)
        if not len(values) or not isinstance(solver, str):
            return None
        return Residuals(solver, None if tolerance is None else float(tolerance), values)
    except (*UNREADABLE, OutputError):
        return None
