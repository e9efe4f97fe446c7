"""The matrix and the right-hand sides of a linear system: random numbers, or files of the user."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from pdesim.dense.settings import DEFAULT_N, RANDOM, LinearSystem
from pdesim.errors import OutputError
from pdesim.files import as_path, open_hdf5, reading

#: suffixes of HDF5 files
HDF5 = (".h5", ".hdf5")


@dataclass(frozen=True)
class Shapes:
    """The number of unknowns, the shape of y, and the bytes of a number."""

    n: int
    y: tuple[int, ...]
    itemsize: int

    @property
    def columns(self) -> int:
        """The number of right-hand sides."""
        return self.y[1] if len(self.y) == 2 else 1


def read_shapes(settings: LinearSystem) -> Shapes:
    """Determine the size of a system without reading its numbers.

    Raises:
        OutputError: if a file cannot be read, or shapes do not fit together.
    """
    matrix = None if settings.A == RANDOM else _shape("A", settings.A)
    right = None if settings.y == RANDOM else _shape("y", settings.y)
    if matrix is not None and (len(matrix) != 2 or matrix[0] != matrix[1] or not matrix[0]):
        raise OutputError(f"A in {settings.A} has the shape {matrix}", "a square matrix, (n, n)")
    if right is not None and (len(right) not in (1, 2) or not all(right)):
        raise OutputError(f"y in {settings.y} has the shape {right}", "(n,), or (n, k)")
    given = {"n": settings.n, "A": matrix[0] if matrix else None, "y": right[0] if right else None}
    known = {name: size for name, size in given.items() if size is not None}
    if len(set(known.values())) > 1:
        sizes = ", ".join(f"{size} of {name}" for name, size in known.items())
        raise OutputError(
            f"the numbers of unknowns differ: {sizes}",
            "A of shape (n, n), y of shape (n,) or (n, k)",
        )
    n = next(iter(known.values()), DEFAULT_N)
    columns = settings.right_hand_sides
    default = (n,) if columns == 1 else (n, columns)
    return Shapes(n, right or default, np.dtype(settings.device.precision).itemsize)


def read_matrix(settings: LinearSystem, shapes: Shapes) -> np.ndarray:
    """Return A, shape ``(n, n)``, in the precision of the computation.

    Raises:
        OutputError: if the file cannot be read, or contains values that are not finite.
    """
    return _values("A", settings.A, (shapes.n, shapes.n), settings, 0)


def read_right(settings: LinearSystem, shapes: Shapes) -> np.ndarray:
    """Return y, shape ``(n, k)``, in the precision of the computation.

    Raises:
        OutputError: see :func:`read_matrix`.
    """
    return _values("y", settings.y, shapes.y, settings, 1).reshape(shapes.n, shapes.columns)


def _values(
    name: str, source: str, shape: tuple[int, ...], settings: LinearSystem, stream: int
) -> np.ndarray:
    precision = settings.device.precision
    if source == RANDOM:
        generator = np.random.Generator(np.random.PCG64([settings.seed, stream]))
        return generator.standard_normal(shape, dtype=np.dtype(precision).type)
    path = as_path(source)
    with _opened(name, path) as data, np.errstate(over="ignore"):
        array = np.ascontiguousarray(data[...], dtype=precision)
    if not np.isfinite(array).all():
        raise OutputError(
            f"{name} in {path} contains values that are NaN, infinite, or beyond {precision}",
            "finite numbers",
        )
    return array


def _shape(name: str, source: str) -> tuple[int, ...]:
    path = as_path(source)
    with _opened(name, path) as data:
        if data.dtype.kind not in "fiub":
            raise OutputError(f"{name} in {path} has the type {data.dtype}", "real numbers")
        return tuple(data.shape)


class _opened:
    """A context manager that provides an array in a file without reading its numbers."""

    def __init__(self, name: str, path: Path) -> None:
        self.name, self.path = name, path
        self._file: h5py.File | None = None

    def __enter__(self) -> h5py.Dataset | np.ndarray:
        if not self.path.is_file():
            raise OutputError(f"no such file: {self.path} ({self.name}={self.path})")
        if self.path.suffix.lower() in HDF5:
            with reading(self.path):
                self._file = open_hdf5(self.path)
                return self._find(self._file)
        try:
            array = np.load(self.path, mmap_mode="r", allow_pickle=False)
        except (ValueError, OSError, EOFError, SyntaxError) as error:
            raise OutputError(
                f"{self.path} cannot be read ({(str(error).splitlines() or ['?'])[0][:200]})",
                "a .npy file of numbers, or an HDF5 file (.h5, .hdf5)",
            ) from None
        if not isinstance(array, np.ndarray):
            raise OutputError(f"{self.path} contains several arrays", "a .npy file, or HDF5")
        return array

    def _find(self, file: h5py.File) -> h5py.Dataset:
        """Return the dataset with the name of the array, or the only dataset."""
        datasets = [key for key in file if isinstance(file[key], h5py.Dataset)]
        key = self.name if self.name in datasets else datasets[0] if len(datasets) == 1 else None
        if key is None:
            found = ", ".join(datasets[:5]) or "none"
            raise OutputError(
                f"{self.path} has no dataset {self.name} (datasets: {found})",
                f"a dataset {self.name}, or a single dataset",
            )
        return file[key]

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()
