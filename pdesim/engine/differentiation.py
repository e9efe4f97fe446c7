"""The derivative of a function of a run's frames with respect to its initial state and parameters.

The run is computed once and its states are stored after every sqrt(N) of N steps. Then the parts
between stored states are computed again, from the last one to the first one, with the derivatives
of their steps (:mod:`pdesim.engine.adjoint_loop`). The memory is that of about ``2 sqrt(N)`` states
(Griewank and Walther, Evaluating Derivatives, 2nd ed., SIAM 2008, chapter 12,
doi:10.1137/1.9780898717761).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

import numpy as np
import tensorflow as tf

from pdesim.engine.adjoint_loop import AdjointLoop, Slopes
from pdesim.engine.blocks import Block
from pdesim.engine.device import Placement
from pdesim.engine.held import on_grid
from pdesim.engine.simulation import Simulation
from pdesim.operators.time_parts import double_names
from pdesim.plan import Plan

#: the smallest number of steps between stored states
FEWEST_STEPS = 8
#: the largest memory, in bytes, for the states of a block: larger arrays are allocated anew for
#: every block, which takes longer than the steps
HISTORY_BYTES = 2**25
#: the relative step of the differences of functions of parameters that NumPy evaluates, and the
#: weights of these differences, which have an error of the eighth power of the step
RELATIVE_STEP = 1e-2
WEIGHTS = {1: 4 / 5, 2: -1 / 5, 3: 4 / 105, 4: -1 / 280}

#: a differentiable function of the frames, ``(frames, fields, *grid.shape)``; it returns a scalar
Loss = Callable[[tf.Tensor], tf.Tensor]


@dataclass(frozen=True)
class Derivatives:
    """The value of a loss and its derivatives.

    Attributes:
        value: the loss.
        initial: the derivatives with respect to the initial state, ``(fields, *grid.shape)``.
        parameters: the derivatives with respect to parameters and weights, for a given initial
            state.
        frames: the frames of the run, ``(frames, fields, *grid.shape)``.
        steps: the number of steps of the run.
    """

    value: float
    initial: np.ndarray
    parameters: dict[str, np.ndarray]
    frames: np.ndarray
    steps: int


def differentiate(
    plan: Plan, placement: Placement, loss: Loss, wanted: Sequence[str] = ()
) -> Derivatives:
    """Compute a run in memory, and the derivatives of a function of its frames.

    They are the derivatives of the discrete solution for the time steps of this run: the lengths of
    automatic and adaptive steps are treated as constants.

    Args:
        plan: a plan of a time-dependent problem that starts from its initial state.
        loss: the function of the frames.
        wanted: the parameters and the weights of networks (``Network.argument_names``) with respect
            to which derivatives are computed.

    Raises:
        DivergedError, SolverError: if the run fails.
    """
    record = _Record.of(plan, placement)
    with tf.device(placement.name):
        frames = tf.stack(record.frames)
        with tf.GradientTape() as tape:
            tape.watch(frames)
            value = tf.convert_to_tensor(loss(frames))
        slope = tape.gradient(value, frames, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        backward = _Backward(record, tuple(wanted))
        initial = backward.run(tf.unstack(slope))
        parameters = backward.parameters()
    return Derivatives(
        float(value), np.asarray(initial), parameters, np.asarray(frames), record.simulation.steps
    )


@dataclass
class _Record:
    """A run and its blocks of steps.

    Attributes:
        blocks: the blocks without their carried data.
        stored: the carried data before some blocks, among them the first one.
        frames: the states of all frames.
        frame_after: block -> the frame that it ends with.
        spacing: the smallest number of steps between stored states.
    """

    simulation: Simulation
    spacing: int
    blocks: list[Block] = field(default_factory=list)
    stored: dict[int, Any] = field(default_factory=dict)
    frames: list[tf.Tensor] = field(default_factory=list)
    frame_after: dict[int, int] = field(default_factory=dict)
    _stored_at: int = 0

    @classmethod
    def of(cls, plan: Plan, placement: Placement) -> _Record:
        """Compute a run and record it."""
        simulation = Simulation(plan, placement, measures=False)
        expected = (plan.end - plan.times[0]) / plan.step.dt
        steps = expected if plan.step.adaptive else plan.steps_left
        record = cls(simulation, max(FEWEST_STEPS, math.ceil(math.sqrt(steps))))
        longest = max(1, min(record.spacing, HISTORY_BYTES // plan.state_bytes))
        simulation.longest_block = simulation.steps_per_block = longest
        simulation.observe_block = record._observe
        for frame in simulation.frames():
            record.frame_after[len(record.blocks) - 1] = len(record.frames)
            with tf.device(placement.name):
                record.frames.append(tf.constant(frame.state))
        return record

    def _observe(self, block: Block) -> None:
        steps = self.simulation.steps
        if not self.blocks or steps - self._stored_at >= self.spacing:
            self.stored[len(self.blocks)] = on_grid(block.carry)
            self._stored_at = steps
        self.blocks.append(block._replace(carry=None))

    def segments(self) -> list[range]:
        """Return the ranges of blocks that begin at stored states, the last one first."""
        starts = sorted(self.stored)
        ends = [*starts[1:], len(self.blocks)]
        return [range(*pair) for pair in zip(starts, ends, strict=True)][::-1]


@dataclass
class _Backward:
    """The propagation of derivatives from the end of a run to its start."""

    record: _Record
    wanted: tuple[str, ...]
    #: derivatives with respect to parameters, and to the stepper's coefficients for each dt
    _totals: dict[str, tf.Tensor] = field(default_factory=dict)
    _of_coefficients: dict[float, dict[str, tf.Tensor]] = field(default_factory=dict)
    _coefficients: dict[float, dict[str, tf.Tensor]] = field(default_factory=dict)

    @cached_property
    def plan(self) -> Plan:
        return self.record.simulation.plan

    @cached_property
    def loop(self) -> Any:
        return self.record.simulation.loop

    @cached_property
    def adjoint(self) -> AdjointLoop:
        return self.loop.adjoint

    @cached_property
    def given(self) -> dict[str, tf.Tensor]:
        """The parameters and the weights of networks as tensors."""
        equation = self.plan.equation
        tensors = self.loop.parameter_tensors(equation.parameters, tf.constant)
        return tensors | self.loop.network_tensors(equation)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The arguments of the programs that are wanted parameters, in both precisions."""
        in_double = double_names(self.plan.problem, self.loop.dtype.name)
        return (*self.wanted, *(in_double[name] for name in self.wanted if name in in_double))

    def run(self, of_frames: Sequence[tf.Tensor]) -> tf.Tensor:
        """Return the derivative with respect to the initial state."""
        record = self.record
        after = record.simulation.carry
        slope = tf.nest.map_structure(tf.zeros_like, after)
        for segment in record.segments():
            before = self._carried(segment)
            for number in reversed(segment):
                if number in record.frame_after:
                    frame = of_frames[record.frame_after[number]]
                    slope = _added(slope, self._from_state(number, after, frame))
                after = before[number]
                slope = self._through(number, after, slope)
        block = record.blocks[0]
        state = record.frames[0]
        if not self._adaptive:
            start, dt = self._times(block)
            slope = self._count(
                self.adjoint.of_init(
                    state, slope, start, dt, self.given, self._used(block), self.names
                ),
                block,
            )
        slope = slope + of_frames[0]
        scheme = self.plan.problem.discretisation
        if scheme.dealias and not self.plan.problem.split.is_linear:
            slope = self.adjoint.of_initial(state, slope)
        return slope

    @property
    def _adaptive(self) -> bool:
        return self.plan.step.adaptive

    def _carried(self, segment: range) -> dict[int, Any]:
        """Return the carried data before each block of a segment."""
        found = {segment[0]: self.record.stored[segment[0]]}
        for number in segment[:-1]:
            carry, state, *_ = self._advance(number, found[number])
            found[number + 1] = state if carry is None else carry
        return found

    def _advance(self, number: int, carry: Any) -> tuple:
        """Return the results of the steps of a block."""
        block = self.record.blocks[number]
        if block.ends is not None:
            return self.loop.advance_adaptive(carry, *self._adaptive_steps(block), self.given)
        carry = self._restarted(number, carry)
        return self._program(block, carry, block.first, int(np.max(block.last)))

    def _program(self, block: Block, carry: Any, first: int, last: int) -> tuple:
        start, dt = self._times(block)
        return self.loop.advance(
            carry, start, dt, tf.constant(first, tf.int64), tf.constant(last, tf.int64),
            self.given, self._used(block),
        )  # fmt: skip

    def _restarted(self, number: int, carry: Any) -> Any:
        """Return the carried data with which the steps of a block begin."""
        block = self.record.blocks[number]
        if not block.restarted:
            return carry
        start, dt = self._times(block)
        state = self._state_after(number - 1, carry)
        return self.loop.init(state, start, dt, self.given, self._used(block))

    def _state_after(self, number: int, carry: Any) -> tf.Tensor:
        """Return the state after a block; no steps are taken."""
        block = self.record.blocks[number]
        last = int(np.max(block.last))
        return self._program(block, carry, last, last)[1]

    def _through(self, number: int, carry: Any, slope: Any) -> Any:
        """Return the derivative before a block from that after it."""
        block = self.record.blocks[number]
        if block.ends is not None:
            return self._through_adaptive(block, carry, slope)
        start, dt = self._times(block)
        last = int(np.max(block.last))
        slopes = self.adjoint.of_steps(
            self._restarted(number, carry), slope, start, dt, tf.constant(block.first, tf.int64),
            tf.constant(last, tf.int64), self.given, self._used(block), self.names,
            self._capacity(last - block.first),
        )  # fmt: skip
        slope = self._count(slopes, block)
        if not block.restarted:
            return slope
        state = self._state_after(number - 1, carry)
        of_state = self.adjoint.of_init(
            state, slope, start, dt, self.given, self._used(block), self.names
        )
        return self._from_state(number - 1, carry, self._count(of_state, block))

    def _through_adaptive(self, block: Block, state: tf.Tensor, slope: tf.Tensor) -> tf.Tensor:
        slopes, _ = self.adjoint.of_adaptive_steps(
            state, slope, *self._adaptive_steps(block), self.given, self.names,
            self._capacity(block.last),
        )  # fmt: skip
        return self._count(slopes, block)

    def _adaptive_steps(self, block: Block) -> tuple[tf.Tensor, ...]:
        """Return time, end, dt, number of trials, tolerance and scale of adaptive steps."""
        assert block.ends is not None and block.scale is not None
        times = (tf.constant(v[0], tf.float64) for v in (block.start, block.ends, block.dt))
        return (
            *times,
            tf.constant(block.last, tf.int64),
            tf.constant(self.plan.step.tolerance, tf.float64),
            tf.constant(block.scale[0], self.loop.dtype),
        )

    def _from_state(self, number: int, carry: Any, slope: tf.Tensor) -> Any:
        """Return the derivative with respect to carried data from that of the state after a block.

        Args:
            number: the block that ends with this state.
        """
        if self.plan.stepper.carries_state or self._adaptive:
            return slope
        block = self.record.blocks[number]
        start, dt = self._times(block)
        time = start + float(np.max(block.last)) * dt
        slopes = self.adjoint.of_extract(
            carry, slope, time, dt, self.given, self._used(block), self.names
        )
        return self._count(slopes, block)

    def _times(self, block: Block) -> tuple[tf.Tensor, tf.Tensor]:
        return tf.constant(block.start[0], tf.float64), tf.constant(block.dt[0], tf.float64)

    def _used(self, block: Block) -> dict[str, tf.Tensor]:
        """Return the stepper's coefficients for a block."""
        dt = float(block.dt[0])
        if dt not in self._coefficients:
            self._coefficients.clear()
            values = self.loop.coefficients.host(dt, self.plan.equation.parameters)
            self._coefficients[dt] = self.loop.coefficients.as_tensors(values)
        return self._coefficients[dt]

    def _capacity(self, steps: int) -> int:
        """Return the number of steps for which a program has memory.

        There are two programs, since memory for many steps costs time if few are taken.
        """
        most = self.record.simulation.longest_block or steps
        few = -(-most // 8)
        return few if steps <= few else most

    def _count(self, slopes: Slopes, block: Block) -> Any:
        """Add derivatives with respect to parameters and coefficients; return that of the carry."""
        _accumulate(self._totals, slopes.parameters)
        if slopes.coefficients:
            dt = float(block.dt[0])
            _accumulate(self._of_coefficients.setdefault(dt, {}), slopes.coefficients)
        return slopes.carry

    def parameters(self) -> dict[str, np.ndarray]:
        """Return the derivatives with respect to the wanted parameters."""
        in_double = double_names(self.plan.problem, self.loop.dtype.name)
        result = {}
        for name in self.wanted:
            parts = [self._totals[name], self._totals.get(in_double.get(name, ""), 0.0)]
            result[name] = np.asarray(parts[0] + parts[1])
            if name in self.plan.equation.parameters:
                result[name] = result[name] + self._through_coefficients(name)
        return result

    def _through_coefficients(self, name: str) -> float:
        """Return the derivative through the stepper's coefficients, which NumPy evaluates."""
        total, parameters = 0.0, dict(self.plan.equation.parameters)
        for dt, slopes in self._of_coefficients.items():
            function = partial(self.loop.coefficients.host, dt, rounded=False)
            for key, values in difference(function, parameters, name).items():
                slope = slopes[key].numpy().astype(np.result_type(values, float))
                total += float(np.sum(np.conj(slope) * values).real)
        return total


def difference(
    function: Callable[[Mapping[str, float]], Mapping[str, np.ndarray]],
    parameters: Mapping[str, float],
    name: str,
) -> dict[str, np.ndarray]:
    """Return the derivatives of arrays with respect to a parameter, by differences of order 8."""
    value = parameters[name]
    step = RELATIVE_STEP * (abs(value) or 1.0)
    total: dict[str, np.ndarray] = {}
    for place, weight in WEIGHTS.items():
        upper, lower = (
            function({**parameters, name: value + sign * place * step}) for sign in (1, -1)
        )
        for key in upper:
            total[key] = total.get(key, 0.0) + weight / step * (upper[key] - lower[key])
    return total


def _added(one: Any, other: Any) -> Any:
    return tf.nest.map_structure(lambda a, b: a + b, one, other)


def _accumulate(totals: dict[str, tf.Tensor], values: Mapping[str, tf.Tensor]) -> None:
    for name, value in values.items():
        totals[name] = totals[name] + value if name in totals else value
