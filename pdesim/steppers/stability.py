"""The largest stable time step, from the stepper's own code applied to plane waves.

The equation is linearised at the present state with frozen coefficients; every sampled wave
vector and cell then gives a small matrix over the fields. One step of the stepper on these
matrices is its amplification matrix, whose spectral radius must not exceed the growth that the
equation itself has (von Neumann's condition). There is no second formula per stepper.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial

import numpy as np
import sympy

from pdesim.boundary import cells_known, ghost_weights
from pdesim.formula import Evaluator, jacobian
from pdesim.formula import language as lang
from pdesim.grid import Grid
from pdesim.operators.problem import Problem
from pdesim.operators.spectrum import matrix_values, symbol_names

#: wave vectors per axis and cells of the state that are looked at
ANGLES = {1: 65, 2: 17, 3: 9}
LONG = np.arange(3, 8)
CELLS = 24
KEPT = 48
TOLERANCE = 1e-9


@dataclass(frozen=True)
class Linearised:
    """An equation as small matrices: stands in for ``MethodOfLines`` in a stepper's step.

    States have shape (samples, fields, columns).
    """

    problem: Problem
    names: Mapping[str, object]
    nodes: Mapping[sympy.Basic, sympy.Symbol]
    kept: np.ndarray | slice = field(default_factory=lambda: slice(None))
    _memo: dict = field(default_factory=dict, repr=False)

    def matrix(self, formulas: Sequence[sympy.Expr]) -> np.ndarray:
        """The Jacobian of some formulas at every sample: (samples, formulas, fields)."""
        key = tuple(formulas)
        if key not in self._memo:
            self._memo[key] = self._matrix(formulas)
        return self._memo[key]

    def _matrix(self, formulas: Sequence[sympy.Expr]) -> np.ndarray:
        entries = jacobian(tuple(formulas), self.problem.equation.field_symbols).xreplace(
            dict(self.nodes)
        )
        return np.moveaxis(self.sampled(entries), -1, 0)

    def sampled(self, matrix: sympy.Matrix) -> np.ndarray:
        """A matrix of expressions at every sample kept: (rows, columns, samples)."""
        size = np.broadcast_shapes(*(np.shape(value) for value in self.names.values()))
        values = matrix_values(matrix, self.names, size)
        return values.reshape(*values.shape[:2], -1)[..., self.kept]

    @cached_property
    def linear(self) -> np.ndarray:
        """The equation's linear part at every sample kept: (fields, fields, samples)."""
        return self.sampled(self.problem.split.matrix)

    def rhs(self, state, time):
        return self.evaluate(self.problem.equation.formulas, state, time)

    def rest(self, state, time):
        return self.evaluate(self.problem.split.rest, state, time)

    def rest_modes(self, state, time):
        return self.rest(state, time)

    def evaluate(self, formulas, state, time):
        fields = state if isinstance(state, list) else self.unstack(state)
        return self.matrix(formulas) @ self.stack(fields)

    def stack(self, fields):
        return np.stack(fields, axis=-2)

    def unstack(self, state):
        return [state[..., i, :] for i in range(state.shape[-2])]

    def aligned(self, *values):
        return values

    def stored(self, values):
        return values

    def once(self, values):
        return values

    def forget(self, values) -> None:
        pass

    def settled(self, values, part):
        return values

    def column(self, values):
        return np.asarray(values)[:, None]

    def solve_shifted(self, known, factor, time, guess):
        matrix = self.matrix(self.problem.equation.formulas)
        return np.linalg.solve(np.eye(matrix.shape[-1]) - factor * matrix, known)

    def to_modes(self, state):
        return state

    def to_state(self, modes):
        return modes

    def of_real(self, modes):
        return modes

    def couple(self, matrix, modes):
        if matrix.ndim == 2:  # one number per field and sample
            return np.moveaxis(matrix, 0, -1)[..., None] * modes
        return np.moveaxis(matrix, -1, 0) @ modes


def linearise(problem: Problem, state: np.ndarray, time: float) -> Linearised:
    """Sample the linearised equation at a state of shape ``(fields, *grid.shape)``."""
    equation, grid = problem.equation, problem.grid
    symbols = _symbols(problem)
    places = grid.places(grid.coordinates(), problem.named)
    everywhere = {**places, **problem.parameters, "t": time}
    everywhere |= dict(zip(equation.fields, state, strict=True))
    cells = _cells(state)

    def sample(values):
        return np.broadcast_to(values, grid.shape).reshape(-1)[cells]

    nodes, names = {}, {}
    evaluate = Evaluator(everywhere, applied=partial(_differentiate, grid))
    for number, node in enumerate(sorted(lang.operators_in(equation.jacobian), key=str)):
        nodes[node] = sympy.Symbol(f"value_{number}", real=True)
        names[f"value_{number}"] = sample(evaluate(node))
    names |= {name: sample(v) if np.ndim(v) else v for name, v in everywhere.items()}
    with np.errstate(all="ignore"):
        whole = Linearised(problem, {**names, **symbol_names(symbols)}, nodes)
        kept = _extremes(whole)
    return Linearised(problem, whole.names, nodes, kept)


