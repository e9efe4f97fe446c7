"""The runs of a fit: plans that differ only in the fitted parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from pdesim.errors import ConfigError, PdesimError
from pdesim.fitting.parameters import Parameter
from pdesim.fitting.prepare import Task, write_initial
from pdesim.formula import names_in
from pdesim.model.initial_conditions import build_initial
from pdesim.plan import InitialState, Plan, build_plan
from pdesim.problem import initial_values
from pdesim.settings import Settings


@dataclass(frozen=True)
class Family:
    """The plans of a fit, one for each choice of the parameters.

    Args:
        base: the plan at the first start.
        settings: the settings of ``base``.
        parameters: the fitted parameters.
        equation: the name of the equation.
    """

    base: Plan
    settings: Settings
    parameters: tuple[Parameter, ...]
    equation: str

    @cached_property
    def changes_state(self) -> bool:
        """Whether the initial state depends on the parameters."""
        names = set().union(*(names_in(str(text)) for text in self.settings.initial.values()))
        formulas = self.base.equation.place_formulas
        for name in names & set(formulas):
            names |= {symbol.name for symbol in formulas[name].free_symbols}
        return any(one.key.startswith("initial.") or one.name in names for one in self.parameters)

    def values(self, places: Sequence[float] | np.ndarray) -> dict[str, float]:
        """Return setting -> value at positions between the bounds."""
        return {
            one.key: one.value(float(place))
            for one, place in zip(self.parameters, places, strict=True)
        }

    def plan(self, places: Sequence[float] | np.ndarray) -> Plan:
        """Return the plan with the parameters at these positions, and the steps of ``base``.

        Raises:
            ConfigError: if the initial state is not finite.
        """
        settings = with_values(self.settings, self.values(places))
        known = self.base.equation.parameters
        numbers = {name: float(settings.equation[name]) for name in known}
        plan = self.base.with_values(numbers, self.base.state)
        if not self.changes_state:
            return plan
        equation, axes = plan.equation, plan.grid.axes
        names = equation.initial_names
        formulas = build_initial(settings.initial, equation.fields, axes, names)
        state = initial_values(settings, plan.problem, formulas)
        return replace(plan, initial=InitialState(state))

    def planned(self, places: Sequence[float] | np.ndarray) -> Plan:
        """Return the plan of a run with these parameters, with its own time step.

        Raises:
            PdesimError: see :func:`plan_at`.
        """
        plan = plan_at(self.settings, self.equation, self.values(places), self._state)
        return plan

    @property
    def _state(self) -> np.ndarray | None:
        """The initial state if it does not depend on the parameters."""
        return None if self.changes_state else self.base.state


def with_values(settings: Settings, values: Mapping[str, float]) -> Settings:
    """Return settings with other values of parameters; the names are ``equation.D``."""
    sections: dict[str, dict[str, Any]] = {
        "equation": dict(settings.equation),
        "initial": dict(settings.initial),
    }
    for key, value in values.items():
        section, _, name = key.partition(".")
        sections[section][name] = value
    return settings.model_copy(update=sections)


def plan_at(
    settings: Settings, equation: str, values: Mapping[str, float], state: np.ndarray | None = None
) -> Plan:
    """Return the plan of a run with these parameters.

    Args:
        state: the initial state; None: that of the settings.

    Raises:
        PdesimError: if there is no such run. The message names the parameters.
    """
    changed = with_values(settings, values)
    try:
        plan = build_plan(changed, equation)
    except PdesimError as error:
        text = ", ".join(f"{key}={value:.6g}" for key, value in values.items())
        problem = f"no run is possible at {text}: {error.problem}"
        # FormulaError has other arguments
        kind = type(error) if type(error).__init__ is PdesimError.__init__ else ConfigError
        raise kind(problem, error.expected, error.hint) from None
    return plan if state is None else replace(plan, initial=InitialState(state))


def build_family(task: Task, staging: Path) -> Family:
    """Plan the runs of a fit.

    The stepper is that of the plan at the first start, so that all runs have the same one.

    Args:
        staging: a folder for the initial state, which must exist as long as plans are built.

    Raises:
        PdesimError: for settings without a run in time, and for parameters that obstacles depend
            on.
    """
    settings = task.settings
    mask = names_in(settings.domain.mask or "")
    for one in task.parameters:
        if one.key.startswith("equation.") and one.name in mask:
            raise ConfigError(
                f"{one.key} cannot be fitted: the obstacles (domain.mask) depend on it",
                "a parameter of the equation, its boundary values or its initial state",
            )
    if kind := {"solve": "a steady problem", "map": "an iterated map"}.get(_key(settings)):
        raise ConfigError(
            f"{task.equation} is {kind}; fits need runs in time", "an equation with rhs: {...}"
        )
    if settings.equation.get("noise"):
        raise ConfigError(
            f"{task.equation} has noise; a fit compares the data with one path of it",
            "equation.noise=null, the equation without noise",
        )
    output = settings.output.model_copy(update={"times": inner_times(task)})
    update: dict[str, Any] = {"output": output}
    if task.from_data:
        update["initial"] = write_initial(task, staging)
    settings = settings.model_copy(update=update)
    start = {one.key: one.value(one.start) for one in task.parameters}
    settings = with_values(settings, start)
    stepper = build_plan(settings, task.equation).stepper
    chosen = settings.stepper.model_copy(
        update={
            "name": stepper.method.name,
            "stages": getattr(stepper, "stages", settings.stepper.stages),
        }
    )
    settings = settings.model_copy(update={"stepper": chosen})
    return Family(build_plan(settings, task.equation), settings, task.parameters, task.equation)


def _key(settings: Settings) -> str:
    """Return the key under which the equation gives its formulas."""
    return next((key for key in ("solve", "map") if settings.equation.get(key)), "rhs")


def inner_times(task: Task) -> list[float]:
    """Return the times of the data between the start and the end of the runs."""
    start, end = task.settings.time.start, task.settings.time.end
    return [float(time) for time in task.observations.times if start < time < end]


def least_favourable(parameters: Sequence[Parameter]) -> list[np.ndarray]:
    """Return the positions at which time steps are determined: each parameter at each bound.

    The other parameters are at the first start.
    """
    start = np.array([one.start for one in parameters])
    found = {start.tobytes(): start}
    for number in range(len(parameters)):
        for end in (0.0, 1.0):
            place = start.copy()
            place[number] = end
            found.setdefault(place.tobytes(), place)
    return list(found.values())
