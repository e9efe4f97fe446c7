"""The words of the formula language, and the SymPy nodes that represent them.

Differential operators and generators are represented by undefined SymPy functions of the same name
(``laplacian(u)``), so that a formula remains readable at every stage. The discretisation evaluates
operators (``pdesim.operators``), and ``pdesim.model.initial_conditions`` evaluates generators.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import sympy
from sympy.core.function import AppliedUndef

from pdesim.formula import nodes

AXES = ("x", "y", "z")
CONSTANTS = {"pi": sympy.pi, "e": sympy.E}
TIME = sympy.Symbol("t", real=True)


@dataclass(frozen=True)
class Word:
    """A function, operator or generator of the language.

    Attributes:
        arguments: the names of the arguments.
        build: the function that makes the SymPy node; None if the parser makes it.
        about: a description for ``pdesim list formulas``.
        optional: the number of arguments that may be omitted at the end.
        variadic: whether any number of further arguments may follow.
    """

    arguments: tuple[str, ...]
    build: Callable[..., sympy.Expr] | None
    about: str
    optional: int = 0
    variadic: bool = False


def _clip(a: sympy.Expr, low: sympy.Expr, high: sympy.Expr) -> sympy.Expr:
    return nodes.Minimum(nodes.Maximum(a, low), high)


FUNCTIONS = {
    "sin": Word(("a",), sympy.sin, "sine"),
    "cos": Word(("a",), sympy.cos, "cosine"),
    "tan": Word(("a",), sympy.tan, "tangent"),
    "arcsin": Word(("a",), sympy.asin, "inverse sine, for a in [-1, 1]"),
    "arccos": Word(("a",), sympy.acos, "inverse cosine, for a in [-1, 1]"),
    "arctan": Word(("a",), sympy.atan, "inverse tangent"),
    "arctan2": Word(("y", "x"), nodes.Arctan2, "angle of the point (x, y), from -pi to pi"),
    "exp": Word(("a",), sympy.exp, "exponential"),
    "log": Word(("a",), sympy.log, "natural logarithm"),
    "log2": Word(("a",), lambda a: sympy.log(a) / sympy.log(2), "logarithm to base 2"),
    "log10": Word(("a",), lambda a: sympy.log(a) / sympy.log(10), "logarithm to base 10"),
    "sqrt": Word(("a",), sympy.sqrt, "square root"),
    "pow": Word(("a", "b"), lambda a, b: a**b, "a**b"),
    "abs": Word(("a",), nodes.Abs, "absolute value; the length of a vector"),
    "real": Word(("a",), lambda a: a, "real part"),
    "imag": Word(("a",), lambda a: sympy.S.Zero, "imaginary part"),
    "conj": Word(("a",), lambda a: a, "complex conjugate"),
    "angle": Word(
        ("a",), lambda a: nodes.Arctan2(sympy.S.Zero, a), "angle of a complex number, -pi to pi"
    ),
    "tanh": Word(("a",), sympy.tanh, "hyperbolic tangent"),
    "sinh": Word(("a",), sympy.sinh, "hyperbolic sine"),
    "cosh": Word(("a",), sympy.cosh, "hyperbolic cosine"),
    "sinc": Word(("a",), nodes.Sinc, "sin(pi*a)/(pi*a), 1 at zero"),
    "erf": Word(("a",), sympy.erf, "error function"),
    "sign": Word(("a",), nodes.sign, "-1, 0 or 1"),
    "floor": Word(("a",), nodes.Floor, "largest integer not above a"),
    "ceil": Word(("a",), nodes.Ceil, "smallest integer not below a"),
    "mod": Word(("a", "b"), nodes.Mod, "remainder of a/b, with the sign of b; also a % b"),
    "minimum": Word(("a", "b"), nodes.Minimum, "the smallest of two or more", variadic=True),
    "maximum": Word(("a", "b"), nodes.Maximum, "the largest of two or more", variadic=True),
    "clip": Word(("a", "low", "high"), _clip, "a, limited to the interval from low to high"),
    "heaviside": Word(("a",), nodes.Heaviside, "0 below zero, 1 above, 1/2 at zero"),
    "where": Word(("condition", "a", "b"), nodes.where, "a where the condition holds, b elsewhere"),
}

#: functions of vectors: v, [a, b] with a component for each axis, and gradient(f)
VECTOR_FUNCTIONS = {
    "dot": Word(("v", "w"), None, "v_x*w_x + v_y*w_y + v_z*w_z"),
    "curl": Word(("v",), None, "curl of a vector; in 2-D the number d_dx(v_y) - d_dy(v_x)"),
    "advect": Word(
        ("v", "u"),
        None,
        "divergence of v*u, by upwind finite volumes; du/dt = -advect(v, u) transports u",
    ),
}

#: alternative name -> name of a function
ALIASES = {
    "ln": "log",
    "asin": "arcsin",
    "acos": "arccos",
    "atan": "arctan",
    "atan2": "arctan2",
    "min": "minimum",
    "max": "maximum",
}
FUNCTIONS |= {alias: FUNCTIONS[word] for alias, word in ALIASES.items()}

#: the highest derivative along one axis that the language contains
HIGHEST_DERIVATIVE = 6


def derivative_word(powers: tuple[int, ...]) -> str:
    """Return the word for the derivative of given orders along x, y and z.

    It is ``d3_dx3`` for (3, 0, 0) and ``d2_dxdy`` for (1, 1, 0).
    """
    total = sum(powers)
    number = "" if total == 1 else str(total)
    below = (f"d{a}{p if p > 1 else ''}" for a, p in zip(AXES, powers, strict=False) if p)
    return f"d{number}_{''.join(below)}"


def _derivative_powers() -> list[tuple[int, ...]]:
    pure = [
        tuple(power if a == axis else 0 for a in range(3))
        for axis in range(3)
        for power in range(1, HIGHEST_DERIVATIVE + 1)
    ]
    return [*pure, (1, 1, 0), (1, 0, 1), (0, 1, 1)]


#: derivative word -> its orders along x, y and z
DERIVATIVES = {derivative_word(powers): powers for powers in _derivative_powers()}
#: mixed derivatives with the axes in reverse order -> the words for them
DERIVATIVE_ALIASES = {"d2_dydx": "d2_dxdy", "d2_dzdx": "d2_dxdz", "d2_dzdy": "d2_dydz"}
LAPLACIAN = "laplacian"
#: ``divergence(D, f)`` is div(D grad f), written ``divergence(D*gradient(f))``.
DIVERGENCE = "divergence"
#: word of a flux-form operator -> its axis: ``divergence_x(D, f)`` is d/dx(D df/dx), the compact
#: form of ``d_dx(D*d_dx(f))``. Users cannot write these words; ``formula.compact`` introduces them.
FLUXES = {f"divergence_{name}": axis for axis, name in enumerate(AXES)}
#: word of conservative transport along an axis -> its axis: ``advect_x(a, u)`` is d/dx(a*u). The
#: parser writes ``advect([a, b], u)`` as a sum of these words.
ADVECTION = {f"advect_{name}": axis for axis, name in enumerate(AXES)}
#: word of the numerical diffusion of upwind differences -> its axis: h/2*d2_dx2(u) with the cell
#: width h. It occurs in Jacobians only.
UPWIND = {f"upwind_{name}": axis for axis, name in enumerate(AXES)}
GRADIENT = "gradient"
GRADIENT_SQUARED = "gradient_squared"
OPERATORS = (LAPLACIAN, *DERIVATIVES, DIVERGENCE, GRADIENT_SQUARED)
#: ``convolve(K, f)`` is the integral over the domain of K(x - y) f(y) dy; see ``formula.kernels``
CONVOLVE = "convolve"
_OPERATORS = frozenset((*OPERATORS, *FLUXES, *ADVECTION, CONVOLVE))
#: functions of one argument whose value is a single number for the whole domain. Obstacles do not
#: belong to the domain. With two or more arguments, ``max`` and ``min`` are elementwise functions
REDUCTIONS = {
    "mean": Word(("f",), None, "the mean of f over the domain"),
    "integral": Word(("f",), None, "the integral of f over the domain"),
    "max": Word(("f",), None, "the largest value of f in the domain"),
    "min": Word(("f",), None, "the smallest value of f in the domain"),
}


def powers_of(word: str, dimensions: int = 3) -> tuple[int, ...]:
    """Return the orders of a derivative along the axes; ``(2, 0)`` for ``d2_dx2`` in 2-D."""
    return DERIVATIVES[word][:dimensions]


def exists_in(word: str, dimensions: int) -> bool:
    """Whether an operator can be used on a grid with this number of dimensions.

    It cannot if it is a derivative along an axis that the grid does not have.
    """
    return word not in DERIVATIVES or not any(DERIVATIVES[word][dimensions:])


GENERATORS = {
    "random_normal": Word(("amplitude",), None, "Gaussian noise, independent for each occurrence"),
    "random_uniform": Word(("low", "high"), None, "uniform noise, independent for each occurrence"),
    "random_number": Word(
        ("low", "high"), None, "one uniform random number from low to high, the same in all cells"
    ),
    "spots": Word(
        ("count", "radius", "smoothness"),
        None,
        "1 inside `count` balls at random positions, 0 outside; the same positions in every field",
        optional=1,
    ),
    "random_waves": Word(
        ("n",),
        None,
        "smooth noise: n uniform numbers from -1/2 to 1/2 per axis, interpolated by waves",
    ),
    "random_gaussians": Word(
        ("fewest", "most", "weakest", "strongest", "widest", "narrowest"),
        None,
        "a sum of fewest to most Gaussians a*exp(-s*r**2) at random positions, scaled to [0, 1]; "
        "a from weakest to strongest, s from widest to narrowest",
    ),
    "random_field": Word(
        ("exponent", "length"),
        None,
        "a Gaussian random field of mean 0 and standard deviation 1, whose power spectral density "
        "is proportional to (1 + (k*length)**2)**(-exponent) for angular wave numbers k",
    ),
    "random_sines": Word(
        ("count", "highest"),
        None,
        "the sum of `count` sine waves with amplitudes from 0 to 1, any phases, and 1 to `highest` "
        "wavelengths along each axis, all random",
    ),
    "random_series": Word(
        ("highest",),
        None,
        "a Fourier series with random amplitudes and phases, up to `highest` wavelengths along "
        "each axis, of mean 0 and largest absolute value 1",
    ),
    "random_steps": Word(
        ("count",),
        None,
        "random values from 0 to 1 between `count` jumps at random positions; in 2-D and 3-D, in "
        "the Voronoi cells of `count` random points",
    ),
    "image": Word(('"file"',), None, "brightness of a picture, 0 to 1, stretched over the domain"),
    "snapshot": Word(
        ('"file"', '"field"', "time"),
        None,
        "a frame of a field in a snapshot file, by default the last, on this grid",
        optional=1,
    ),
    "dataset": Word(
        ('"file"', '"name"'), None, "an array in an HDF5 file, one number for each cell of the grid"
    ),
}


#: the formulas that may contain them
WITH_GENERATORS = "a formula of an initial state, or of a parameter of a steady problem"


def operator(word: str, *arguments: sympy.Expr) -> sympy.Expr:
    """Return the node of a differential operator or generator applied to its arguments."""
    return sympy.Function(word, real=True)(*arguments)


def divergence(fluxes: Mapping[sympy.Expr, Sequence[sympy.Expr]]) -> sympy.Expr:
    """Return the divergence of a sum of fluxes ``D*gradient(f)``.

    Args:
        fluxes: f -> the list of its diffusivities D.

    Each D gives a separate term, so that terms with a constant D belong to the linear operator. If
    any D of an f is discontinuous, however, all D of this f are added to one coefficient, because
    the harmonic mean of a sum on a face is not the sum of the harmonic means.
    """
    total = sympy.S.Zero
    for f, coefficients in fluxes.items():
        joined = any(map(nodes.jumps, coefficients))
        terms = [sympy.Add(*coefficients)] if joined else coefficients
        total += sympy.Add(*(operator(DIVERGENCE, d, f) for d in terms))
    return total


def differentiated(word: str, inner: sympy.Expr) -> sympy.Expr:
    """Return a differential operator applied to an expression.

    Nested first derivatives along two different axes become a mixed derivative, also in a term of a
    sum or with a numerical factor: ``d_dx(u + 2*d_dy(v))`` is ``d_dx(u) + 2*d2_dxdy(v)``. A mixed
    derivative needs ghost cells of the field only. Nested derivatives would also need ghost cells
    of the inner derivative.
    """
    if sum(DERIVATIVES.get(word, ())) != 1:
        return operator(word, inner)
    total, rest = sympy.S.Zero, sympy.S.Zero
    for term in sympy.Add.make_args(inner):
        number, factor = term.as_coeff_Mul()
        powers = DERIVATIVES.get(word_of(factor), ()) if is_operator(factor) else ()
        mixed = tuple(a + b for a, b in zip(DERIVATIVES[word], powers, strict=False))
        if sum(powers) == 1 and max(mixed) == 1:
            total += number * operator(derivative_word(mixed), factor.args[0])
        else:
            rest += term
    return total if rest == 0 and total != 0 else total + operator(word, rest)


def with_nested(expression: sympy.Expr, axes: Collection[int], mixed: bool) -> sympy.Expr:
    """Replace third and higher derivatives by nested first and second derivatives.

    Args:
        expression: a formula.
        axes: the axes along which derivatives are replaced; 0 is x.
        mixed: whether mixed derivatives are replaced by nested first derivatives.

    Returns:
        The formula. A derivative of odd order becomes second derivatives inside a first derivative.
    """
    if not expression.has(AppliedUndef):
        return expression
    arguments = [with_nested(argument, axes, mixed) for argument in expression.args]
    powers = DERIVATIVES.get(word_of(expression), ()) if is_operator(expression) else ()
    high = [a for a, power in enumerate(powers) if power > 2 and a in axes]
    if not high and not (mixed and sum(power > 0 for power in powers) > 1):
        return expression.func(*arguments)
    (inner,) = arguments
    for axis, power in enumerate(powers):
        for part in [2] * (power // 2) + [1] * (power % 2):
            along = tuple(part if a == axis else 0 for a in range(3))
            inner = operator(derivative_word(along), inner)
    return inner


def is_operator(node: sympy.Basic) -> bool:
    """Whether a node is a differential operator or a convolution with its arguments."""
    return isinstance(node, AppliedUndef) and node.func.__name__ in _OPERATORS


def is_reduction(node: sympy.Basic) -> bool:
    """Whether a node is a reduction over the domain with its argument."""
    return isinstance(node, AppliedUndef) and node.func.__name__ in REDUCTIONS


def word_of(node: sympy.Basic) -> str:
    """Return the word of an operator, reduction or generator node."""
    return node.func.__name__


def flux_axes(word: str, dimensions: int) -> tuple[int, ...] | None:
    """Return the axes of a flux-form operator (all for divergence), or None for other words."""
    if word == DIVERGENCE:
        return tuple(range(dimensions))
    return (FLUXES[word],) if word in FLUXES else None


def word_of_flux(node: sympy.Basic) -> str:
    """Return the word of a flux along one axis with its arguments; empty for other nodes."""
    return word_of(node) if is_operator(node) and word_of(node) in FLUXES else ""


def has_flux_form(word: str) -> bool:
    """Whether an operator has the form ``word(D, f)`` with a diffusivity D."""
    return word == DIVERGENCE or word in FLUXES


def second_order_word(word: str) -> str:
    """Return the word of the operator that a flux-form operator becomes for a diffusivity of 1."""
    return LAPLACIAN if word == DIVERGENCE else f"d2_d{AXES[FLUXES[word]]}2"


def operators_in(expression: sympy.Basic) -> set[sympy.Basic]:
    """Return all operator nodes in an expression, including nested ones."""
    return {node for node in expression.atoms(AppliedUndef) if is_operator(node)}


def reductions_in(expression: sympy.Basic) -> set[sympy.Basic]:
    """Return all reduction nodes in an expression, including nested ones."""
    return {node for node in expression.atoms(AppliedUndef) if is_reduction(node)}


def outermost(expression: sympy.Basic) -> set[sympy.Expr]:
    """Return the operators and reductions that are not inside other operators or reductions."""
    if is_operator(expression) or is_reduction(expression):
        return {expression}
    return set().union(*(outermost(argument) for argument in expression.args))


def operator_symbol(word: str) -> sympy.Symbol:
    """Return the SymPy symbol that stands for the Fourier symbol of a linear operator.

    The symbol of a reduction is its effect on a uniform perturbation, and 0 for all waves.
    """
    return sympy.Symbol(f"symbol_{word}")


#: names of the coordinates, the lengths of the domain, the distance from its centre, and time
PLACES = (*AXES, *(f"L{axis}" for axis in AXES), "r", "t")
#: names that no field can have: ``default`` and ``mask`` are keys of ``initial`` and ``boundary``,
#: and files contain arrays with the names ``time`` and ``mask`` (exported files also ``config`` and
#: ``equation``), and a group ``solver``
FIELD_NAMES_TAKEN = ("config", "default", "equation", "mask", "solver", "time")


def reserved_names(kind: str) -> tuple[str, ...]:
    """Return a sorted list of the names that fields or parameters cannot have.

    The names of functions are not reserved, because a name followed by a parenthesis is always a
    function, and any other name is always a variable.

    Args:
        kind: ``"field"`` or ``"parameter"``.
    """
    names = {*PLACES, *CONSTANTS, *OPERATORS, *FLUXES, *DERIVATIVE_ALIASES, GRADIENT}
    names |= {operator_symbol(word).name for word in (*OPERATORS, *REDUCTIONS, *UPWIND)}
    if kind == "field":
        names |= set(FIELD_NAMES_TAKEN)
    return tuple(sorted(names, key=str.lower))