def stable_step(stepper, waves: Linearised, longest: float) -> float:
    """The largest stable dt up to ``longest``; ``inf`` if that is stable too, 0 if none is."""
    matrices = waves.matrix(waves.problem.equation.formulas)
    rates = np.linalg.eigvals(matrices)
    fastest = float(np.abs(rates).max(initial=0.0))
    if fastest == 0.0 or not np.isfinite(fastest):
        return np.inf
    growth = _allowed_growth(rates, reaction_rate(waves))
    stable = partial(_is_stable, stepper, waves, growth=growth)
    lower, upper = 0.0, 1e-3 / fastest
    while upper < longest and stable(dt=upper):
        # short steps fail from the first on, if at all; near the limit no window may be missed
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


def is_stable(stepper, waves: Linearised, dt: float) -> bool:
    """Whether a step is stable at the state that ``waves`` was linearised at."""
    rates = np.linalg.eigvals(waves.matrix(waves.problem.equation.formulas))
    growth = _allowed_growth(rates, reaction_rate(waves))
    return _is_stable(stepper, waves, dt, growth)


def reaction_rate(waves: Linearised) -> float:
    """The fastest rate of a uniform state: how quickly the reactions change the fields."""
    if "reaction" not in waves._memo:
        waves._memo["reaction"] = _reaction_rate(waves)
    return waves._memo["reaction"]


def _reaction_rate(waves: Linearised) -> float:
    entries = waves.problem.equation.jacobian
    symbols = {s: 0 for s in entries.free_symbols if s.name.startswith("symbol_")}
    uniform = entries.xreplace(symbols).xreplace(dict(waves.nodes))
    matrices = np.moveaxis(waves.sampled(uniform), -1, 0)
    return float(np.abs(np.linalg.eigvals(matrices)).max(initial=0.0))


def _allowed_growth(rates: np.ndarray, reaction: float) -> np.ndarray:
    """How fast each sample may grow: as fast as it does by itself, and a tenth for accuracy.

    A stepper follows growing and turning modes with an error of its own, which is no instability as
    long as it stays small beside the growth and the reactions that the equation has.
    """
    own = np.maximum(rates.real.max(axis=1), 0.0)
    return 1.1 * own + 0.1 * (own.max() + reaction)


def _is_stable(stepper, waves: Linearised, dt: float, growth: np.ndarray) -> bool:
    with np.errstate(all="ignore"):
        amplification = amplification_matrices(stepper, waves, dt)
        if not np.isfinite(amplification).all():
            return False
        radius = np.abs(np.linalg.eigvals(amplification)).max(axis=1)
    # a step over which the solution itself grows e-fold is not a step that follows it
    allowed = np.exp(np.minimum(growth * dt, 1.0))
    return bool((radius <= allowed * (1 + TOLERANCE)).all())


def amplification_matrices(stepper, waves: Linearised, dt: float) -> np.ndarray:
    """One step of ``stepper`` as a matrix at every sample, by stepping unit vectors.

    What a stepper carries (modes and earlier rates, positions and momenta) is one long vector:
    shape ``(samples, carried, carried)``.
    """
    linear = waves.linear
    coefficients = stepper.coefficients(linear, waves.problem.parameters, dt)
    size, samples = len(waves.problem.equation.fields), linear.shape[-1]
    unit = np.broadcast_to(np.eye(size, dtype=complex), (samples, size, size))
    begun = stepper.begin(waves, unit, 0.0, dt, coefficients)
    single = not isinstance(begun, tuple)
    sizes = [part.shape[-2] for part in ((begun,) if single else begun)]
    total = sum(sizes)
    eye = np.broadcast_to(np.eye(total, dtype=complex), (samples, total, total))
    parts = np.split(eye, np.cumsum(sizes)[:-1], axis=-2)
    carry = parts[0] if single else tuple(parts)
    after = stepper.step(waves, carry, lambda c: c * dt, dt, coefficients)
    return after if single else np.concatenate(after, axis=-2)


