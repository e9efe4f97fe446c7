"""All words of the formula language, for ``pdesim list functions`` and the documentation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pdesim.formula.kernels import CONVOLUTION
from pdesim.formula.language import (
    ALIASES,
    CONVOLVE,
    DERIVATIVES,
    FUNCTIONS,
    GENERATORS,
    HIGHEST_DERIVATIVE,
    REDUCTIONS,
    VECTOR_FUNCTIONS,
    Word,
)

_DERIVATIVE_ABOUTS = {
    "d_dx": "the first derivative along x; also d_dy, d_dz",
    "d2_dx2": "the second derivative along x; also d2_dy2, d2_dz2",
    "d3_dx3": "the third derivative along x; also along y and z, and up to order "
    f"{HIGHEST_DERIVATIVE}: d{HIGHEST_DERIVATIVE}_dx{HIGHEST_DERIVATIVE}",
    "d2_dxdy": "a mixed derivative; also d2_dxdz, d2_dydz",
}
OPERATORS = {
    "laplacian": Word(("f",), None, "the sum of the second derivatives; of a vector, by component"),
    "gradient": Word(("f",), None, "the vector of the first derivatives"),
    "divergence": Word(
        ("v",),
        None,
        "d_dx(v_x) + d_dy(v_y) + d_dz(v_z); divergence(D*gradient(f)) is discretised as the "
        "balance of fluxes through the faces of cells, so that the integral is conserved",
    ),
    "gradient_squared": Word(("f",), None, "dot(gradient(f), gradient(f))"),
    **{word: Word(("f",), None, about) for word, about in _DERIVATIVE_ABOUTS.items()},
}
assert set(_DERIVATIVE_ABOUTS) <= set(DERIVATIVES)
#: what a formula may contain beside functions -> its description
SYNTAX = {
    "+  -  *  /  %  **": "arithmetic; x**-1 is 1/x; % is the remainder",
    "<  <=  >  >=  ==  !=": "comparisons, in conditions",
    "and  or  not": "of conditions",
    "a if condition else b": "as where(condition, a, b)",
    "1j": "the imaginary unit, in equations with complex fields",
    "[a, b]": "a vector with a component for each axis",
    "pi  e": "constants",
    "x  y  z": "coordinates of cell centres; an axis goes from domain.origin (0) to "
    "domain.origin + domain.extent, which are faces of cells, so that the first of n centres along "
    "x is at origin + Lx/(2*n)",
    "Lx  Ly  Lz": "lengths of the domain, domain.extent",
    "r": "the distance from the centre of the domain, which is at origin + extent/2; in other "
    "geometries than cartesian, the radius",
    "t": "time",
}


@dataclass(frozen=True)
class Section:
    """Words of one kind.

    Attributes:
        title: the kind.
        where: where they may be used.
        words: word -> its description.
    """

    title: str
    where: str
    words: Mapping[str, Word]

    def calls(self) -> list[tuple[str, str]]:
        """Return each word with its arguments, and its description."""
        return [(call(name, word), word.about) for name, word in self.words.items()]


def call(name: str, word: Word) -> str:
    """Return a call of the word: ``clip(a, low, high)``."""
    more = ", ..." if word.variadic else ""
    return f"{name}({', '.join(word.arguments)}{more})"


SECTIONS = (
    Section("functions", "as in NumPy", {k: w for k, w in FUNCTIONS.items() if k not in ALIASES}),
    Section(
        "operators",
        "derivatives in equations and observables, which can be nested",
        OPERATORS,
    ),
    Section(
        "vectors",
        "in equations and observables; v is a field, a parameter, [a, b] or gradient(f)",
        VECTOR_FUNCTIONS,
    ),
    Section(
        "reductions",
        "numbers of the whole domain without its obstacles, in equations, boundary values and "
        "observables",
        REDUCTIONS,
    ),
    Section(
        "convolutions",
        "in equations with time derivatives and maps, on periodic axes",
        {CONVOLVE: CONVOLUTION},
    ),
    Section(
        "initial states",
        "evaluated on the grid; also in parameters and sources",
        GENERATORS,
    ),
)
