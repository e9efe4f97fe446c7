"""Iteration of a map ``u <- f(u)``, whose time is the number of iterations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import sympy

from pdesim.steppers.base import Array, StageTime, Stepper, System
from pdesim.steppers.tableaux import Method

#: the method of all iterated maps; it has no order, since there is no error in time
METHOD = Method("map", "map", 0, "one iteration of a map per step", "")


@dataclass(frozen=True)
class MapIteration(Stepper):
    """``u_(n+1) = f(u_n)``.

    Args:
        shown: the formulas of the state that is stored; None if it is the state that is iterated.
    """

    shown: tuple[sympy.Expr, ...] | None = None
    method: Method = METHOD
    carries_state: ClassVar[bool] = False

    def extract(
        self, system: System, carry: Array, time: Any, dt: Any, coefficients: Mapping[str, Array]
    ) -> Array:
        return carry if self.shown is None else system.evaluate(self.shown, carry, time)

    def step(
        self,
        system: System,
        carry: Array,
        stage_time: StageTime,
        dt: Any,
        coefficients: Mapping[str, Array],
    ) -> Array:
        return system.rhs(carry, stage_time(0.0))
