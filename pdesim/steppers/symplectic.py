"""Stormer-Verlet and its compositions, for systems of positions and momenta."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import sympy

from pdesim.formula import Evaluator, with_reductions
from pdesim.formula.language import operators_in
from pdesim.formula.linear import linear_form
from pdesim.model.equation import Equation
from pdesim.steppers.base import Array, Carry, StageTime, Stepper, System
from pdesim.steppers.tableaux import Method


@dataclass(frozen=True)
class Partition:
    """A system of positions q and momenta p.

    ``q' = velocity(p)``, ``p' = force(q, t) - damping * p``. ``positions`` and ``momenta`` are the
    indices of the fields.
    """

    positions: tuple[int, ...]
    momenta: tuple[int, ...]
    velocities: tuple[sympy.Expr, ...]
    forces: tuple[sympy.Expr, ...]
    damping: tuple[sympy.Expr, ...]


def partition(equation: Equation) -> Partition | None:
    """Return the positions and momenta of an equation; None if it does not have this form.

    The rates of change of positions must depend on momenta only, and those of momenta on positions
    only, except for a linear damping of momenta (``w' = ... - damping*w``).
    """
    fields = equation.field_symbols
    constants = equation.constants
    forces, damping = [], []
    for field, formula in zip(fields, equation.formulas, strict=True):
        split = _own_rate(formula, field, constants)
        if split is None:
            return None
        rate, force = split
        damping.append(-rate)
        forces.append(force)
    complete = [with_reductions(force, equation.reductions) for force in forces]
    momenta = _momenta(fields, complete, [rate != 0 for rate in damping])
    if momenta is None:
        return None
    positions = tuple(i for i in range(len(fields)) if i not in momenta)
    return Partition(
        positions,
        momenta,
        tuple(forces[i] for i in positions),
        tuple(forces[i] for i in momenta),
        tuple(damping[i] for i in momenta),
    )


def _own_rate(
    formula: sympy.Expr, field: sympy.Symbol, constants: frozenset[sympy.Symbol]
) -> tuple[sympy.Expr, sympy.Expr] | None:
    """Return the constant g and the rest in ``formula = g*field + rest``.

    The result is None if the rest depends on the field, or if g is not a constant.
    """
    if field not in formula.free_symbols:
        return sympy.Integer(0), formula
    linear, rest = linear_form(formula, (field,), constants)
    rate = linear.get(0, sympy.Integer(0))
    if field in rest.free_symbols or not rate.free_symbols <= constants:
        return None
    return rate, rest


def _momenta(
    fields: Sequence[sympy.Symbol], forces: Sequence[sympy.Expr], damped: Sequence[bool]
) -> tuple[int, ...] | None:
    """Return the indices of the fields that are momenta; None if there is no valid choice.

    In a valid choice, the forces on momenta do not depend on momenta, the rates of positions do not
    depend on positions, and positions are not damped. If several choices are valid, the one with
    the largest number of momenta whose formulas contain spatial operators is returned.
    """

    def separates(momenta: tuple[int, ...]) -> bool:
        positions = [i for i in range(len(fields)) if i not in momenta]
        return not any(damped[i] for i in positions) and not any(
            fields[j] in forces[i].free_symbols
            for part in (momenta, positions)
            for i in part
            for j in part
        )

    sizes = range(1, len(fields))
    choices = [c for n in sizes for c in itertools.combinations(range(len(fields)), n)]
    candidates = [choice for choice in choices if separates(choice)]
    return max(
        candidates, key=lambda c: sum(bool(operators_in(forces[i])) for i in c), default=None
    )


@dataclass(frozen=True)
class SymplecticComposition(Stepper):
    """Drift-kick-drift: half a step of the positions, a step of the momenta, half a step again.

    The last half step of the positions and the first half step of the next step are combined into
    one drift. The carried positions are therefore half a drift ahead of the momenta, and each
    weight of the composition takes one kick (of the momenta) and one drift (of the positions).

    Linear damping g is integrated exactly in the kick:
    ``p <- exp(-g dt) p + (1 - exp(-g dt)) / g * force(q)``. For the undamped wave equation on a
    second-order stencil, the numerical dispersion relation is
    ``sin(omega dt / 2) = C sin(k h / 2)``, where C is the Courant number.
    """

    method: Method
    partition: Partition
    carries_state: ClassVar[bool] = False

    def coefficients(
        self, linear: np.ndarray | None, parameters: Mapping[str, float], dt: float
    ) -> dict[str, np.ndarray]:
        evaluate = Evaluator(parameters)
        rates = np.array([float(evaluate(rate)) for rate in self.partition.damping])
        table: dict[str, np.ndarray] = {}
        for number, fraction in enumerate(self.method.weights):
            z = -rates * fraction * dt
            weight = np.where(z == 0, 1.0, np.expm1(z) / np.where(z == 0, 1.0, z))
            table |= {f"decay{number}": np.exp(z), f"weight{number}": fraction * dt * weight}
        return table

    def init(
        self, system: System, state: Array, time: Any, dt: Any, coefficients: Mapping[str, Array]
    ) -> Carry:
        fields = system.unstack(state)
        parts = self.partition.positions, self.partition.momenta
        positions, momenta = (system.stack([fields[i] for i in part]) for part in parts)
        drift = 0.5 * self.method.weights[0] * dt
        return self._drift(system, positions, momenta, time, drift), momenta

    def extract(
        self, system: System, carry: Carry, time: Any, dt: Any, coefficients: Mapping[str, Array]
    ) -> Array:
        positions, momenta = carry
        back = -0.5 * self.method.weights[0] * dt
        positions = self._drift(system, positions, momenta, time, back)
        return system.stack(self._fields(system, positions, momenta))

    def step(
        self,
        system: System,
        carry: Carry,
        stage_time: StageTime,
        dt: Any,
        coefficients: Mapping[str, Array],
    ) -> Carry:
        weights, done = self.method.weights, 0.0
        positions, momenta = carry
        for number, fraction in enumerate(weights):
            fields = self._fields(system, positions, momenta)
            middle = stage_time(done + 0.5 * fraction)
            force = system.evaluate(self.partition.forces, fields, middle)
            decay, weight = (
                system.column(coefficients[f"{name}{number}"]) for name in ("decay", "weight")
            )
            momenta = decay * momenta + weight * force
            done += fraction
            following = weights[(number + 1) % len(weights)]
            drift = 0.5 * (fraction + following) * dt
            positions = self._drift(system, positions, momenta, stage_time(done), drift)
        return positions, momenta

    def _drift(
        self, system: System, positions: Array, momenta: Array, time: Any, duration: Any
    ) -> Array:
        """Return the positions after a drift: motion at constant momenta for a given duration."""
        fields = self._fields(system, positions, momenta)
        return positions + duration * system.evaluate(self.partition.velocities, fields, time)

    def _fields(self, system: System, positions: Array, momenta: Array) -> list[Array]:
        parts = [*system.unstack(positions), *system.unstack(momenta)]
        order = [*self.partition.positions, *self.partition.momenta]
        return [parts[order.index(i)] for i in range(len(order))]
