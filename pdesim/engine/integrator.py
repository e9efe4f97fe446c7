"""The states of one or several runs on the device, and the operations that advance them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import numpy as np
import tensorflow as tf

from pdesim.engine.device import release_memory
from pdesim.engine.held import Held, on_grid
from pdesim.engine.noise_path import path_of
from pdesim.engine.time_loop import TimeLoop
from pdesim.errors import OutputError
from pdesim.plan import Plan

#: a tolerance that every step satisfies
ANY = 1e30
#: number of trial steps of multistep methods: several, since the first step has a lower order
MULTISTEP_STEPS = 8
#: rounding error of the difference between one step and two half steps, for each stage, in units in
#: the last place
ROUNDING = 2.0
#: rounding part of a measured error, divided by ROUNDING, in units of the rounding error of a step.
#: A larger part would hide errors of stiff waves in single precision (``beam_plate``).
SEVERAL = 0.5
#: maximum number of steps of a look ahead
FAR = 1024
#: a trial step is accurate enough if it agrees with two half steps within the factor AGREE; if not,
#: it is divided by SHORTER, up to TRIALS times
AGREE, SHORTER, TRIALS = 10.0, 8.0, 8
#: number of cached sets of coefficients (KEPT). If the states have more than LARGE bytes, there is
#: only one, and free memory is returned after trial steps.
KEPT, LARGE = 3, 2**28


class Integrator:
    """The states of plans that are advanced together by one program.

    ``now`` and ``dt`` are arrays with one value for each plan. With several plans, states and
    carried data have an additional leading axis. For steppers with fixed steps, ``dt`` is the step
    for which ``carry`` and the coefficients were computed; for adaptive steppers, it is the next
    step to attempt.
    """

    def __init__(self, plans: list[Plan], loop: TimeLoop) -> None:
        self.plans, self.loop = plans, loop
        self.now = np.full(len(plans), float(plans[0].times[0]))
        self.dt = np.zeros(len(plans))
        self._state: tf.Tensor | None = None
        #: on the grid, or a state that the loop holds in its own form
        self.carry: Any = None
        self._coefficients: dict[str, tf.Tensor] = {}
        self._known: dict[bytes, dict[str, tf.Tensor]] = {}

    @property
    def many(self) -> bool:
        return len(self.plans) > 1

    @property
    def adaptive(self) -> bool:
        return self.plans[0].step.adaptive

    @property
    def everyone(self) -> np.ndarray:
        return np.ones(len(self.plans), bool)

    @property
    def has_state(self) -> bool:
        """Whether there is a state: there is none during a block, or after one that has failed."""
        return self._state is not None or isinstance(self.carry, Held)

    @property
    def state(self) -> tf.Tensor | None:
        """The states on the grid."""
        if self._state is None and isinstance(self.carry, Held):
            return self.carry.on_grid
        return self._state

    @state.setter
    def state(self, state: tf.Tensor | None) -> None:
        self._state = state

    @property
    def _present(self) -> tf.Tensor | Held | None:
        """The states on the grid, or in slabs if they are not on the grid."""
        return self.carry if self._state is None else self._state

    def upload(self, dt: np.ndarray) -> None:
        """Upload the states of the plans and the carried data, initialised or from checkpoints."""
        before = [plan.resume_from for plan in self.plans if plan.resume_from is not None]
        self.state = self.tensor([plan.state for plan in self.plans], self.loop.dtype)
        if not before:
            now = self.double(self.now)
            self.state = self.loop.initial(self.state, self.parameters, now)
        self.init(dt, self.everyone)
        if before:
            self._carry_on([checkpoint.carry for checkpoint in before])

    def _carry_on(self, carried: Sequence[tuple[np.ndarray, ...]]) -> None:
        """Upload the carried data of all plans from their checkpoints.

        Raises:
            OutputError: if the arrays do not match those of this stepper.
        """
        expected = [_form(part) for part in self.carry_of(0)]
        for parts in carried:
            if (forms := [_form(part) for part in parts]) != expected:
                raise OutputError(
                    "the stepper data in the checkpoint do not match the stepper: "
                    f"{', '.join(forms[:9]) or 'none'}",
                    ", ".join(expected),
                    "remove checkpoint.h5 to resume from the previous checkpoint or the start",
                )
        tensors = [self.tensor(part, part[0].dtype) for part in zip(*carried, strict=True)]
        self.carry = tf.nest.pack_sequence_as(self.carry, tensors)

    def tensor(self, values: Sequence | np.ndarray, dtype: tf.DType) -> tf.Tensor:
        """Return one value per plan as a tensor, a scalar for a single plan."""
        return tf.constant(np.stack(list(values)) if self.many else values[0], dtype)

    def double(self, values: np.ndarray) -> tf.Tensor:
        """Return one number per plan as a tensor in float64."""
        return self.tensor(values, tf.float64)

    @cached_property
    def parameters(self) -> dict[str, tf.Tensor]:
        """The parameters of the plans as tensors."""
        names = self.plans[0].equation.parameters
        values = {name: [p.equation.parameters[name] for p in self.plans] for name in names}
        tensors = self.loop.parameter_tensors(values, self.tensor) | self._noise_arguments()
        for name in self.plans[0].problem.arrays:
            cells = [plan.problem.arrays[name] for plan in self.plans]
            tensors[name] = self.tensor(cells, self.loop.dtype)
        # members of a batch have the networks that are part of their formulas
        return tensors if self.many else tensors | self.loop.network_tensors(self.plans[0].equation)

    def _noise_arguments(self) -> dict[str, tf.Tensor]:
        """The values that select the path of each plan's noise."""
        if not self.plans[0].equation.noise:
            return {}
        paths = [path_of(plan) for plan in self.plans]
        return {name: self.double(np.array([p[name] for p in paths])) for name in paths[0]}

    def state_of(self, member: int) -> np.ndarray:
        state = as_array(self.state)
        return state[member] if self.many else state

    def carry_of(self, member: int) -> tuple[np.ndarray, ...]:
        parts = [as_array(part) for part in tf.nest.flatten(on_grid(self.carry))]
        return tuple(part[member] if self.many else part for part in parts)

    def statistics(self, state: tf.Tensor | Held | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Return standard deviation and root mean square of each field: (plans, fields)."""
        values = self.loop.field_statistics.spread_and_size(
            self._present if state is None else state
        )
        spread, size = (np.atleast_2d(np.asarray(value)) for value in values)
        return spread, size

    def unsolvable(self) -> np.ndarray:
        """Return the parts of the sources of constraints without a solution: (plans, groups)."""
        parts = self.loop.unsolvable(self.state, self.parameters, self.double(self.now))
        return np.atleast_2d(np.asarray(parts))

    def init(self, dt: np.ndarray, which: np.ndarray) -> None:
        """Initialise the stepper's coefficients and carried data from the states, for these dt."""
        self.dt = dt
        if not self.adaptive:
            self._coefficients = self._coefficients_for(dt)
        if self.adaptive or self._carries_state:  # a program would return a copy
            self.carry = self._present
            return
        initial = self.loop.init(
            self.state, self.double(self.now), self.double(dt), self.parameters,
            self._coefficients,
        )  # fmt: skip
        self.carry = (
            initial if which.all() else self.loop.select_members(which, initial, self.carry)
        )

    def _coefficients_for(self, dt: np.ndarray) -> dict[str, tf.Tensor]:
        """Return the stepper's coefficients for these dt, with a small cache."""
        key = dt.tobytes()
        if key not in self._known:
            host = [
                self.loop.coefficients.host(float(one), plan.equation.parameters)
                for one, plan in zip(dt, self.plans, strict=True)
            ]
            stacked = {
                name: np.stack([h[name] for h in host]) if self.many else value
                for name, value in host[0].items()
            }
            while len(self._known) >= (1 if self._is_large else KEPT):
                del self._known[next(iter(self._known))]
            self._known[key] = self.loop.coefficients.as_tensors(stacked)
        return self._known[key]

    @property
    def _is_large(self) -> bool:
        return self.plans[0].state_bytes * len(self.plans) > LARGE

    @property
    def _carries_state(self) -> bool:
        """Whether the carried data are the state, so that one array is used for both."""
        return self.plans[0].stepper.carries_state

    def advance(self, start: np.ndarray, dt: np.ndarray, first: int, last: np.ndarray):
        """Take the steps ``first`` to ``last - 1`` of intervals that begin at ``start``.

        Returns:
            See :class:`pdesim.engine.held.RunLoop`.
        """
        return self.loop.of_run.advance(
            self.carry, self.double(start), self.double(dt), tf.constant(first, tf.int64),
            self.tensor(last, tf.int64), self.parameters, self._coefficients,
        )  # fmt: skip

    def advance_adaptive(self, ends, max_trials: int, scale: np.ndarray, dt=None, tolerance=None):
        """Attempt up to ``max_trials`` adaptive steps towards the times ``ends``."""
        tolerance = self.plans[0].step.tolerance if tolerance is None else tolerance
        scale = scale if self.many else scale[0]
        return self.loop.of_run.advance_adaptive(
            self.carry, self.double(self.now), self.double(ends),
            self.double(self.dt if dt is None else dt), tf.constant(max_trials, tf.int64),
            tf.constant(tolerance, tf.float64), tf.constant(scale, self.loop.dtype),
            self.parameters,
        )  # fmt: skip

    @contextmanager
    def _discarding(self) -> Iterator[None]:
        """Restore the states, the carried data and the steps afterwards."""
        saved = self.carry, self._coefficients, self._state, self.dt, self.now
        try:
            yield
        finally:
            self.carry, self._coefficients, self._state, self.dt, self.now = saved
            if self._is_large:
                release_memory()

    def sizes_ahead(self, dt: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return standard deviation and root mean square of each field after some steps.

        The current states are unchanged. At most ``FAR`` steps are taken.

        Args:
            dt, counts: length and number of the steps of each plan, which are not adaptive.
        """
        with self._discarding():
            if not np.array_equal(dt, self.dt) or self._is_multistep:
                self.init(dt, self.everyone)
            taken = self.advance(self.now, dt, 0, np.minimum(counts, FAR))
            return self.statistics(_state_after(taken))

    def first_sizes(self, longest: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return sizes of the fields after an adaptive trial step, and its length.

        The step is shortened until it agrees with two steps of half its length, as the first step
        of Hairer, Norsett, Wanner, Solving ODEs I (1993), sec. II.4, is limited by the size of the
        rates. The current states are unchanged.

        Args:
            longest: the maximum length of the step.
        """
        first = dt = np.minimum(self.dt, longest)
        with self._discarding():
            for _ in range(TRIALS):
                sizes = self.statistics(self._steps(dt, 1))
                halves = self.statistics(self._steps(0.5 * dt, 2))
                good = _agree(sizes[1], halves[1])
                if good.all():
                    break
                dt = np.where(good, dt, dt / SHORTER)
            else:  # no step of some plans was accurate, for example of order 3 for u' = t**9
                dt = np.where(good, dt, first)
                halves = self.statistics(self._steps(0.5 * dt, 2))
        return *halves, dt

    def _steps(self, dt: np.ndarray, count: int) -> tf.Tensor | Held:
        """Return the states after ``count`` steps of length ``dt``.

        The carried data are initialised again if ``dt`` has changed or the stepper is a multistep
        method.
        """
        if self._is_large:
            release_memory()
        if self.adaptive:
            # not the scales of the fields: the allowed error of one that is zero would be tiny
            ones = np.ones((len(self.plans), len(self.plans[0].equation.fields)))
            taken = self.advance_adaptive(self.now + count * dt, count, ones, dt, ANY)
            return _state_after(taken)
        if not np.array_equal(dt, self.dt) or self._is_multistep:
            self.init(dt, self.everyone)
        return _state_after(self.advance(self.now, dt, 0, np.full(len(self.plans), count)))

    @property
    def _is_multistep(self) -> bool:
        return self.plans[0].stepper.is_multistep

    def error_rate(
        self, longest: np.ndarray, peak: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return the error per unit of time, its rounding part, and the damping rate of errors.

        The error follows from one step and two half steps; see :mod:`pdesim.engine.monitor`. One
        further step from each of the two results shows how their difference is damped. If the
        difference grows, or is as small as rounding errors, the damping rate is 0. The last result
        is the rounding error of a step (:meth:`rounding_error`). The arrays have the shape
        ``(plans, fields)``.

        Args:
            longest: the maximum length of adaptive steps.
            peak: the magnitude of each field, for its rounding error.
        """
        plan = self.plans[0]
        count = MULTISTEP_STEPS if self._is_multistep else 1
        dt = np.minimum(self.dt, longest) if self.adaptive else self.dt
        noise = self.rounding_error(dt)
        with self._discarding():
            one, two = self._steps(dt, count), self._steps(0.5 * dt, 2 * count)
            first = self._distance(one, two)
            self.now = self.now + count * dt
            one = self._steps_from(one, dt, 1)
            two = self._steps_from(two, dt, 1)
            second = self._distance(one, two)
        each = np.fmax(plan.stages * self.epsilon * peak, SEVERAL * noise)
        rounding = ROUNDING * count * each
        share = (count * dt)[:, None] * (1 - 0.5**plan.stepper.method.order)
        with np.errstate(divide="ignore", invalid="ignore"):
            damping = np.where(first > rounding, -np.log(second / first) / dt[:, None], 0.0)
        damping = np.maximum(np.nan_to_num(damping), 0.0)
        return first / share, rounding / share, damping, noise

    def rounding_error(self, dt: np.ndarray) -> np.ndarray:
        """Return the rounding error of a step of each field: ``(plans, fields)``.

        It is the root mean square of the difference of two steps, from the current state and from
        one whose values differ by one rounding error, relative to themselves. Fields that depend on
        small differences of large values, in other fields or in neighbouring cells, thus have a
        rounding error that may exceed their own values. A result that is not finite is 0.
        """
        with self._discarding():  # first, since it needs the most memory
            other = self._steps_from(self.loop.perturbed(self.state), dt, 1)
        with self._discarding():
            given = self._steps(dt, 1)
        noise = self._distance(given, other)
        return np.where(np.isfinite(noise), noise, 0.0)

    def _distance(self, one: tf.Tensor | Held, other: tf.Tensor | Held) -> np.ndarray:
        """Return the root mean square of the difference of each field: ``(plans, fields)``."""
        return np.atleast_2d(np.asarray(self.loop.field_statistics.distance(one, other)))

    @property
    def epsilon(self) -> float:
        """The distance of 1 to the next number of the states' type."""
        return float(np.finfo(self.loop.dtype.as_numpy_dtype).eps)

    def _steps_from(self, state: tf.Tensor | Held, dt: np.ndarray, count: int) -> tf.Tensor | Held:
        """Return the states some steps after given trial states."""
        self.state = None if isinstance(state, Held) else state
        self.carry = state
        self.init(dt, self.everyone)
        if self._carries_state:  # then the state on the grid is not needed
            self.carry = self.loop.of_run.enter(self.carry, self.parameters)
            self.state = None
            del state
        return self._steps(dt, count)


def _state_after(taken: tuple) -> tf.Tensor | Held:
    """Return the state from the result of steps, in slabs if the loop holds it there."""
    carry, state, *_ = taken
    return carry if state is None else state


def _agree(sizes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return for which plans all sizes are finite and agree within a factor: ``(plans,)``."""
    finite = np.isfinite(sizes) & np.isfinite(others)
    with np.errstate(invalid="ignore"):
        near = (sizes <= AGREE * others) & (others <= AGREE * sizes)
    return (finite & near).all(axis=1)


def _form(values: np.ndarray) -> str:
    return f"{values.dtype} {values.shape}"


def as_array(tensor: tf.Tensor) -> np.ndarray:
    """Return a tensor as a read-only array; on a CPU, the data are not copied."""
    return np.asarray(memoryview(tensor)) if "CPU" in tensor.device else tensor.numpy()
