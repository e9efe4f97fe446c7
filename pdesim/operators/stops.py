"""Conditions under which a run stops before its end.

This module does not import TensorFlow.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import sympy

from pdesim.errors import ConfigError, FormulaError
from pdesim.formula import is_condition
from pdesim.operators.observables import Observables, numbers, observed_problem, parse_number
from pdesim.operators.problem import Problem
from pdesim.settings import Stop

#: number of times at which a condition that does not depend on the fields is evaluated
SAMPLES = 1000


@dataclass(frozen=True)
class Stops:
    """The conditions of the section ``stop``; they are checked at the targets of the run.

    Args:
        steady: the run stops when the root mean square of du/dt is at most ``steady`` times that
            of u, per unit of time, for every field; None: no such condition.
        when: the condition as text; None: no such condition.
        condition: the problem whose only formula is 1 where the condition holds, otherwise 0.
        frames: the number of frames after the initial state; None: no such condition.
        every: the time between checks; None: only at the other targets of the run.
    """

    steady: float | None = None
    when: str | None = None
    condition: Problem | None = None
    frames: int | None = None
    every: float | None = None

    def holds(self, raw: np.ndarray, time: float, parameters: Mapping[str, float]) -> bool:
        """Return whether the condition ``when`` holds, for the values of its reductions."""
        assert self.condition is not None
        (value,) = numbers(self.condition, time, list(raw), parameters)
        return bool(value > 0.5)

    def is_steady(self, rates: np.ndarray, sizes: np.ndarray) -> bool:
        """Return whether a state is steady.

        Args:
            rates: the root mean square of du/dt of each field.
            sizes: the root mean square of each field.
        """
        return self.steady is not None and bool((rates <= self.steady * sizes).all())


def build_stops(
    settings: Stop,
    problem: Problem,
    observables: Observables | None,
    times: np.ndarray | None,
) -> Stops | None:
    """Build the conditions from the settings; None if there are none.

    Args:
        settings: the section ``stop``.
        problem: the problem.
        observables: the observables, whose names the condition may contain.
        times: the times of all frames; None for a steady problem.

    Raises:
        ConfigError: for a condition that can never hold or always holds, settings that have no
            effect, and steady problems.
        FormulaError: for an invalid condition.
    """
    given = [name for name in ("steady", "when", "frames") if getattr(settings, name) is not None]
    if not given:
        if settings.every is not None:
            raise ConfigError(
                "stop.every is set, but there is no condition",
                "stop.steady=1e-6, \"stop.when='max(u) > 5'\" or stop.frames=50",
            )
        return None
    if times is None:
        raise ConfigError(
            f"stop.{given[0]} has no effect on a steady problem, which has no time steps",
            "an equation with rhs",
        )
    frames = len(times) - 1
    if settings.frames is not None and settings.frames > frames:
        raise ConfigError(
            f"stop.frames={settings.frames} can never hold: the run has {frames} frames after "
            "the initial state",
            f"a number from 1 to {frames}",
        )
    condition = None
    if settings.when is not None:
        condition = _condition(settings.when, problem, observables)
    stops = Stops(settings.steady, settings.when, condition, settings.frames, settings.every)
    if condition is not None and not condition.equation.reductions:
        _check_possible(stops, problem.parameters, times)
    return stops


def _check_possible(stops: Stops, parameters: Mapping[str, float], times: np.ndarray) -> None:
    """Check that a condition that does not depend on the fields holds at some time, but not all.

    Raises:
        ConfigError: if it does not.
    """
    samples = np.append(times, np.linspace(times[0], times[-1], SAMPLES))
    known = {stops.holds(np.empty(0), float(time), parameters) for time in samples}
    if len(known) == 1:
        outcome = "always holds" if True in known else "can never hold"
        raise ConfigError(
            f"stop.when='{stops.when}' {outcome}",
            "a condition that depends on the fields, such as max(u) > 5",
        )


def _condition(text: str, problem: Problem, observables: Observables | None) -> Problem:
    if not is_condition(text):
        raise FormulaError(
            " ".join(text.split()), 0, "this is not a condition", "max(u) > 5", "stop.when"
        )
    named: dict[str, sympy.Expr] = {}
    if observables is not None:
        for name, formula in zip(observables.names, observables.texts, strict=True):
            expression = parse_number(formula, problem, f"observe.{name}")
            assert isinstance(expression, sympy.Expr)
            named[name] = expression
    expression = parse_number(f"where({text}, 1, 0)", problem, "stop.when", named)
    return observed_problem(problem, [expression])
