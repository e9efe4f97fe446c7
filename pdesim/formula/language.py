"""The words of the formula language, and the SymPy nodes that they become.

Differential operators and generators become applied undefined functions that carry the word
itself (``laplacian(u)``), so a formula stays readable at every stage; what they mean is decided
by the discretisation (``pdesim.operators``) and by ``pdesim.initial``.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import sympy
from sympy.core.function import AppliedUndef

AXES = ("x", "y", "z")
CONSTANTS = {"pi": sympy.pi, "e": sympy.E}
TIME = sympy.Symbol("t", real=True)


@dataclass(frozen=True)
class Word:
    """One callable word: how many arguments it takes, and the SymPy node it builds."""

    arguments: tuple[str, ...]
    build: object
    about: str
    optional: int = 0


def _heaviside(a):
    return sympy.Heaviside(a, sympy.Rational(1, 2))


def _where(condition, a, b):
    return sympy.Piecewise((a, condition), (b, True))


FUNCTIONS = {
    "sin": Word(("a",), sympy.sin, "sine"),
    "cos": Word(("a",), sympy.cos, "cosine"),
    "tan": Word(("a",), sympy.tan, "tangent"),
    "exp": Word(("a",), sympy.exp, "exponential"),
    "log": Word(("a",), sympy.log, "natural logarithm"),
    "sqrt": Word(("a",), sympy.sqrt, "square root"),
    "abs": Word(("a",), sympy.Abs, "absolute value"),
    "tanh": Word(("a",), sympy.tanh, "hyperbolic tangent"),
    "sinh": Word(("a",), sympy.sinh, "hyperbolic sine"),
    "cosh": Word(("a",), sympy.cosh, "hyperbolic cosine"),
    "sign": Word(("a",), sympy.sign, "-1, 0 or 1"),
    "minimum": Word(("a", "b"), sympy.Min, "the smaller of two"),
    "maximum": Word(("a", "b"), sympy.Max, "the larger of two"),
    "heaviside": Word(("a",), _heaviside, "0 below zero, 1 above, 1/2 at zero"),
    "where": Word(("condition", "a", "b"), _where, "a where the condition holds, b elsewhere"),
}


def _derivative_words() -> dict[str, tuple[int, int]]:
    """``d_dx`` and ``d2_dx2`` per axis, as (axis in x, y, z order, derivative order)."""
    words = {}
    for axis, name in enumerate(AXES):
        words[f"d_d{name}"] = (axis, 1)
        words[f"d2_d{name}2"] = (axis, 2)
    return words


DERIVATIVES = _derivative_words()
LAPLACIAN = "laplacian"
#: ``divergence(D, f)`` is div(D grad f), written ``divergence(D*gradient(f))``.
DIVERGENCE = "divergence"
#: ``divergence_x(D, f)`` is d/dx(D df/dx), the compact form of ``d_dx(D*d_dx(f))``; the word of a
#: flux -> its axis. Formulas do not name these words: ``formula.compact`` makes them.
FLUXES = {f"divergence_{name}": axis for axis, name in enumerate(AXES)}
GRADIENT = "gradient"
GRADIENT_SQUARED = "gradient_squared"
OPERATORS = (LAPLACIAN, *DERIVATIVES, DIVERGENCE, GRADIENT_SQUARED)

GENERATORS = {
    "random_normal": Word(("amplitude",), None, "Gaussian noise, fresh at each place it stands"),
    "random_uniform": Word(("low", "high"), None, "uniform noise, fresh at each place it stands"),
    "spots": Word(
        ("count", "radius", "smoothness"),
        None,
        "1 inside `count` balls at random places, 0 outside; the same places in every field",
        optional=1,
    ),
    "image": Word(('"file"',), None, "brightness of a picture, 0 to 1, stretched over the domain"),
    "snapshot": Word(('"file"', '"field"'), None, "the last frame of a field in a snapshot file"),
}


def operator(word: str, *arguments: sympy.Expr) -> sympy.Expr:
    """The node for a differential operator (or generator) applied to its arguments."""
    return sympy.Function(word, real=True)(*arguments)


def is_operator(node: sympy.Basic) -> bool:
    if not isinstance(node, AppliedUndef):
        return False
    return node.func.__name__ in OPERATORS or node.func.__name__ in FLUXES


def word_of(node: sympy.Basic) -> str:
    return node.func.__name__


def flux_axes(word: str, dimensions: int) -> tuple[int, ...] | None:
    """The axes of a flux-form operator (divergence: all of them); None for any other word."""
    if word == DIVERGENCE:
        return tuple(range(dimensions))
    return (FLUXES[word],) if word in FLUXES else None


def has_flux_form(word: str) -> bool:
    """Whether an operator has a diffusivity as its first argument."""
    return word == DIVERGENCE or word in FLUXES


def second_order_word(word: str) -> str:
    """The linear operator that a flux-form operator is for a diffusivity of 1."""
    return LAPLACIAN if word == DIVERGENCE else f"d2_d{AXES[FLUXES[word]]}2"


def operators_in(expression: sympy.Basic) -> set[sympy.Basic]:
    """Every operator node in an expression, nested ones included."""
    return {node for node in expression.atoms(AppliedUndef) if is_operator(node)}


def operator_symbol(word: str) -> sympy.Symbol:
    """Stands for the Fourier symbol of a linear operator in symbol polynomials."""
    return sympy.Symbol(f"symbol_{word}")


def reserved_names() -> set[str]:
    """Names that fields and parameters cannot take."""
    words = itertools.chain(FUNCTIONS, OPERATORS, GENERATORS, CONSTANTS, AXES)
    return {*words, GRADIENT, "t"}


def expand_products(expression: sympy.Expr) -> sympy.Expr:
    """Multiply out the outermost products and powers; functions and their arguments stay whole.

    SymPy's full expansion would tear exp(a + b) into factors that overflow one by one.
    """
    hints = {"power_exp": False, "power_base": False, "log": False, "basic": False}
    return sympy.expand(expression, deep=False, **hints)
