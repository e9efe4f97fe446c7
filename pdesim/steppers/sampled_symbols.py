"""The Fourier symbols of operators at the wave vectors that may limit the time step (NumPy)."""

from __future__ import annotations

import numpy as np

from pdesim.formula import language as lang
from pdesim.operators.kernels import extreme_waves, kernel_symbols
from pdesim.operators.problem import Problem
from pdesim.operators.symbols import operator_names, symbol_names
from pdesim.steppers.boundary_modes import stiffest_mode

#: number of evenly spaced wave numbers per axis, by dimension
ANGLES = {1: 65, 2: 17, 3: 9}
#: additional long waves have the angles pi / 2**n per cell, for these n
LONG = np.arange(3, 8)


def sampled_symbols(problem: Problem) -> dict[str, np.ndarray]:
    """Return the symbols of operators at sampled wave vectors and boundary modes, by name.

    The samples include the waves for which the symbol of a convolution is extreme. Each array has
    the shape ``(wave vectors, 1)``.
    """
    grid, scheme = problem.grid, problem.discretisation
    count = ANGLES[grid.dimensions]
    powers = range(1, lang.HIGHEST_DERIVATIVE + 1)
    per_axis, wavenumbers_of_axes = [], []
    extremes = np.array(extreme_waves(problem.kernels, grid, problem.parameters))
    for axis, spacing in enumerate(grid.spacing):
        # evenly spaced wave numbers and additional long waves, which are often unstable
        angles = np.append(np.linspace(0, np.pi, (count + 1) // 2), np.pi / 2.0**LONG)
        if len(extremes):
            angles = np.append(angles, np.unique(extremes[:, axis]) * spacing)
        if axis > 0:  # for real states, half of the wave vectors suffice
            angles = np.concatenate([angles, -angles[1:]])
        wavenumbers = angles / spacing
        wavenumbers_of_axes.append(wavenumbers)
        line = {n: scheme.symbol(n, wavenumbers, spacing) for n in powers}
        stiffest = stiffest_mode(problem, axis)
        if stiffest < line[2].min():
            even = {n: stiffest ** (n // 2) * (n % 2 == 0) for n in powers}
            line = {n: np.append(values, even[n]) for n, values in line.items()}
        per_axis.append(line)
    numbers = np.meshgrid(*(np.arange(len(line[1])) for line in per_axis), indexing="ij")
    index = [n.reshape(-1, 1) for n in numbers]
    complete = problem.equation.complete_jacobian
    needed = {*operator_names(complete), *operator_names(problem.split.matrix)}
    table = scheme.assemble(grid, lambda axis, power: per_axis[axis][power][index[axis]], needed)
    symbols = kernel_symbols(problem.kernels, grid, problem.parameters, wavenumbers_of_axes)
    # all axes are periodic, so that there are no further modes
    nonlocal_symbols = {name: values.reshape(-1, 1) for name, values in symbols.items()}
    return {**symbol_names(table), **nonlocal_symbols}