def _symbols(problem: Problem) -> dict[str, np.ndarray]:
    """Symbols at sampled wave vectors, shape ``(samples, 1)``; walls add the modes they make."""
    grid, scheme = problem.grid, problem.discretisation
    count = ANGLES[grid.dimensions]
    pairs = []
    for axis, spacing in enumerate(grid.spacing):
        # evenly spread, and long waves besides, among which the unstable ones often are
        angles = np.append(np.linspace(0, np.pi, (count + 1) // 2), np.pi / 2.0**LONG)
        if axis > 0:  # real states need half of the wave vectors
            angles = np.concatenate([angles, -angles[1:]])
        wavenumbers = angles / spacing
        first, second = (scheme.symbol(n, wavenumbers, spacing) for n in (1, 2))
        stiffest = _stiffest_wall(problem, axis)
        if stiffest < second.min():
            first, second = np.append(first, 0.0), np.append(second, stiffest)
        pairs.append((first, second))
    index = np.meshgrid(*(np.arange(len(first)) for first, _ in pairs), indexing="ij")
    index = [i.reshape(-1, 1) for i in index]
    first, second = ([pair[n][i] for pair, i in zip(pairs, index, strict=True)] for n in (0, 1))
    return scheme.assemble(grid, first, second)


def _stiffest_wall(problem: Problem, axis: int) -> float:
    """The lowest eigenvalue of a second difference between the walls of an axis (0: periodic).

    Extrapolation through a Dirichlet wall makes high-order stencils stiffer than any wave.
    """
    grid, scheme = problem.grid, problem.discretisation
    if scheme.is_spectral or problem.boundary.is_periodic(axis):
        return 0.0
    points, halo = min(grid.points[axis], 24), scheme.order // 2
    line = Grid((points,), (points * grid.spacing[axis],), (0.0,))
    weights = scheme.terms("d2_dx2", line)
    pairs = {field[axis] for field in problem.boundary.walls}
    lowest = 0.0
    for lower, upper in {(lo.homogeneous, up.homogeneous) for lo, up in pairs}:
        extended = np.vstack([np.zeros((halo, points)), np.eye(points), np.zeros((halo, points))])
        known = cells_known(scheme.order, points)
        ghosts, _ = ghost_weights(lower, line.spacing[0], halo, known)
        extended[:halo, :known] = ghosts[::-1]
        ghosts, _ = ghost_weights(upper, line.spacing[0], halo, known)
        extended[halo + points :, points - known :] = ghosts[:, ::-1]
        matrix = sum(
            weight * extended[halo + m : halo + m + points] for (m,), weight in weights.items()
        )
        lowest = min(lowest, float(np.linalg.eigvals(matrix).real.min()))
    return lowest


def _cells(state: np.ndarray) -> np.ndarray:
    """Flat indices of telling cells: where each field is extreme, and an even spread."""
    flat = state.reshape(len(state), -1)
    extremes = [index for f in flat for index in (f.argmin(), f.argmax())]
    spread = np.linspace(0, flat.shape[1] - 1, CELLS).astype(int)
    return np.unique([*extremes, *spread])


def _extremes(waves: Linearised) -> np.ndarray:
    """The samples with the largest, the most damped, most oscillating and most growing rates."""
    rates = np.linalg.eigvals(np.nan_to_num(waves.matrix(waves.problem.equation.formulas)))
    rest = np.abs(np.nan_to_num(waves.matrix(waves.problem.split.rest))).sum((1, 2))
    measures = [np.abs(rates).max(1), -rates.real.min(1), rates.real.max(1)]
    measures += [np.abs(rates.imag).max(1), rest]
    return np.unique(np.concatenate([np.argsort(m)[-KEPT:] for m in measures]))


def _differentiate(grid: Grid, word: str, arguments: tuple, evaluate: Evaluator) -> np.ndarray:
    """The size of a derivative of the present state: NumPy's gradients are near enough."""

    def gradient(values, axis):
        if grid.points[axis] < 2:
            return np.zeros(grid.shape)
        return np.gradient(values, grid.spacing[axis], axis=grid.array_axis(axis))

    values = np.broadcast_to(evaluate(arguments[-1]), grid.shape)
    if word in lang.DERIVATIVES:
        axis, power = lang.DERIVATIVES[word]
        for _ in range(power):
            values = gradient(values, axis)
        return values
    axes = lang.flux_axes(word, grid.dimensions)
    factor = 1.0 if axes is None else evaluate(arguments[0])
    axes = range(grid.dimensions) if axes is None else axes
    return sum(gradient(factor * gradient(values, axis), axis) for axis in axes)
