"""The step loop as compiled programs: one call takes many steps, of fixed or adaptive length."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any, Protocol

import numpy as np
import tensorflow as tf

from pdesim.engine.adjoint_loop import AdjointLoop
from pdesim.engine.coefficients import Coefficients
from pdesim.engine.error_scale import field_ranges
from pdesim.engine.field_statistics import FieldStatistics
from pdesim.engine.flat import eligibility, layout, slabs
from pdesim.engine.flat.flat_loop import FlatLoop
from pdesim.engine.flat.gpu_loop import GpuLoop
from pdesim.engine.flat.held_slabs import HeldSlabs
from pdesim.engine.flat.layout import FlatLayout
from pdesim.engine.flat.position_arrays import PositionArrays
from pdesim.engine.flat.slabs import Slabs
from pdesim.engine.flat.tiled_loop import AdaptiveTiledLoop, TiledLoop
from pdesim.engine.flat.tuning import Tuning
from pdesim.engine.held import RunLoop, unchanged
from pdesim.engine.observed_loop import ObservedLoop
from pdesim.engine.perturbation import perturbed
from pdesim.engine.plain_loop import PlainLoop
from pdesim.engine.sampler import Sampler, root_mean_square, sampler_of, squares_of_rows
from pdesim.engine.step import StepContext, Target
from pdesim.model.bands import Band
from pdesim.model.equation import Equation
from pdesim.operators.constraint_solution import unsolvable_parts
from pdesim.operators.mirror import reflections
from pdesim.operators.observables import Observables
from pdesim.operators.problem import Problem
from pdesim.operators.stops import Stops
from pdesim.operators.time_parts import double_names
from pdesim.steppers.base import AdaptiveStepper, Carry


class Loop(Protocol):
    """Interface of the step loops; the implementations differ in how they store states."""

    @property
    def steps_at_once(self) -> int:
        """Number of steps between two exchanges of ghost cells.

        Taking fewer steps may take as long as taking this number.
        """

    @property
    def advance(self) -> Any:
        """``advance(carry, start, dt, first, last, parameters, coefficients)``.

        Takes the steps ``first`` to ``last - 1`` of an interval that begins at ``start``. Returns
        the carried data (None if they are the state), the state, and whether each field is finite.
        With several members, ``last`` has one value for each member.
        """

    @property
    def advance_adaptive(self) -> Any:
        """``advance_adaptive(carry, time, end, dt, max_trials, tolerance, scale, parameters)``.

        For steppers that estimate their error. Attempts up to ``max_trials`` steps of adaptive
        length (:mod:`pdesim.engine.error_control`) towards ``end``. ``tolerance`` is relative to
        ``scale``, which has one value for each field (of each member). Returns None, the state,
        whether each field is finite, and the tuple (time, dt, accepted, tried), whose elements have
        one value for each member.
        """


@dataclass(frozen=True)
class TimeLoop:
    """The compiled programs of a problem and a stepper.

    Step counts, dt, parameters and the stepper's coefficients are arguments, so that their changes
    do not cause a new trace.

    Args:
        context: the problem and the stepper.
        observables: the observables that the program records; None if there are none.
        stops: the conditions that the programs evaluate; None if there are none.
    """

    context: StepContext
    observables: Observables | None = None
    stops: Stops | None = None

    @property
    def problem(self) -> Problem:
        return self.context.problem

    @property
    def dtype(self) -> tf.DType:
        return self.context.dtype

    @cached_property
    def layout(self) -> FlatLayout | None:
        """The layout of a flat state, if the target and the problem support one."""
        context = self.context
        if not context.target.flat or not eligibility.supports(context.problem):
            return None
        if not context.cost.is_local or context.cost.depth == 0:
            return None
        known, tuning = context.cost.carried_fields is not None, context.tuning
        if context.target.for_gpu:
            tuning = tuning.on_gpu(context.state_bytes)
        return layout.decompose(
            context.problem, context.cost.depth, context.bytes_per_cell, tuning,
            reflections(context.problem) if known else None,
        )  # fmt: skip

    @cached_property
    def slabs(self) -> Slabs | None:
        """The slabs of a large flat grid, for fixed steps."""
        return self.slabs_of(single=False)

    @cached_property
    def adaptive_slabs(self) -> Slabs | None:
        """The slabs of a large flat grid, for the adaptive steps of a single run."""
        adaptive = isinstance(self.context.stepper, AdaptiveStepper)
        return self.slabs_of(single=True) if adaptive and not self.context.members else None

    def slabs_of(
        self,
        single: bool,
        tuning: Tuning | None = None,
        part: range | None = None,
        halves: bool = False,
    ) -> Slabs | None:
        """Return the slabs of a large flat grid, or of some of its rows.

        Args:
            single, part, halves: see :func:`pdesim.engine.flat.slabs.decompose`.
            tuning: the constants; by default, those of the programs.
        """
        if self.layout is None or self.context.target.for_gpu:
            return None
        context = self.context
        fields = len(context.problem.equation.fields)
        # arrays for the state before and after, squared errors, stages, and coefficients
        fixed = len(PositionArrays(context, self.layout).names)
        arrays = 2 + single - (-(sum(context.cost.buffers) + fixed) // fields)
        tuning = tuning or context.tuning
        return slabs.decompose(
            self.layout, context.bytes_per_cell, arrays, single, tuning, part, halves
        )

    @cached_property
    def loop(self) -> Loop:
        """The fastest loop that supports the problem, and records observables of every step."""
        if self.records_steps:
            assert self.observed is not None
            return ObservedLoop(self.context, self.loop_of_single_steps, self.observed)
        if self.layout is None:
            return PlainLoop(self.context)
        if self.context.target.for_gpu:
            in_place = self.context.state_bytes >= self.context.tuning.gpu_in_place_bytes
            return GpuLoop(self.context, self.layout, in_place)
        flat = FlatLoop(self.context, self.layout, sliced=self.slabs is not None)
        loop: Loop = flat
        if self.slabs is not None:
            loop = TiledLoop(self.context, self.slabs, flat)
        if self.adaptive_slabs is not None:
            loop = AdaptiveTiledLoop(self.context, self.adaptive_slabs, loop)
        return loop

    @property
    def records_steps(self) -> bool:
        """Whether the program records observables of every step."""
        return self.observables is not None and self.observables.every is None

    @cached_property
    def of_run(self) -> RunLoop:
        """The functions by which a run advances; the state of a large grid remains in slabs."""
        slabs = self._slabs_of_run
        if slabs is None:
            return RunLoop(self.loop.advance, self.loop.advance_adaptive, unchanged)
        held = HeldSlabs(self.context, slabs)
        return RunLoop(held.advance, held.advance_adaptive, held.enter)

    @property
    def _slabs_of_run(self) -> Slabs | None:
        """The slabs in which the state of a run remains between blocks of steps."""
        context, adaptive = self.context, isinstance(self.context.stepper, AdaptiveStepper)
        if context.members or self.records_steps or not context.stepper.carries_state:
            return None
        return self.adaptive_slabs if adaptive else self.slabs

    @cached_property
    def loop_of_trials(self) -> PlainLoop | FlatLoop:
        """The loop whose single adaptive steps have the same values as those of :attr:`loop`."""
        if self.layout is None or self.context.target.for_gpu:
            return PlainLoop(self.context)
        return FlatLoop(self.context, self.layout)

    @cached_property
    def loop_of_single_steps(self) -> PlainLoop | FlatLoop:
        """The loop that takes the steps between records of every step."""
        if self.layout is None or self.context.target.for_gpu:
            return PlainLoop(self.context)
        flat = FlatLoop(self.context, self.layout.with_steps_per_exchange(1))
        return PlainLoop(self.context) if flat.position.names else flat

    @cached_property
    def observed(self) -> Sampler | None:
        """The sampler of the observables."""
        return None if self.observables is None else sampler_of(self.context, self.observables)

    @cached_property
    def condition(self) -> Sampler | None:
        """The sampler of the condition under which a run stops."""
        if self.stops is None or self.stops.condition is None:
            return None
        return Sampler(self.context, self.stops.condition)

    @cached_property
    def rates(self) -> Any:
        """``rates(parameters, state, time)``: root mean squares of du/dt and of each field.

        Cells of obstacles count as zero in both; see :func:`pdesim.engine.sampler.squares_of_rows`.
        """
        context = self.context

        def trace(parameters: Any, state: tf.Tensor, time: tf.Tensor) -> tf.Tensor:
            rows = squares_of_rows(context, context.system(parameters), state, time)
            return root_mean_square(context.problem, rows)

        return context.compiled(trace)

    @property
    def steps_at_once(self) -> int:
        return self.loop.steps_at_once

    @property
    def advance(self) -> Any:
        """See :attr:`Loop.advance`."""
        return self.loop.advance

    @property
    def advance_adaptive(self) -> Any:
        """See :attr:`Loop.advance_adaptive`."""
        return self.loop.advance_adaptive

    @cached_property
    def parameters(self) -> dict[str, tf.Tensor]:
        """The parameters of the problem itself, for a single run."""
        equation = self.problem.equation
        tensors = self.parameter_tensors(equation.parameters, tf.constant)
        arrays = {n: tf.constant(v, self.dtype) for n, v in self.problem.arrays.items()}
        return tensors | arrays | self.network_tensors(equation)

    def network_tensors(self, equation: Equation) -> dict[str, tf.Tensor]:
        """Return the weights of an equation's networks as arguments of programs."""
        return {
            name: tf.constant(weights, self.dtype)
            for network in equation.networks.values()
            for name, weights in zip(network.argument_names, network.weights, strict=True)
        }

    def parameter_tensors(
        self, values: Mapping[str, Any], make: Callable[[Any, tf.DType], tf.Tensor]
    ) -> dict[str, tf.Tensor]:
        """Return parameters as tensors of the state's type.

        If a formula depends on time, the result also contains float64 values of the parameters,
        under the names of :func:`pdesim.operators.time_parts.double_names`.

        Args:
            make: returns a tensor for a value and a type.
        """
        in_double = double_names(self.problem, self.dtype.name)
        result = {name: make(value, self.dtype) for name, value in values.items()}
        return result | {in_double[name]: make(values[name], tf.float64) for name in in_double}

    @cached_property
    def coefficients(self) -> Coefficients:
        """The stepper's coefficients, as a function of dt."""
        return Coefficients(self.context.stepper, self.context.system({}))

    @cached_property
    def adjoint(self) -> AdjointLoop:
        """The derivatives of steps, computed on arrays of the grid's shape."""
        target = Target(self.context.target.fused, for_gpu=self.context.target.for_gpu)
        return AdjointLoop(replace(self.context, target=target))

    @cached_property
    def initial(self) -> Any:
        """``initial(state, parameters, time)``: the state with which a run starts.

        With dealiasing, it does not contain the upper third of its modes. Solved fields satisfy
        their constraints.
        """
        split, scheme, context = self.problem.split, self.problem.discretisation, self.context
        truncates = scheme.dealias and not split.is_linear
        if not truncates and not self.problem.equation.constraints:
            return lambda state, parameters, time: state

        def trace(state: tf.Tensor, parameters: Any, time: tf.Tensor) -> tf.Tensor:
            system = context.system(parameters)
            at = context.per_member(time, context.problem.grid.dimensions)
            return system.consistent(system.truncated(state) if truncates else state, at)

        return context.compiled(trace)

    @cached_property
    def unsolvable(self) -> Any:
        """``unsolvable(state, parameters, time)``: see :func:`unsolvable_parts`."""
        context = self.context

        def trace(state: tf.Tensor, parameters: Any, time: tf.Tensor) -> tf.Tensor:
            at = context.per_member(time, context.problem.grid.dimensions)
            return unsolvable_parts(context.system(parameters), state, at)

        return context.compiled(trace)

    @cached_property
    def init(self) -> Any:
        """``init(state, time, dt, parameters, coefficients)``: the stepper's carried data."""
        context, axes = self.context, self.problem.grid.dimensions

        def trace(state, time, dt, parameters, coefficients):
            dt = context.per_member(tf.cast(dt, context.dtype), axes + 1)
            time = context.per_member(time, axes)
            return context.stepper.init(context.system(parameters), state, time, dt, coefficients)

        return context.compiled(trace)

    def select_members(self, which: np.ndarray, new: Carry, old: Carry) -> Carry:
        """Return the carried data: ``new`` for the members ``which``, ``old`` for all others."""
        return self.context.select_members(tf.constant(which), new, old)

    def agree(self, value: float) -> float:
        """Return the value on which all devices of the problem agree: that of the only one."""
        return value

    def whole(self, state: np.ndarray) -> np.ndarray:
        """Return the state of the complete grid from that of this device."""
        return state

    def in_cells(self, state: np.ndarray, spacing: int) -> np.ndarray:
        """Return a state of the complete grid in every n-th cell along each axis."""
        index: Any = (..., *[slice(None, None, spacing)] * self.problem.grid.dimensions)
        return state[index]

    def bands(self, state: np.ndarray, rows: int) -> np.ndarray | Iterable[Band]:
        """Return the state of the complete grid, or its bands of so many rows."""
        return state

    def ranges(self, state: np.ndarray) -> np.ndarray:
        """Return the maximum of each field minus its minimum, of the state of one member."""
        return field_ranges(state)

    @property
    def description(self) -> list[str]:
        """Lines for the user on the division of the grid among devices."""
        return []

    @cached_property
    def field_statistics(self) -> FieldStatistics:
        """The statistics of states, on the grid or as :attr:`of_run` returns them."""
        return FieldStatistics(self.context, self.problem.grid.cells, self._slabs_of_run)

    @cached_property
    def perturbed(self) -> Any:
        """``perturbed(state)``: the state with values that differ by one rounding error.

        The signs of the differences are random, and the same in every call and for all members.
        """
        return self.context.compiled(partial(perturbed, grid=self.problem.grid))
