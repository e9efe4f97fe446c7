"""Parities of expressions about boundaries, and polynomials that satisfy boundary conditions.

A smooth solution can be continued periodically beyond the boundaries: oddly about a Dirichlet
boundary and evenly about a Neumann boundary. A parity is a pair of signs (lower, upper) for each
axis, -1 for odd and 1 for even. The parity of a product is the product of the parities, odd
derivatives change the sign, and all terms of a sum must have the same parity.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import sympy

from pdesim.errors import BoundaryError
from pdesim.formula import language as lang
from pdesim.formula import nodes
from pdesim.model.boundary_conditions import Boundary
from pdesim.model.grid import Grid
from pdesim.operators.modes import BASES, Modes

Parity = tuple[tuple[int, int], ...]
_SIGN = {"dirichlet": -1, "neumann": 1, "periodic": 1}
_KIND = {-1: "dirichlet", 1: "neumann"}
_EVEN_OF_ODD = (sympy.cos, sympy.cosh, sympy.Abs, nodes.Sinc)
_ODD_OF_ODD = (
    sympy.sin, sympy.tan, sympy.sinh, sympy.tanh, sympy.sign, sympy.asin, sympy.atan, sympy.erf,
)  # fmt: skip


def is_even_function(node: sympy.Basic) -> bool:
    """Whether a node is a function f of one argument with f(-x) = f(x)."""
    return isinstance(node, _EVEN_OF_ODD)


def is_odd_function(node: sympy.Basic) -> bool:
    """Whether a node is a function f of one argument with f(-x) = -f(x)."""
    return isinstance(node, _ODD_OF_ODD)


@dataclass(frozen=True)
class Symmetry:
    """Parities of the fields about the boundaries of a grid."""

    grid: Grid
    boundary: Boundary
    fields: Mapping[sympy.Symbol, Parity | None]

    @property
    def even(self) -> Parity:
        return ((1, 1),) * self.grid.dimensions

    def modes(self, expression: sympy.Expr) -> Modes:
        """Return the sine, cosine or Fourier basis for an expression.

        Raises:
            BoundaryError: if the expression is neither even nor odd about a boundary.
        """
        parity = self.parity(expression)
        if parity is None:
            raise BoundaryError(
                f"operators=spectral cannot differentiate {expression}: with these boundary "
                "conditions it is neither even nor odd, so its sine or cosine series converges "
                "slowly",
                "periodic axes, or operators=stencil",
            )
        bases = []
        for axis, (lower, upper) in enumerate(parity):
            pair = (_KIND[lower], _KIND[upper])
            bases.append("fourier" if self.boundary.is_periodic(axis) else BASES[pair])
        return Modes(self.grid, tuple(bases))

    def parity(self, node: sympy.Expr) -> Parity | None:
        """Return the parity of an expression; None if it is neither even nor odd."""
        if all(self.boundary.periodic_axes):
            return self.even
        if node in self.fields:
            return self.fields[node]
        if isinstance(node, sympy.Symbol):
            axes = zip(self.grid.axes, self.boundary.periodic_axes, strict=True)
            walled = [name for name, periodic in axes if not periodic]
            return None if node.name in (*walled, "r") else self.even
        if not node.args:
            return self.even
        if lang.is_operator(node):
            return self._operator(node)
        parities = _all_known(self.parity(a) for a in node.args if isinstance(a, sympy.Expr))
        if parities is None or isinstance(node, sympy.Piecewise):
            return None
        return self._combine(node, parities)

    def _combine(self, node: sympy.Expr, parities: list[Parity]) -> Parity | None:
        if isinstance(node, sympy.Mul):
            return _product(parities)
        if isinstance(node, sympy.Pow) and node.args[1].is_Integer:
            return _product([parities[0]] * (int(node.args[1]) % 2)) or self.even
        if isinstance(node, sympy.Add):
            return parities[0] if all(p == parities[0] for p in parities) else None
        if all(p == self.even for p in parities):
            return self.even
        odd = all(sign == -1 for axis in self._walled(parities[0]) for sign in axis)
        if isinstance(node, _EVEN_OF_ODD) and odd:
            return self.even
        return parities[0] if isinstance(node, _ODD_OF_ODD) and odd else None

    def _walled(self, parity: Parity) -> list[tuple[int, int]]:
        return [p for axis, p in enumerate(parity) if not self.boundary.is_periodic(axis)]

    def _operator(self, node: sympy.Expr) -> Parity | None:
        word, parities = lang.word_of(node), _all_known(map(self.parity, node.args))
        if parities is None:
            return None
        if lang.has_flux_form(word):
            return parities[1] if parities[0] == self.even else None
        if word in lang.ADVECTION:  # the derivative of the product of both arguments
            flux = _product(parities)
            parities = [self.even if flux is None else flux]
            word = f"d_d{lang.AXES[lang.ADVECTION[word]]}"
        powers = lang.powers_of(word) if word in lang.DERIVATIVES else (2, 2, 2)
        flipped = [
            power % 2 and not self.boundary.is_periodic(a)
            for a, power in enumerate(powers[: self.grid.dimensions])
        ]
        pairs = zip(flipped, parities[0], strict=False)
        return tuple((-p[0], -p[1]) if flip else p for flip, p in pairs)


def _all_known(parities: Iterable[Parity | None]) -> list[Parity] | None:
    """Return the parities as a list, or None if one of them is None."""
    known = list(parities)
    return None if None in known else [parity for parity in known if parity is not None]


def build_symmetry(grid: Grid, boundary: Boundary, fields: Sequence[sympy.Symbol]) -> Symmetry:
    """Return the parities of the fields, which follow from their boundary conditions.

    The result is not meaningful for Robin conditions.
    """
    parities = {
        field: tuple((_SIGN.get(lo.kind, 1), _SIGN.get(up.kind, 1)) for lo, up in conditions)
        for field, conditions in zip(fields, boundary.walls, strict=True)
    }
    return Symmetry(grid, boundary, parities)


def _product(parities: Sequence[Parity]) -> Parity | None:
    if not parities:
        return None
    result = parities[0]
    for parity in parities[1:]:
        result = tuple((a[0] * b[0], a[1] * b[1]) for a, b in zip(result, parity, strict=True))
    return result


@dataclass(frozen=True)
class Lift:
    """A polynomial of one coordinate that satisfies the boundary conditions of a field."""

    axis: int
    polynomial: np.polynomial.Polynomial

    def values(self, grid: Grid, derivative: int = 0) -> np.ndarray:
        """Return the polynomial, or its derivative of a given order, in all cells.

        The shape of the result broadcasts over the grid.
        """
        x = grid.centres(self.axis) - grid.origin[self.axis]
        polynomial = self.polynomial.deriv(derivative) if derivative else self.polynomial
        return grid.broadcast(self.axis, polynomial(x))


def build_lift(grid: Grid, boundary: Boundary, field: int, name: str) -> Lift | None:
    """Return the lift of a field; None if all its boundary values are 0.

    Args:
        field: the index of the field.
        name: the name of the field, for messages.

    Raises:
        BoundaryError: for boundary values that are not constant, and for values that no polynomial
            of one coordinate satisfies.
    """
    conditions = boundary.walls[field]
    if all(condition.value == 0 for pair in conditions for condition in pair):
        return None
    if not all(condition.value.is_number for pair in conditions for condition in pair):
        raise BoundaryError(
            f"operators=spectral needs constant boundary values, but those of {name} vary",
            "numbers, or operators=stencil",
        )
    dirichlet = {float(w.value) for pair in conditions for w in pair if w.kind == "dirichlet"}
    slopes = {float(w.value) for pair in conditions for w in pair if w.kind == "neumann"}
    if len(dirichlet) == 1 and slopes <= {0.0}:
        return Lift(0, np.polynomial.Polynomial([dirichlet.pop()]))
    active = [axis for axis, pair in enumerate(conditions) if any(w.value != 0 for w in pair)]
    others = [w for axis, pair in enumerate(conditions) if axis not in active for w in pair]
    if len(active) > 1 or any(condition.kind == "dirichlet" for condition in others):
        raise BoundaryError(
            f"with operators=spectral, the boundary values of {name} must not differ along more "
            "than one axis",
            "the same value on all Dirichlet boundaries; or nonzero values on one axis, with all "
            "other axes periodic or no-flux; or operators=stencil",
        )
    return Lift(active[0], _along_axis(*conditions[active[0]], grid.extent[active[0]]))


def _along_axis(lower: Any, upper: Any, length: float) -> np.polynomial.Polynomial:
    a, b = float(lower.value), float(upper.value)
    kinds = (lower.kind, upper.kind)
    coefficients = {
        ("dirichlet", "dirichlet"): [a, (b - a) / length],
        ("dirichlet", "neumann"): [a, b],
        ("neumann", "dirichlet"): [b + a * length, -a],
        ("neumann", "neumann"): [0.0, -a, (a + b) / (2 * length)],
    }[kinds]
    return np.polynomial.Polynomial(coefficients)
