"""Neural networks in formulas: ``f(u, v)[0]`` is the first output of the network f.

A network is a sequence of layers ``a_(l+1) = s(a_l W_l + b_l)``, where the activation s is omitted
in the last layer. It is evaluated in every cell.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import sympy

from pdesim.errors import ConfigError
from pdesim.formula import nodes

#: largest number of hidden units of a network whose second derivatives are available
MOST_EXPANDED = 256

#: activation -> ``(value, slope)``: the function of its argument, and its derivative; both take the
#: array library, the argument and, for the derivative, the value
ACTIVATIONS: dict[str, tuple[Callable, Callable]] = {
    "tanh": (lambda m, z: m.tanh(z), lambda m, z, a: 1 - a * a),
    "sigmoid": (lambda m, z: 0.5 * (m.tanh(0.5 * z) + 1), lambda m, z, a: a * (1 - a)),
    "relu": (lambda m, z: m.maximum(z, 0 * z), lambda m, z, a: 0.5 * (m.sign(z) + 1)),
    "softplus": (
        lambda m, z: m.maximum(z, 0 * z) + m.log1p(m.exp(-m.abs(z))),
        lambda m, z, a: 0.5 * (m.tanh(0.5 * z) + 1),
    ),
    "sin": (lambda m, z: m.sin(z), lambda m, z, a: m.cos(z)),
}


@dataclass(frozen=True, eq=False)
class Network:
    """A fully connected network.

    Attributes:
        name: its name in formulas.
        layers: the number of inputs, of units in each hidden layer, and of outputs.
        activation: a key of :data:`ACTIVATIONS`.
        weights: the matrices ``(inputs, outputs)`` and the biases ``(outputs,)`` of all layers, in
            the order ``W_0, b_0, W_1, b_1, ...``; float64.
    """

    name: str
    layers: tuple[int, ...]
    activation: str
    weights: tuple[np.ndarray, ...]

    @cached_property
    def digest(self) -> str:
        """A text that differs between networks with different layers or weights."""
        parts = [repr((self.layers, self.activation)).encode()]
        parts += [np.ascontiguousarray(w, float).tobytes() for w in self.weights]
        return hashlib.sha256(b"".join(parts)).hexdigest()[:32]

    @property
    def argument_names(self) -> tuple[str, ...]:
        """The names of the weights as arguments of programs."""
        return tuple(f"{self.name}/{number}" for number in range(len(self.weights)))


class Arrays(Protocol):
    """The operations of an array library that networks need.

    Elementwise functions have NumPy's names.
    """

    def asarray(self, values: Any) -> Any:
        """Return an array of real numbers."""

    def product(self, matrix: Any, values: Any) -> Any:
        """Return ``matrix^T values``."""

    def stacked(self, inputs: Sequence[Any]) -> tuple[Any, tuple[int, ...]]:
        """Return arrays as rows ``(arrays, cells)``, and their common shape."""

    def restored(self, rows: Any, shape: tuple[int, ...]) -> list[Any]:
        """Return the rows as arrays of this shape."""

    def __getattr__(self, name: str) -> Any:
        """Return an elementwise function."""


class NumpyArrays:
    """See :class:`Arrays`."""

    def asarray(self, values: Any) -> np.ndarray:
        return np.asarray(values, float)

    def product(self, matrix: np.ndarray, values: np.ndarray) -> np.ndarray:
        return matrix.T @ values

    def stacked(self, inputs: Sequence[np.ndarray]) -> tuple[np.ndarray, tuple[int, ...]]:
        arrays = np.broadcast_arrays(*inputs)
        return np.stack([array.reshape(-1) for array in arrays]), arrays[0].shape

    def restored(self, rows: np.ndarray, shape: tuple[int, ...]) -> list[np.ndarray]:
        return [row.reshape(shape) for row in rows]

    def __getattr__(self, name: str) -> Any:
        return getattr(np, name)


class NetworkSymbol(sympy.Symbol):
    """The symbol of a network; symbols are equal if the names and the weights are."""

    __slots__ = ("network",)
    network: Network

    def __new__(cls, network: Network) -> NetworkSymbol:
        result = sympy.Symbol.__xnew__(cls, network.name, real=True)
        result.network = network
        return result

    def _hashable_content(self) -> tuple:
        return (*super()._hashable_content(), self.network.digest)

    def __reduce__(self) -> tuple:
        return type(self), (self.network,)


class NetworkValue(sympy.Function):
    """An output of a network.

    The arguments are the symbol, the number of the output, and the inputs.
    """

    def _eval_is_extended_real(self) -> bool:
        return True

    @classmethod
    def eval(cls, *args: sympy.Expr) -> None:
        return None


class NetworkSlope(NetworkValue):
    """The derivative of an output with respect to an input.

    The arguments are the symbol, the numbers of the output and of the input, and the inputs.
    """


class _Symbolic:
    """SymPy's functions under NumPy's names."""

    tanh, sin, cos, exp = sympy.tanh, sympy.sin, sympy.cos, sympy.exp
    maximum, abs, sign = nodes.Maximum, nodes.Abs, nodes.sign

    @staticmethod
    def log1p(value: sympy.Expr) -> sympy.Expr:
        return sympy.log(1 + value)


def expanded(network: Network, output: int, inputs: Sequence[sympy.Expr]) -> sympy.Expr:
    """Return an output of a network as a formula that contains its weights as numbers.

    It serves second derivatives, for which there is no node.

    Raises:
        ConfigError: for networks with more than ``MOST_EXPANDED`` hidden units.
    """
    if sum(network.layers[1:-1]) > MOST_EXPANDED:
        raise ConfigError(
            f"this requires second derivatives of the network {network.name}, which has "
            f"{sum(network.layers[1:-1])} hidden units",
            f"at most {MOST_EXPANDED} hidden units, or a formula without derivatives of "
            f"{network.name}(...)",
        )
    value, _ = ACTIVATIONS[network.activation]
    rows = list(inputs)
    for number, (matrix, bias) in enumerate(
        zip(network.weights[::2], network.weights[1::2], strict=True)
    ):
        rows = [value(_Symbolic, row) for row in rows] if number else rows
        rows = [
            sympy.Add(b, *(w * row for w, row in zip(column, rows, strict=True)))
            for column, b in zip(matrix.T.tolist(), bias.tolist(), strict=True)
        ]
    return rows[output]


def evaluate(
    network: Network,
    weights: Sequence[Any] | None,
    inputs: Sequence[Any],
    arrays: Arrays,
    by: int | None = None,
) -> list[Any]:
    """Return all outputs of a network, or their derivatives with respect to one input.

    Args:
        weights: weights in place of those of the network.
        inputs: numbers or arrays that broadcast against each other.
        arrays: the array library.
        by: the number of an input; None for the outputs themselves.
    """
    own = [arrays.asarray(weight) for weight in weights or network.weights]
    rows, shape = arrays.stacked([arrays.asarray(value) for value in inputs])
    layers = list(zip(own[::2], own[1::2], strict=True))
    value, slope = ACTIVATIONS[network.activation]
    rate = None
    if by is not None:
        unit = np.zeros((len(inputs), 1))
        unit[by] = 1.0
        rate = arrays.product(layers[0][0], arrays.asarray(unit)) + 0 * rows[:1]
    for number, (matrix, bias) in enumerate(layers):
        if number:
            z, rows = rows, value(arrays, rows)
            if rate is not None:
                rate = arrays.product(matrix, slope(arrays, z, rows) * rate)
        rows = arrays.product(matrix, rows) + bias[:, None]
    return arrays.restored(rows if rate is None else rate, shape)
