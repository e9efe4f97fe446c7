"""The formulas and the stepper of a plan in plain NumPy, for comparison with TensorFlow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import cast

import numpy as np
import sympy

from pdesim.formula import Evaluator
from pdesim.formula import language as lang
from pdesim.plan import Plan
from pdesim.steppers.base import System


def unsupported_reason(plan: Plan) -> str:
    """The reason why the NumPy reference does not support a plan; "" if the plan is supported."""
    problem = plan.problem
    words = {lang.word_of(n) for f in problem.equation.formulas for n in lang.operators_in(f)}
    if not plan.cost.is_local:
        return f"{plan.stepper.method.name} is not an explicit stepper"
    if problem.discretisation.is_spectral:
        return "operators=spectral is not implemented in NumPy"
    if problem.mask is not None or not all(problem.boundary.periodic_axes):
        return "only periodic boundaries without obstacles are implemented in NumPy"
    if problem.equation.reductions:
        return "reductions are not implemented in NumPy"
    if problem.kernels:
        return "convolutions are not implemented in NumPy"
    if words & {lang.DIVERGENCE, *lang.FLUXES, lang.GRADIENT_SQUARED}:
        return "divergence and gradient_squared are not implemented in NumPy"
    if words & {*lang.ADVECTION}:
        return "advect is not implemented in NumPy"
    return ""


class NumpySystem:
    """The operations of ``System`` that explicit steppers use, in NumPy, on periodic axes."""

    def __init__(self, plan: Plan) -> None:
        self.problem, self.dtype = plan.problem, np.dtype(plan.settings.device.precision).type
        grid, scheme = self.problem.grid, self.problem.discretisation
        places = grid.namespace(grid.coordinates(0, self.problem.boundary.periodic_axes))
        self._names: Mapping[str, object] = {
            **{name: np.asarray(value, self.dtype) for name, value in places.items()},
            **{n: self.dtype(v) for n, v in self.problem.equation.parameters.items()},
        }
        words = {lang.word_of(n) for f in plan.equation.formulas for n in lang.operators_in(f)}
        self._terms = {word: scheme.terms(word, grid) for word in words}

    def rhs(self, state: np.ndarray, time: float) -> np.ndarray:
        return self.evaluate(self.problem.equation.formulas, state, time)

    def evaluate(
        self, formulas: Sequence[sympy.Expr], state: np.ndarray | Sequence[np.ndarray], time: float
    ) -> np.ndarray:
        fields = dict(zip(self.problem.equation.fields, state, strict=True))
        value = Evaluator({**self._names, **fields, "t": self.dtype(time)}, applied=self._apply)
        shape = self.problem.grid.shape
        return np.stack([np.broadcast_to(value(formula), shape) for formula in formulas])

    def _apply(self, word: str, arguments: tuple, value: Evaluator):
        inner = np.broadcast_to(value(arguments[0]), self.problem.grid.shape)
        return sum(
            self.dtype(weight) * self._shifted(inner, offsets)
            for offsets, weight in self._terms[word].items()
        )

    def _shifted(self, values: np.ndarray, offsets: tuple[int, ...]) -> np.ndarray:
        for axis, offset in enumerate(reversed(offsets)):
            if offset:
                values = np.roll(values, -offset, axis)
        return values

    def stack(self, fields: Sequence[np.ndarray]) -> np.ndarray:
        return np.stack(fields)

    def unstack(self, state: np.ndarray) -> list[np.ndarray]:
        return list(state)

    def column(self, values: np.ndarray) -> np.ndarray:
        return np.reshape(values, (-1, *[1] * self.problem.grid.dimensions)).astype(self.dtype)


class NumpyProgram:
    """The counterpart of ``Program`` in plain NumPy."""

    def __init__(self, plan: Plan) -> None:
        self.plan, self.system = plan, NumpySystem(plan)
        self.dt = plan.step.dt if plan.step.adaptive else plan.shortest_step

    def _time(self, now: float, c: float) -> float:
        return now + c * self.dt

    def run(self, steps: int) -> np.ndarray:
        """Take a number of steps from the initial state, and return the last state."""
        plan, dtype, dt = self.plan, self.system.dtype, self.system.dtype(self.dt)
        system = cast(System, self.system)  # it has the methods that explicit steppers use
        start, stepper = float(plan.times[0]), plan.stepper
        numbers = stepper.coefficients(None, plan.equation.parameters, self.dt)
        carry = stepper.init(system, plan.state.astype(dtype), start, dt, numbers)
        for index in range(steps):
            now = start + index * self.dt
            stage_time = partial(self._time, now)
            carry = stepper.step(system, carry, stage_time, dt, numbers)
        end = start + steps * self.dt
        return np.asarray(stepper.extract(system, carry, end, dt, numbers))
