"""The right-hand side of an equation for uniform fields, and its Jacobian for plane waves.

For fields that do not depend on position, every differential operator is 0. What remains of the
right-hand side are the reactions f(u), and du/dt = f(u) is an ordinary differential equation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import sympy

from pdesim.analysis.tape import Tape, record
from pdesim.errors import ConfigError
from pdesim.formula import expansion
from pdesim.formula import language as lang
from pdesim.formula.calculus import derivative
from pdesim.operators.problem import Problem
from pdesim.operators.schemes import Discretisation

#: replaces infinite coefficients; products of several of these are still finite
HUGE = 1e60
#: names that vary in space
_POSITIONS = {*lang.AXES, "r"}


@dataclass(frozen=True)
class Reactions:
    """The reactions f(u) of a problem, and its Jacobian about uniform states.

    Attributes:
        problem: the problem.
        names: the values of parameters, of the lengths of the domain, and of time.
        formulas: f, an expression for each field.
        monomials: the products of operator symbols in the Jacobian for plane waves
            (:func:`pdesim.formula.language.operator_symbol`), each as pairs (word, power).
        depends_on_state: whether the Jacobian contains a field.
    """

    problem: Problem
    names: Mapping[str, float]
    formulas: tuple[sympy.Expr, ...]
    monomials: tuple[tuple[tuple[str, int], ...], ...]
    depends_on_state: bool
    _rates: Tape = field(repr=False)
    _terms: tuple[Tape, ...] = field(repr=False)
    _coefficients: Tape = field(repr=False)

    @property
    def fields(self) -> tuple[str, ...]:
        """The names of the fields."""
        return self.problem.equation.fields

    @property
    def size(self) -> int:
        """The number of fields."""
        return len(self.fields)

    @property
    def words(self) -> list[str]:
        """The names of the operators in the Jacobian."""
        return sorted({word for monomial in self.monomials for word, _ in monomial})

    def with_value(self, name: str, value: float) -> Reactions:
        """Return the reactions for another value of a parameter."""
        return replace(self, names={**self.names, name: value})

    def rates(self, states: np.ndarray) -> np.ndarray:
        """Return f(u) for several uniform states.

        Args:
            states: shape ``(fields, states)``.

        Returns:
            The rates of change, of the same shape.
        """
        return self._rates(self._values(states), states.shape[1:])

    def slopes(self, states: np.ndarray) -> np.ndarray:
        """Return df/du for several uniform states: ``(states, fields, fields)``."""
        return self.coefficients(states)[self.monomials.index(())]

    def coefficients(self, states: np.ndarray) -> np.ndarray:
        """Return the coefficients of the monomials of the Jacobian.

        The shape is ``(monomials, states, fields, fields)``.
        """
        values = self._coefficients(self._values(states), states.shape[1:])
        shape = (len(self.monomials), self.size, self.size, states.shape[1])
        return np.moveaxis(values.reshape(shape), -1, 1)

    def term_sizes(self, states: np.ndarray) -> np.ndarray:
        """Return the sum of the absolute values of the terms of f, the scale of its rounding error.

        The shape of the argument and of the result is ``(fields, states)``.
        """
        names, shape = self._values(states), states.shape[1:]
        return np.stack([np.abs(terms(names, shape)).sum(axis=0) for terms in self._terms])

    def _values(self, states: np.ndarray) -> dict[str, object]:
        return {**self.names, **dict(zip(self.fields, states, strict=True))}


def build_reactions(problem: Problem, time: float) -> Reactions:
    """Return the reactions of a problem.

    Args:
        time: the time at which coefficients that depend on time are evaluated.

    Raises:
        ConfigError: for steady problems, and for coefficients that depend on position. Small
            perturbations are then no plane waves.
    """
    equation, grid = problem.equation, problem.grid
    if equation.steady:
        raise ConfigError(
            f"{equation.name} is a steady problem, in which nothing grows or decays",
            "an equation with rhs, which gives du/dt",
        )
    if equation.constraints:
        raise ConfigError(
            f"{equation.name} has constraints (equation.solve), which are not analysed",
            "an equation without equation.solve",
        )
    if equation.reductions:
        raise ConfigError(
            f"the right-hand side of {equation.name} contains values of the whole domain (mean, "
            "integral, max or min): it acts on uniform perturbations, but not on waves",
            "a right-hand side that is evaluated in every cell",
        )
    if problem.kernels:
        raise ConfigError(
            f"the right-hand side of {equation.name} contains convolutions, whose action on "
            "uniform states and waves is not analysed",
            "a right-hand side without convolve",
        )
    if equation.networks:
        raise ConfigError(
            f"the right-hand side of {equation.name} contains a neural network, whose steady "
            "states are not computed",
            "a right-hand side without networks",
        )
    symbols = {s.name for formula in equation.formulas for s in formula.free_symbols}
    if places := sorted(symbols & {*_POSITIONS, *equation.arrays}):
        raise ConfigError(
            f"the right-hand side of {equation.name} depends on {' and '.join(places)}: "
            "perturbations of a uniform state are not plane waves",
            "coefficients that are the same everywhere",
            "replace the formula by a number, such as its mean over the domain",
        )
    formulas = tuple(_without_operators(formula) for formula in equation.formulas)
    entries = [_by_monomial(_without_operators(entry)) for entry in equation.jacobian]
    monomials = ((), *sorted({m for entry in entries for m in entry if m}))
    zero = sympy.S.Zero
    coefficients = [entry.get(monomial, zero) for monomial in monomials for entry in entries]
    lengths = {f"L{axis}": length for axis, length in zip(grid.axes, grid.extent, strict=True)}
    named = {symbol.name for one in coefficients for symbol in one.free_symbols}
    return Reactions(
        problem,
        {**problem.parameters, **lengths, "t": time},
        formulas,
        monomials,
        bool(named & set(equation.fields)),
        record(formulas),
        tuple(record(_terms(formula)) for formula in formulas),
        record(coefficients),
    )


def _without_operators(formula: sympy.Expr) -> sympy.Expr:
    """Return a formula for uniform fields, without numerical diffusion: all operators are 0."""
    numerical = {lang.operator_symbol(word) for word in lang.UPWIND}
    return formula.xreplace(dict.fromkeys({*lang.operators_in(formula), *numerical}, sympy.S.Zero))


def _terms(formula: sympy.Expr) -> list[sympy.Expr]:
    """Return the terms of a sum, after products are expanded."""
    terms = sympy.Add.make_args(formula)
    return [t for term in terms for t in sympy.Add.make_args(expansion.expand_products(term))]


def _by_monomial(entry: sympy.Expr) -> dict[tuple[tuple[str, int], ...], sympy.Expr]:
    """Return an entry of the Jacobian, a polynomial in operator symbols, as its coefficients.

    The coefficient of ``s**n`` is the n-th derivative with respect to s at s = 0, divided by n!.
    """
    words = {lang.operator_symbol(word): word for word in lang.OPERATORS}
    symbols = sorted(entry.free_symbols & set(words), key=str)
    if not symbols:
        return {} if entry == 0 else {(): entry}
    symbol, result = symbols[0], {}
    power, factorial = 0, sympy.S.One
    while entry != 0:
        constant = entry.xreplace({symbol: sympy.S.Zero}) / factorial
        for monomial, coefficient in _by_monomial(constant).items():
            result[((words[symbol], power), *monomial) if power else monomial] = coefficient
        entry = derivative(entry, symbol)
        power += 1
        factorial *= power
    return result


@dataclass(frozen=True)
class Linearisation:
    """The equation linearised about a uniform state.

    A perturbation ``a exp(i k.x + s t)`` satisfies ``s a = J(k) a``: the growth rates are the
    eigenvalues of the Jacobian with the Fourier symbols of all operators.

    Attributes:
        reactions: the reactions.
        values: the uniform state, shape ``(fields,)``.
        coefficients: the coefficients of the monomials of J, shape ``(monomials, fields, fields)``.
    """

    reactions: Reactions
    values: np.ndarray
    coefficients: np.ndarray

    def matrices(self, waves: np.ndarray, on_grid: bool = False) -> np.ndarray:
        """Return J(k) for several wave vectors.

        Args:
            waves: the components of the wave vectors, shape ``(dimensions, waves)``.
            on_grid: whether the symbols are those of the discretisation instead of the
                differential operators.

        Returns:
            Shape ``(waves, fields, fields)``, real if all symbols are real.
        """
        reactions, problem = self.reactions, self.reactions.problem
        if on_grid:
            symbols = problem.discretisation.symbols(problem.grid, list(waves), reactions.words)
        else:
            symbols = _EXACT.assemble(
                problem.grid, lambda axis, power: _derivative(waves[axis], power), reactions.words
            )
        matrix = np.zeros((1, reactions.size, reactions.size))
        for monomial, coefficient in zip(reactions.monomials, self.coefficients, strict=True):
            product = np.ones(waves.shape[1:])
            for word, power in monomial:
                product = product * symbols[word] ** power
            matrix = matrix + product[..., np.newaxis, np.newaxis] * coefficient
        matrix = np.nan_to_num(matrix, posinf=HUGE, neginf=-HUGE)
        return matrix.real if np.iscomplexobj(matrix) and not matrix.imag.any() else matrix

    def eigenvalues(self, waves: np.ndarray, on_grid: bool = False) -> np.ndarray:
        """Return the eigenvalues of J(k), complex, of shape ``(waves, fields)``.

        They are sorted by decreasing real part; see :meth:`matrices` for the arguments.
        """
        rates = np.linalg.eigvals(self.matrices(waves, on_grid)).astype(complex)
        return np.take_along_axis(rates, np.argsort(-rates.real, axis=-1, kind="stable"), axis=-1)

    @property
    def is_isotropic(self) -> bool:
        """Whether J depends on the length of the wave vector only."""
        return self.reactions.words in ([], [lang.LAPLACIAN])


def linearise(reactions: Reactions, values: np.ndarray) -> Linearisation:
    """Linearise the equation about a uniform state, shape ``(fields,)``.

    Entries of the Jacobian that are not finite are replaced by 0 or large numbers.
    """
    coefficients = reactions.coefficients(values[:, np.newaxis])[:, 0]
    return Linearisation(reactions, values, np.clip(np.nan_to_num(coefficients), -HUGE, HUGE))


#: differential operators without a grid
_EXACT = Discretisation("spectral", 0, "")


def _derivative(wavenumbers: np.ndarray, power: int) -> np.ndarray:
    """Return ``(i k)**power``, real if the power is even."""
    return (-1) ** (power // 2) * wavenumbers**power * (1j if power % 2 else 1)
