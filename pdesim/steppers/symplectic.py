"""Stormer-Verlet and its compositions for systems that split into positions and momenta."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import sympy

from pdesim.formula import Evaluator
from pdesim.formula.language import operators_in
from pdesim.formula.linear import linear_form
from pdesim.model.equation import Equation
from pdesim.steppers.methods import Method


@dataclass(frozen=True)
class Partition:
    """``q' = velocity(p)``, ``p' = force(q, t) - damping * p``, by field numbers."""

    positions: tuple[int, ...]
    momenta: tuple[int, ...]
    velocities: tuple[sympy.Expr, ...]
    forces: tuple[sympy.Expr, ...]
    damping: tuple[sympy.Expr, ...]


def partition(equation: Equation) -> Partition | None:
    """Positions and momenta of an equation, or None if it does not separate.

    Momenta may be damped linearly (``w' = ... - damping*w``); nothing else may depend on itself.
    """
    fields = equation.field_symbols
    constants = set(equation.parameter_symbols.values())
    forces, damping = [], []
    for field, formula in zip(fields, equation.formulas, strict=True):
        split = _own_rate(formula, field, constants)
        if split is None:
            return None
        rate, force = split
        damping.append(-rate)
        forces.append(force)
    momenta = _momenta(fields, forces, [rate != 0 for rate in damping])
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


def _own_rate(formula, field, constants) -> tuple[sympy.Expr, sympy.Expr] | None:
    """The constant g and the rest in ``formula = g*field + rest``, rest free of the field."""
    if field not in formula.free_symbols:
        return sympy.Integer(0), formula
    linear, rest = linear_form(formula, (field,), constants)
    rate = linear.get(0, sympy.Integer(0))
    if field in rest.free_symbols or not rate.free_symbols <= constants:
        return None
    return rate, rest


def _momenta(fields, forces, damped) -> tuple[int, ...] | None:
    """The fields to call momenta: neither part may depend on itself, positions are undamped.

    Of several choices the one whose momenta have the spatial operators is taken.
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
    fitting = [choice for choice in choices if separates(choice)]
    return max(fitting, key=lambda c: sum(bool(operators_in(forces[i])) for i in c), default=None)


@dataclass(frozen=True)
class Symplectic:
    """Drift-kick-drift: half a step of the positions, the momenta, half a step of the positions.

    What is carried are positions half a drift ahead, since the second half of one drift and the
    first of the next are one: a kick and a whole drift for each weight of the composition.

    Linear damping g is exact in the kick: ``p <- exp(-g dt) p + (1 - exp(-g dt)) / g * force(q)``.
    Undamped, ``sin(omega dt / 2) = C sin(k h / 2)`` for the wave on a second-order stencil.
    """

    method: Method
    partition: Partition

    def coefficients(self, linear, parameters, dt: float) -> dict[str, np.ndarray]:
        evaluate = Evaluator(parameters)
        rates = np.array([float(evaluate(rate)) for rate in self.partition.damping])
        table = {}
        for number, fraction in enumerate(self.method.weights):
            z = -rates * fraction * dt
            weight = np.where(z == 0, 1.0, np.expm1(z) / np.where(z == 0, 1.0, z))
            table |= {f"decay{number}": np.exp(z), f"weight{number}": fraction * dt * weight}
        return table

    @property
    def depth(self) -> int:
        """Right-hand sides that stand on one another in a step."""
        both = self.partition.forces, self.partition.velocities
        return len(self.method.weights) * sum(any(map(operators_in, part)) for part in both)

    @property
    def kept(self) -> int:
        """Stages that a step stores."""
        return len(self.method.weights) - 1

    def init(self, system, state, time, dt, coefficients):
        fields = system.unstack(state)
        positions, momenta = (system.stack([fields[i] for i in part]) for part in self._parts)
        return self._drift(system, positions, momenta, time, 0.5 * self.method.weights[0] * dt)

    def extract(self, system, carry, time, dt, coefficients):
        back = -0.5 * self.method.weights[0] * dt
        return system.stack(self._fields(system, *self._drift(system, *carry, time, back)))

    @property
    def _parts(self):
        return self.partition.positions, self.partition.momenta

    def _fields(self, system, positions, momenta) -> list:
        parts = [*system.unstack(positions), *system.unstack(momenta)]
        order = [*self.partition.positions, *self.partition.momenta]
        return [parts[order.index(i)] for i in range(len(order))]

    def step(self, system, carry, stage_time, dt, coefficients):
        weights, done = self.method.weights, 0.0
        for number, fraction in enumerate(weights):
            if number:
                carry = tuple(system.stored(part) for part in carry)
            positions, momenta = carry
            fields = self._fields(system, positions, momenta)
            force = system.evaluate(
                self.partition.forces, fields, stage_time(done + 0.5 * fraction)
            )
            decay, weight = (
                system.column(coefficients[f"{n}{number}"]) for n in ("decay", "weight")
            )
            momenta, force = system.aligned(momenta, force)
            momenta = decay * momenta + weight * force
            if number == len(weights) - 1:
                momenta = system.settled(momenta, 1)
            done += fraction
            following = weights[(number + 1) % len(weights)]
            drift = 0.5 * (fraction + following) * dt
            carry = self._drift(system, positions, momenta, stage_time(done), drift)
        return carry

    def _drift(self, system, positions, momenta, time, by):
        """Positions moved on by the velocity of the momenta; the momenta, where both have cells."""
        fields = self._fields(system, *system.aligned(positions, momenta))
        velocity = system.evaluate(self.partition.velocities, fields, time)
        positions, momenta, velocity = system.aligned(positions, momenta, velocity)
        return positions + by * velocity, momenta
