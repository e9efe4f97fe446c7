"""Convolutions ``convolve("K", f)`` on periodic axes by fast Fourier transforms, in TensorFlow.

The modes of f are multiplied by those of the kernel, ``V*K(d)`` in the cell at the displacement d,
where V is the volume of a cell (:mod:`pdesim.operators.kernels`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from pdesim.formula import Evaluator
from pdesim.formula.kernels import Kernel
from pdesim.operators import transforms
from pdesim.operators.kernels import displacements, lengths

if TYPE_CHECKING:
    from pdesim.operators.method_of_lines import MethodOfLines


def with_kernels(system: MethodOfLines) -> MethodOfLines:
    """Return a system that contains the transforms of its kernels.

    They do not depend on the state, so that a loop over steps does not compute them again. The
    system is returned unchanged if it has no values of the parameters.
    """
    kernels = system.problem.kernels
    if not kernels or not set(system.problem.parameters) <= set(system.parameters):
        return system
    modes = {kernel.symbol.name: _transform(system, kernel) for kernel in kernels}
    return replace(system, kernels=modes)


def convolved(system: MethodOfLines, kernel: Kernel, coefficients: tf.Tensor) -> tf.Tensor:
    """Return the convolution with a kernel in all cells, from the modes of its argument."""
    known: Mapping[str, tf.Tensor] = system.kernels
    name = kernel.symbol.name
    factors = known[name] if name in known else _transform(system, kernel)
    return transforms.backward(transforms.multiply(factors, coefficients), system.problem.modes)


def _transform(system: MethodOfLines, kernel: Kernel) -> tf.Tensor:
    """Return the modes of a kernel: ``(*modes.shape,)``, with an axis of members first, if any."""
    grid, dtype = system.problem.grid, system.dtype
    constants: dict[str, Any] = {**lengths(grid), **system.parameters}
    places = displacements(grid, kernel)
    names = {**constants, **{name: tf.constant(v, dtype) for name, v in places.items()}}
    values = system.full(Evaluator(names, system.library)(kernel.formula), grid.shape)
    weight = tf.constant(grid.cell_volume, dtype)
    return transforms.forward(values * weight, system.problem.modes)
