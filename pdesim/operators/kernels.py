"""Kernels of convolutions on a grid, and their Fourier symbols (NumPy, float64).

On a periodic grid with cells of volume V, ``convolve("K", f)`` is ``sum_j K(x_i - x_j) f_j V``,
where the components of ``x_i - x_j`` are those of the nearest image, in ``[-L/2, L/2)``. The factor
that it gives to a wave with the wave vector k, its symbol, is ``V sum_d K(d) exp(-i k d)``, where d
runs over the displacements of all cells.
This module does not import TensorFlow.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import sympy

from pdesim.errors import BoundaryError, ConfigError
from pdesim.formula import Evaluator
from pdesim.formula.kernels import Kernel, kernels_in
from pdesim.model.grid import Grid

if TYPE_CHECKING:
    from pdesim.operators.problem import Problem


def displacements(grid: Grid, kernel: Kernel) -> dict[str, np.ndarray]:
    """Return the components of the displacements from cell 0 to all cells, by name.

    The arrays broadcast over the grid. The displacement is 0 in cell 0.
    """
    result = {}
    for axis, symbol in enumerate(kernel.displacement):
        n, half = grid.points[axis], grid.points[axis] // 2
        offsets = (np.arange(n) + half) % n - half
        result[symbol.name] = grid.broadcast(axis, offsets * grid.spacing[axis])
    return result


def lengths(grid: Grid) -> dict[str, float]:
    """Return the lengths of the domain by name."""
    return {f"L{name}": length for name, length in zip(grid.axes, grid.extent, strict=True)}


def kernel_values(kernel: Kernel, grid: Grid, constants: Mapping[str, Any]) -> np.ndarray:
    """Return the values of a kernel times the volume of a cell: the weights of all cells.

    Args:
        constants: the values of the parameters in the kernel.

    Returns:
        An array of the shape of the grid, whose element 0 belongs to the displacement 0.
    """
    names = sorted(symbol.name for symbol in kernel.free_symbols)
    known = {**lengths(grid), **constants}
    return _kernel_values(kernel, grid, tuple((name, float(known[name])) for name in names))


# cached, since each estimate of the stable time step needs them
@lru_cache(maxsize=2)
def _kernel_values(
    kernel: Kernel, grid: Grid, constants: tuple[tuple[str, float], ...]
) -> np.ndarray:
    evaluate = Evaluator({**dict(constants), **displacements(grid, kernel)})
    values = np.asarray(evaluate(kernel.formula), float) * grid.cell_volume
    return np.broadcast_to(values, grid.shape)


def convolved(
    kernel: Kernel, values: np.ndarray, grid: Grid, constants: Mapping[str, Any]
) -> np.ndarray:
    """Return the convolution of the values in all cells with a kernel."""
    axes = range(-grid.dimensions, 0)
    factors = np.fft.rfftn(kernel_values(kernel, grid, constants), axes=axes)
    modes = np.fft.rfftn(np.broadcast_to(values, grid.shape), axes=axes)
    return np.fft.irfftn(factors * modes, grid.shape, axes)


def kernel_symbols(
    kernels: Iterable[Kernel],
    grid: Grid,
    constants: Mapping[str, Any],
    wavenumbers: Sequence[np.ndarray],
) -> dict[str, np.ndarray]:
    """Return the symbols of convolutions for all combinations of wave numbers along the axes.

    Args:
        wavenumbers: a 1-D array for each axis x, y, z.

    Returns:
        The name of the symbol -> an array whose axes are those of the wave numbers, x first.
    """
    result = {}
    for kernel in kernels:
        total: np.ndarray = kernel_values(kernel, grid, constants)
        for axis, symbol in enumerate(kernel.displacement):
            places = displacements(grid, kernel)[symbol.name].reshape(-1)
            waves = np.exp(-1j * np.outer(places, wavenumbers[axis]))
            # the last axis is the next of x, y, z; the wave numbers become the first axis
            total = np.moveaxis(total @ waves, -1, 0)
        result[kernel.symbol.name] = np.transpose(total, range(grid.dimensions)[::-1])
    return result


def extreme_waves(
    kernels: Iterable[Kernel], grid: Grid, constants: Mapping[str, Any]
) -> list[tuple[float, ...]]:
    """Return the wave vectors at which the symbols of convolutions are extreme.

    For each kernel these are the waves on the grid with the largest and the smallest real part, the
    largest absolute value of the imaginary part, and the largest absolute value.
    """
    waves: set[tuple[float, ...]] = set()
    for kernel in kernels:
        names = sorted(symbol.name for symbol in kernel.free_symbols)
        known = {**lengths(grid), **constants}
        waves |= _extreme_waves(kernel, grid, tuple((name, float(known[name])) for name in names))
    return sorted(waves)


@lru_cache(maxsize=256)
def _extreme_waves(
    kernel: Kernel, grid: Grid, constants: tuple[tuple[str, float], ...]
) -> frozenset[tuple[float, ...]]:
    symbol = np.fft.rfftn(_kernel_values(kernel, grid, constants))
    numbers = [
        (np.fft.fftfreq if axis else np.fft.rfftfreq)(n, h) * 2 * np.pi
        for axis, (n, h) in enumerate(zip(grid.points, grid.spacing, strict=True))
    ]
    waves: set[tuple[float, ...]] = set()
    for measure in (symbol.real, -symbol.real, np.abs(symbol.imag), np.abs(symbol)):
        index = np.unravel_index(int(measure.argmax()), symbol.shape)[::-1]
        waves.add(tuple(float(k[i]) for k, i in zip(numbers, index, strict=True)))
    return frozenset(waves)


def largest_symbols(problem: Problem) -> dict[sympy.Symbol, sympy.Expr]:
    """Return the largest absolute value of the symbol of each kernel, by its SymPy symbol."""
    result = {}
    for kernel in problem.kernels:
        values = kernel_values(kernel, problem.grid, problem.parameters)
        result[kernel.symbol] = sympy.Float(float(np.abs(np.fft.rfftn(values)).max()))
    return result


def check_convolutions(problem: Problem) -> None:
    """Check that the convolutions of a problem can be evaluated.

    Raises:
        BoundaryError: for an axis that is not periodic, and for obstacles.
        ConfigError: for steady problems and constraints, and for a kernel that is
            infinite or undefined in a cell.
    """
    if not problem.kernels:
        return
    equation, grid = problem.equation, problem.grid
    constrained = bool(kernels_in(equation.constraints.values()))
    if equation.steady or constrained:
        raise ConfigError(
            f"{equation.name} contains convolve(...) in equation.solve",
            "convolve in right-hand sides of time derivatives (equation.rhs) and in maps "
            "(equation.map)",
        )
    for axis, name in enumerate(grid.axes):
        if not problem.boundary.is_periodic(axis):
            raise BoundaryError(
                f"{equation.name} contains convolve(...), which needs periodic axes, and the axis "
                f"{name} has walls",
                "periodic boundary conditions on all axes: boundary=periodic",
            )
    if problem.mask is not None:
        raise BoundaryError(
            f"{equation.name} contains convolve(...), which is not available with obstacles",
            "a domain without obstacles: domain.mask=null",
        )
    for kernel in problem.kernels:
        _check_finite(kernel, problem)


def _check_finite(kernel: Kernel, problem: Problem) -> None:
    grid = problem.grid
    with np.errstate(all="ignore"):
        finite = np.isfinite(kernel_values(kernel, grid, problem.parameters))
    if finite.all():
        return
    index = np.unravel_index(int(np.argmin(finite)), grid.shape)[::-1]
    places = displacements(grid, kernel)
    values = [p.reshape(-1)[i] for p, i in zip(places.values(), index, strict=True)]
    where = ", ".join(f"{name} = {value:g}" for name, value in zip(grid.axes, values, strict=True))
    raise ConfigError(
        f"the kernel {sympy.sstr(kernel)} is infinite or undefined at {where}",
        "a kernel that is finite in all cells, also at r = 0",
        "where(r > 0, ..., 0) omits the cell itself",
    )
