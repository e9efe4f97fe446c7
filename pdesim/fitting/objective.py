"""The objective of a fit with free arrays, and its exact gradient."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import count
from typing import Any

import numpy as np
import tensorflow as tf

from pdesim.engine.device import Placement
from pdesim.engine.differentiation import Derivatives, differentiate
from pdesim.engine.simulation import Simulation
from pdesim.errors import DivergedError, SolverError
from pdesim.fitting.free import Arrays
from pdesim.fitting.members import Family
from pdesim.fitting.prepare import Task
from pdesim.plan import Plan

#: the step of differences of initial states that formulas give, as a fraction of a position
STEP = 1e-5


@dataclass(frozen=True)
class Objective:
    """The misfit of a run and the data, as a function of one vector.

    The vector contains the positions of the parameters between their bounds, followed by the free
    arrays. The misfit is half the mean of the squared residuals, each divided by the standard
    deviation of the noise or of the data, or the mean cross entropy of the softmax of the fields.
    The penalties of the arrays are added.

    Args:
        task: the fit.
        family: the plans of its runs.
        placement: the device.
        start: the arrays with which the fit starts.
        sigma: the number by which the residuals of each field are divided.
    """

    task: Task
    family: Family
    placement: Placement
    start: Arrays
    sigma: dict[str, float]

    def split(self, vector: np.ndarray) -> tuple[np.ndarray, Arrays]:
        """Return the positions of the parameters, and the arrays."""
        count = len(self.task.parameters)
        return vector[:count], self.start.with_vector(vector[count:])

    def plan(self, vector: np.ndarray) -> Plan:
        """Return the plan of the run at a point."""
        places, arrays = self.split(vector)
        plan = self.family.plan(places)
        state = plan.state.astype(float).copy()
        for name, values in arrays.initial.items():
            state[plan.equation.fields.index(name)] = values
        known = plan.equation.networks
        networks = {
            name: replace(known[name], weights=tuple(weights))
            for name, weights in arrays.networks.items()
        }
        return plan.with_values({}, state, networks)

    def __call__(self, vector: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        """Return the objective, its gradient, and the misfit of each field.

        All are infinite or 0 if the run fails.
        """
        plan = self.plan(vector)
        wanted = [one.name for one in self.task.parameters if one.key.startswith("equation.")]
        for name in self.start.networks:
            wanted += plan.equation.networks[name].argument_names
        try:
            found = differentiate(plan, self.placement, self._misfit, wanted)
        except (DivergedError, SolverError):
            return np.inf, np.zeros_like(vector), np.full(len(self.sigma), np.inf)
        gradient = [self._of_parameters(vector, found), *self._of_arrays(plan, found)]
        places, arrays = self.split(vector)
        penalty, slopes = self._penalties(arrays)
        total = np.concatenate([np.zeros(len(places)), slopes.vector]) + np.concatenate(gradient)
        return found.value + penalty, total, self._sizes(found.frames)

    def compared(self, vector: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
        """Yield the indices of the frames of the data that are compared, and the fields there.

        With cross entropy, the fields are their softmax, the probabilities of the classes.
        """
        frames, fields, *_ = self._compared
        numbers = dict(zip(frames, count(int(self.task.from_data)), strict=False))
        run = Simulation(self.plan(vector), self.placement, measures=False).frames()
        for number, frame in enumerate(run):
            if number not in numbers:
                continue
            values = frame.state[fields].astype(float)
            if self.task.options.loss != "squares":
                values = np.exp(values - values.max(axis=0))
                values /= values.sum(axis=0)
            yield numbers[number], values

    def _of_parameters(self, vector: np.ndarray, found: Derivatives) -> np.ndarray:
        places = self.split(vector)[0]
        slopes = np.zeros(len(places))
        free = [self.family.base.equation.fields.index(name) for name in self.start.initial]
        for number, one in enumerate(self.task.parameters):
            if one.key.startswith("equation."):
                slopes[number] = float(found.parameters[one.name]) * one.slope(places[number])
            if not self.family.changes_state:
                continue
            upper, lower = places.copy(), places.copy()
            upper[number] += STEP
            lower[number] -= STEP
            change = self.family.plan(upper).state - self.family.plan(lower).state
            change[free] = 0.0
            slopes[number] += float(np.sum(found.initial * change)) / (2 * STEP)
        return slopes

    def _of_arrays(self, plan: Plan, found: Derivatives) -> list[np.ndarray]:
        fields = plan.equation.fields
        parts = [found.initial[fields.index(name)].reshape(-1) for name in self.start.initial]
        for name in self.start.networks:
            names = plan.equation.networks[name].argument_names
            parts += [found.parameters[one].reshape(-1) for one in names]
        return parts

    @cached_property
    def _compared(self) -> tuple[list[int], list[int], np.ndarray, np.ndarray]:
        """The frames and fields of runs that are compared, the data, and their weights."""
        data, base = self.task.observations, self.family.base
        used = range(int(self.task.from_data), len(data.times))
        frames = [int(np.abs(base.times - data.times[n]).argmin()) for n in used]
        fields = [base.equation.fields.index(name) for name in data.fields]
        shape = (len(frames), len(fields), *base.grid.shape)
        values, weights = np.zeros(shape), np.zeros(shape)
        for column, name in enumerate(data.fields):
            for row, number in enumerate(used):
                frame = np.full(base.grid.shape, np.nan)
                frame[np.ix_(*data.cells)] = data.values[name][number]
                seen = np.isfinite(frame)
                values[row, column][seen] = frame[seen]
                weights[row, column][seen] = 1 / self.sigma[name] ** 2
        return frames, fields, values, weights

    @cached_property
    def count(self) -> int:
        """The number of observed values."""
        return max(int(np.count_nonzero(self._compared[3])), 1)

    @cached_property
    def _misfit(self) -> Callable[[tf.Tensor], tf.Tensor]:
        frames, fields, data, weights = self._compared

        def selected(states: tf.Tensor) -> tf.Tensor:
            return tf.gather(tf.gather(states, frames, axis=0), fields, axis=1)

        def squares(states: tf.Tensor) -> tf.Tensor:
            return 0.5 * tf.reduce_sum(weights * (selected(states) - data) ** 2) / self.count

        def cross_entropy(states: tf.Tensor) -> tf.Tensor:
            logits = tf.nn.log_softmax(selected(states), axis=1)
            seen = (weights > 0).all(axis=1, keepdims=True)
            return -tf.reduce_sum(seen * data * logits) / max(int(np.sum(seen)), 1)

        return squares if self.task.options.loss == "squares" else cross_entropy

    def _sizes(self, states: np.ndarray) -> np.ndarray:
        """Return the root mean square of the residuals of each field."""
        frames, fields, data, weights = self._compared
        difference = np.where(weights > 0, states[frames][:, fields] - data, np.nan)
        axes = (0, *range(2, difference.ndim))
        return np.sqrt(np.nanmean(difference**2, axis=axes))

    def _penalties(self, arrays: Arrays) -> tuple[float, Arrays]:
        """Return the penalties of all arrays, and their derivatives."""
        base, total = self.family.base, 0.0
        slopes: dict[str, Any] = {name: np.zeros_like(v) for name, v in arrays.initial.items()}
        for one in self.task.free:
            if not one.smoothness:
                continue
            values, slope = arrays.initial[one.name], slopes[one.name]
            for axis, spacing in enumerate(base.grid.spacing):
                where = -1 - axis
                change = np.roll(values, -1, where) - values
                if not base.problem.boundary.is_periodic(axis):
                    last = [slice(None)] * values.ndim
                    last[where] = slice(-1, None)
                    change[tuple(last)] = 0.0
                factor = one.smoothness / (values.size * spacing**2)
                total += 0.5 * factor * float(np.sum(change**2))
                slope += factor * (np.roll(change, 1, where) - change)
        weights = {name: [np.zeros_like(w) for w in ws] for name, ws in arrays.networks.items()}
        return total, Arrays(slopes, weights)
