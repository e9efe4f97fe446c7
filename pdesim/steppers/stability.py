"""The largest stable time step, computed by applying the stepper's own code to plane waves.

The equation is linearised at the current state with frozen coefficients. Each sampled pair of a
wave vector and a cell gives a small matrix over the fields. One step of the stepper for the linear
equation with this matrix gives an amplification matrix. The step is stable if the spectral radius
of the amplification matrix does not exceed the growth of the exact solution (von Neumann's
condition). Steppers therefore do not need to provide a formula for their stability limit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, ClassVar

import numpy as np
import sympy

from pdesim.errors import StepperError
from pdesim.model.bands import Band
from pdesim.operators.constraints import eliminated, responses
from pdesim.operators.kernels import largest_symbols
from pdesim.operators.problem import Problem
from pdesim.operators.symbols import matrix_values
from pdesim.steppers.base import Stepper
from pdesim.steppers.cells import nodes_of, sample_cells
from pdesim.steppers.sampled_symbols import sampled_symbols

#: number of samples selected for each measure in :func:`_extremes`
KEPT = 48
#: relative tolerance of the comparison of amplification and allowed growth
TOLERANCE = 1e-9


@dataclass(frozen=True)
class Linearised:
    """The linearised equation at all samples, as a system that steppers can advance.

    A sample is a pair of a cell and a wave vector. States are NumPy arrays of shape
    ``(samples, fields, columns)``.

    Args:
        names: the values of all names and operator symbols in the Jacobian.
        nodes: the symbols that replace operators in the Jacobian.
        selected: the indices of the samples that are used.
    """

    problem: Problem
    names: Mapping[str, Any]
    nodes: Mapping[sympy.Basic, sympy.Symbol]
    selected: np.ndarray | slice = field(default_factory=lambda: slice(None))
    _memo: dict = field(default_factory=dict, repr=False)
    #: stability is that of deterministic methods (``Stepper.drift``)
    noise: ClassVar[None] = None

    def matrix(self, formulas: Sequence[sympy.Expr]) -> np.ndarray:
        """Return the Jacobian of formulas at every sample: ``(samples, formulas, fields)``."""
        key = tuple(formulas)
        if key not in self._memo:
            self._memo[key] = self._matrix(formulas)
        return self._memo[key]

    def _matrix(self, formulas: Sequence[sympy.Expr]) -> np.ndarray:
        matrix = self._plain_matrix(formulas)
        if not self.problem.equation.constraints:
            return matrix
        # perturbations of solved fields follow from those of the other fields
        solved, kept = self._solved
        result = matrix.astype(np.result_type(matrix, self._response))
        result[..., kept] += matrix[..., solved] @ self._response
        result[..., solved] = 0.0
        return result

    def _plain_matrix(self, formulas: Sequence[sympy.Expr]) -> np.ndarray:
        entries = self.problem.equation.jacobian_of(formulas).xreplace(dict(self.nodes))
        return np.moveaxis(self.sampled(entries), -1, 0)

    @property
    def _solved(self) -> tuple[list[int], list[int]]:
        """The indices of the solved fields, and those of all others."""
        solved = self.problem.equation.solved
        every = range(len(self.problem.equation.fields))
        return solved, [n for n in every if n not in solved]

    @cached_property
    def _response(self) -> np.ndarray:
        """The perturbations of solved fields for those of others: ``(samples, solved, others)``."""
        solved, kept = self._solved
        formulas = [self.problem.equation.expressions[n] for n in solved]
        rows = np.moveaxis(self._plain_matrix(formulas), 0, -1)
        return np.moveaxis(responses(rows[:, solved], rows[:, kept]), -1, 0)

    def sampled(self, matrix: sympy.Matrix) -> np.ndarray:
        """Evaluate a matrix at the selected samples, ``(rows, columns, samples)``."""
        size = np.broadcast_shapes(*(np.shape(value) for value in self.names.values()))
        values = matrix_values(matrix, self.names, size)
        return values.reshape(*values.shape[:2], -1)[..., self.selected]

    @cached_property
    def linear(self) -> np.ndarray:
        """The linear part at the selected samples: ``(fields, fields, samples)``."""
        return self.sampled(self.problem.split.matrix)

    def rhs(self, state: np.ndarray, time: Any) -> np.ndarray:
        return self.evaluate(self.problem.equation.formulas, state, time)

    def rest(self, state: np.ndarray, time: Any) -> np.ndarray:
        return self.evaluate(self.problem.split.rest, state, time)

    def rest_modes(self, modes: np.ndarray, time: Any) -> np.ndarray:
        return self.rest(modes, time)

    def evaluate(
        self, formulas: Sequence[sympy.Expr], state: np.ndarray | Sequence[np.ndarray], time: Any
    ) -> np.ndarray:
        fields = self.unstack(state) if isinstance(state, np.ndarray) else state
        return self.matrix(formulas) @ self.stack(fields)

    def stack(self, fields: Sequence[np.ndarray]) -> np.ndarray:
        return np.stack(fields, axis=-2)

    def unstack(self, state: np.ndarray) -> list[np.ndarray]:
        return [state[..., i, :] for i in range(state.shape[-2])]

    def column(self, values: np.ndarray) -> np.ndarray:
        return np.asarray(values)[:, None]

    def solve_shifted(self, b: np.ndarray, factor: Any, time: Any, x0: np.ndarray) -> np.ndarray:
        matrix = self.matrix(self.problem.equation.formulas)
        return np.linalg.solve(np.eye(matrix.shape[-1]) - factor * matrix, b)

    def to_modes(self, state: np.ndarray) -> np.ndarray:
        return state

    def to_state(self, modes: np.ndarray) -> np.ndarray:
        return modes

    def enforce_hermitian(self, modes: np.ndarray) -> np.ndarray:
        return modes

    def apply_matrix(self, matrix: np.ndarray, modes: np.ndarray) -> np.ndarray:
        if matrix.ndim == 2:  # one value per field and sample
            return np.moveaxis(matrix, 0, -1)[..., None] * modes
        return np.moveaxis(matrix, -1, 0) @ modes


def linearise(
    problem: Problem,
    state: np.ndarray | Iterable[Band],
    time: float | Sequence[float] | np.ndarray,
    thorough: bool = True,
) -> Linearised:
    """Linearise the equation at a state and select the samples that may limit the time step.

    Args:
        state: shape ``(fields, *grid.shape)``; or its consecutive bands of
            :func:`pdesim.steppers.samples.rows_per_band` rows each, which give the same result
            unless :func:`pdesim.steppers.cells.needs_complete_state`.
        time: the time, or several times at which time-dependent coefficients are sampled.
        thorough: see :class:`pdesim.steppers.samples.DecidingCells`; applies to the first time.
    """
    equation = problem.equation
    nodes = nodes_of(equation)
    bands = [(0, state)] if isinstance(state, np.ndarray) else state
    with np.errstate(all="ignore"):
        times = np.atleast_1d(time)
        sampled = sample_cells(problem, nodes, bands, times.tolist(), thorough)
        names = {
            name: np.concatenate([np.broadcast_to(part[name], count) for part, count in sampled])
            if any(np.ndim(part[name]) for part, _ in sampled) or name == "t"
            else sampled[0][0][name]
            for name in sampled[0][0]
        }
        everywhere = Linearised(problem, {**names, **sampled_symbols(problem)}, nodes)
        selected = _extremes(everywhere)
    return Linearised(problem, everywhere.names, nodes, selected)


def stable_step(stepper: Stepper, linearised: Linearised, longest: float) -> float:
    """Return the largest stable dt below ``longest``.

    The result is ``inf`` if ``longest`` is stable, and 0 if the method is unstable for every dt.
    """
    matrices = linearised.matrix(linearised.problem.equation.formulas)
    rates = np.linalg.eigvals(matrices)
    fastest = float(np.abs(rates).max(initial=0.0))
    if fastest == 0.0 or not np.isfinite(fastest):
        return np.inf
    growth = _growth(rates)
    stable = partial(_is_stable, stepper, linearised, growth=growth)
    lower, upper = 0.0, 1e-3 / fastest
    while upper < longest and stable(dt=upper):
        # a method that is unstable for every dt already fails at the shortest step; the search is
        # finer for longer steps, so that no unstable interval below the limit is missed
        lower, upper = upper, upper * (2 if upper * fastest < 0.1 else 1.3)
    if upper >= longest:
        if stable(dt=longest):
            return np.inf
        upper = longest
    if lower == 0.0:
        return 0.0
    for _ in range(30):
        middle = 0.5 * (lower + upper)
        lower, upper = (middle, upper) if stable(dt=middle) else (lower, middle)
    return lower


def reaction_rate(linearised: Linearised) -> float:
    """Return the largest absolute eigenvalue for uniform perturbations: the rate of reactions."""
    if "reaction" not in linearised._memo:
        linearised._memo["reaction"] = _reaction_rate(linearised)
    return linearised._memo["reaction"]


def _reaction_rate(linearised: Linearised) -> float:
    equation = linearised.problem.equation
    entries = equation.complete_jacobian
    symbols: dict[sympy.Symbol, Any] = {
        s: 0 for s in entries.free_symbols if s.name.startswith("symbol_")
    }
    # a convolution is no stiff operator, and at most as fast as its largest symbol
    symbols |= largest_symbols(linearised.problem)
    uniform = entries.xreplace(symbols).xreplace(dict(linearised.nodes))
    matrices = np.moveaxis(eliminated(linearised.sampled(uniform), equation.solved), -1, 0)
    return float(np.abs(np.linalg.eigvals(matrices)).max(initial=0.0))


@dataclass(frozen=True)
class _Growth:
    """The growth per step that is considered stable, for each sample.

    ``own`` is the growth rate of the exact solution, ``size`` the largest modulus of the
    eigenvalues. If the equation has growing modes, truncation errors may also cause slow
    oscillating modes to grow slightly. This is not considered an instability if
    ``size * dt < 1``. In all other cases the amplification must not exceed the growth of the exact
    solution (von Neumann).
    """

    own: np.ndarray
    size: np.ndarray

    def allowed(self, dt: float) -> np.ndarray:
        strict = self.own * dt
        lenient = 1.1 * strict + 0.1 * self.own.max(initial=0.0) * dt
        exponent = np.where(self.size * dt < 1.0, lenient, strict)
        # a step in which the solution grows by more than a factor of e does not resolve the growth
        return np.exp(np.minimum(exponent, 1.0))


def _growth(rates: np.ndarray) -> _Growth:
    return _Growth(np.maximum(rates.real.max(axis=1), 0.0), np.abs(rates).max(axis=1))


def _is_stable(stepper: Stepper, linearised: Linearised, dt: float, growth: _Growth) -> bool:
    with np.errstate(all="ignore"):
        amplification = amplification_matrices(stepper, linearised, dt)
        if not np.isfinite(amplification).all():
            return False
        radius = np.abs(np.linalg.eigvals(amplification)).max(axis=1)
    return bool((radius <= growth.allowed(dt) * (1 + TOLERANCE)).all())


def amplification_matrices(stepper: Stepper, linearised: Linearised, dt: float) -> np.ndarray:
    """Return the matrix of one step of ``stepper`` at every sample.

    The carried data of a stepper (such as modes and earlier rates, or positions and momenta) form
    one vector. The columns of the matrix are the results of a step from the unit vectors. The shape
    of the result is ``(samples, carried, carried)``.
    """
    stepper, linear = stepper.drift, linearised.linear
    coefficients = stepper.coefficients(linear, linearised.problem.parameters, dt)
    size, samples = len(linearised.problem.equation.fields), linear.shape[-1]
    unit = np.broadcast_to(np.eye(size, dtype=complex), (samples, size, size))
    initial = stepper.init(linearised, unit, 0.0, dt, coefficients)
    single = not isinstance(initial, tuple)
    sizes = [part.shape[-2] for part in ((initial,) if single else initial)]
    total = sum(sizes)
    eye = np.broadcast_to(np.eye(total, dtype=complex), (samples, total, total))
    parts = np.split(eye, np.cumsum(sizes)[:-1], axis=-2)
    carry = parts[0] if single else tuple(parts)
    after = stepper.step(linearised, carry, lambda c: c * dt, dt, coefficients)
    return after if single else np.concatenate(after, axis=-2)


def _extremes(linearised: Linearised) -> np.ndarray:
    """Return the indices of the samples whose eigenvalues are extreme in some measure.

    The measures are size, damping, growth and frequency of the eigenvalues, the size of the
    nonlinear part, and the limit of explicit Euler.

    Raises:
        StepperError: if the coefficients are not finite at any sample.
    """
    matrices = linearised.matrix(linearised.problem.equation.formulas)
    finite = np.flatnonzero(np.isfinite(matrices).all((1, 2)))
    if not len(finite):
        raise StepperError(
            "the derivative of the right-hand side with respect to the fields is infinite or "
            "undefined at the start",
            "coefficients that are finite for the initial state at time.start",
            "another initial state or time.start, or where(...) to avoid a division by zero",
        )
    rates = _rates(matrices[finite])
    rest = np.abs(np.nan_to_num(linearised.matrix(linearised.problem.split.rest)[finite])).sum(
        (1, 2)
    )
    measures = [np.abs(rates).max(1), -rates.real.min(1), rates.real.max(1)]
    measures += [np.abs(rates.imag).max(1), rest]
    # explicit Euler is stable for dt up to -2 Re(rate) / |rate|^2
    damping = np.where(rates.real < 0, -rates.real, np.inf)
    measures.append((np.abs(rates) ** 2 / damping).max(1))
    return finite[np.unique(np.concatenate([np.argsort(m)[-KEPT:] for m in measures]))]


def _rates(matrices: np.ndarray) -> np.ndarray:
    """Return the eigenvalues of many small matrices.

    For 1x1 and 2x2 matrices ([[a, b], [c, d]]) the closed form
    ``(a + d)/2 +- sqrt(((a - d)/2)**2 + b*c)`` is used. It is much faster and accurate enough to
    select samples.
    """
    if matrices.shape[-1] != 2:
        return matrices[..., 0] if matrices.shape[-1] == 1 else np.linalg.eigvals(matrices)
    (a, b), (c, d) = np.moveaxis(matrices.astype(complex), (-2, -1), (0, 1))
    with np.errstate(over="ignore", invalid="ignore"):
        mean, root = 0.5 * (a + d), np.sqrt((0.5 * (a - d)) ** 2 + b * c)
        rates = np.stack([mean + root, mean - root], axis=-1)
    overflown = ~np.isfinite(rates).all(axis=-1)
    rates[overflown] = np.linalg.eigvals(matrices[overflown])
    return rates
