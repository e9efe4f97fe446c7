"""The cost of a step: its chained right-hand sides and stored arrays, from a run on placeholders.

A compiler computes a chain of arithmetic in one pass over memory. An intermediate array must be
stored in two cases: if neighbours of its cells are read, or if it contains a right-hand side and
several later arrays are computed from it. In the second case, the right-hand side would otherwise
be evaluated more than once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from typing import Any, ClassVar

import sympy

from pdesim.formula import needed_reductions
from pdesim.formula.language import operators_in
from pdesim.operators.problem import Problem
from pdesim.steppers.base import AdaptiveStepper, Stepper


@dataclass(frozen=True)
class Cost:
    """The evaluations and arrays of one step of a stepper.

    Arrays are identified by numbers: first the carried arrays, then all results of ``rhs``,
    ``evaluate`` and arithmetic with arrays, in the order in which ``step`` computes them.

    Args:
        depth: the number of chained right-hand sides, each of which uses the previous one.
        is_local: whether the step consists of right-hand sides and arithmetic only.
        neighbors_read: the arrays of which neighbouring cells are read.
        reused: the other arrays that contain a right-hand side and from which several later arrays
            are computed.
        slopes: the stored arrays that are results of ``rhs`` or ``evaluate``.
        outputs: the stored arrays that are carried to the next step, each with its index in the
            carried data.
        buffer_of: for all other stored arrays, the number of the buffer to which they are written.
        buffers: the number of fields in each buffer.
        carried_fields: for each field of the carried data, the index of the field of the equation
            to which it belongs; None if it is unknown.
        formulas: all formulas that a step evaluates.
    """

    depth: int
    is_local: bool
    neighbors_read: frozenset[int]
    reused: frozenset[int]
    slopes: frozenset[int]
    outputs: Mapping[int, int]
    buffer_of: Mapping[int, int]
    buffers: tuple[int, ...]
    carried_fields: tuple[int, ...] | None
    formulas: tuple[sympy.Expr, ...]

    @property
    def stored(self) -> frozenset[int]:
        """The numbers of all stored arrays."""
        return self.neighbors_read | self.reused


class Placeholder:
    """An array in a dry run, with the arrays from which it is computed.

    ``depth`` is the number of chained right-hand sides on which it depends. ``fields`` are the
    indices of its fields in the equation; it is empty if they are unknown.
    """

    def __init__(
        self,
        trace: _Trace,
        inputs: Sequence[Placeholder],
        size: int,
        reads: bool = False,
        fields: Sequence[int] = (),
    ) -> None:
        self.trace, self.inputs, self.size, self.reads = trace, tuple(inputs), size, reads
        self.fields = tuple(fields)
        self.depth: int = max((value.depth for value in inputs), default=0) + reads
        self.number = len(trace.values)
        trace.values.append(self)

    def _with(self, other: Any) -> Placeholder:
        inputs = [value for value in (self, other) if isinstance(value, Placeholder)]
        size = max(value.size for value in inputs)
        fields = next((value.fields for value in inputs if len(value.fields) == size), ())
        return Placeholder(self.trace, inputs, size, fields=fields)

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = _with


@dataclass
class _Trace:
    """The system of a dry run."""

    #: dry runs are those of deterministic methods (``Stepper.drift``)
    noise: ClassVar[None] = None

    problem: Problem
    values: list[Placeholder] = field(default_factory=list)
    formulas: dict[sympy.Expr, None] = field(default_factory=dict)
    is_local: bool = True

    def __post_init__(self) -> None:
        equation = self.problem.equation
        self.is_local = not equation.constraints and not equation.noise

    def rhs(self, state: Placeholder, time: Any) -> Placeholder:
        self.formulas |= dict.fromkeys(self.problem.equation.formulas)
        return Placeholder(self, [state], state.size, reads=True, fields=state.fields)

    def evaluate(self, formulas: Sequence, fields: Any, time: Any) -> Placeholder:
        fields = self.unstack(fields) if isinstance(fields, Placeholder) else fields
        self.formulas |= dict.fromkeys(formulas)
        reductions = needed_reductions(formulas, self.problem.equation.reductions)
        complete = [*formulas, *(reduction.inner for reduction in reductions)]
        names = {symbol.name for formula in complete for symbol in formula.free_symbols}
        named = zip(fields, self.problem.equation.fields, strict=True)
        used = {value.number: value for value, name in named if name in names}
        reads = bool(reductions) or any(map(operators_in, formulas))
        return Placeholder(self, list(used.values()), len(formulas), reads)

    def stack(self, fields: Sequence[Placeholder]) -> Placeholder:
        known = [field for value in fields for field in value.fields]
        complete = known if len(known) == len(fields) else ()
        return Placeholder(self, fields, len(fields), fields=complete)

    def unstack(self, state: Placeholder) -> list[Placeholder]:
        fields = [copy(state) for _ in range(state.size)]
        for value, index in zip(fields, state.fields, strict=False):
            value.fields = (index,)
        return fields

    def column(self, values: Any) -> float:
        return 1.0

    def _global(self, values: Placeholder) -> Placeholder:
        self.is_local = False
        return Placeholder(self, [values], values.size)

    to_modes = to_state = enforce_hermitian = _global

    def apply_matrix(self, matrix: Any, modes: Placeholder) -> Placeholder:
        return self._global(modes)

    def rest(self, state: Placeholder, time: Any) -> Placeholder:
        self.is_local = False
        return self.rhs(state, time)

    rest_modes = rest

    def solve_shifted(self, b: Placeholder, factor: Any, time: Any, x0: Placeholder) -> Placeholder:
        return self._global(b)


class _AnyCoefficient(dict):
    """The coefficients in a dry run: 1.0 for every name."""

    def __missing__(self, name: str) -> float:
        return 1.0


def cost_of(stepper: Stepper, problem: Problem) -> Cost:
    """Return the cost of one step, including that of an error estimate if there is one."""
    stepper, trace = stepper.drift, _Trace(problem)
    every = range(len(problem.equation.fields))
    state = Placeholder(trace, [], len(every), fields=every)
    initial = stepper.init(trace, state, 0.0, 1.0, _AnyCoefficient())
    trace = _Trace(problem)
    carried = [Placeholder(trace, [], part.size, fields=part.fields) for part in _parts(initial)]
    carry = tuple(carried) if isinstance(initial, tuple) else carried[0]
    ends: tuple[Placeholder, ...]
    if isinstance(stepper, AdaptiveStepper):
        ends = stepper.step_with_error(trace, carry, _stage_time, 1.0)
        results: tuple[Placeholder, ...] = ends[:1]
    else:
        results = ends = _parts(stepper.step(trace, carry, _stage_time, 1.0, _AnyCoefficient()))
    depth = max(value.depth for value in ends)
    return _analyse(trace, carried, results, ends, depth)


def _stage_time(c: float) -> float:
    return c


def _parts(carry: Any) -> tuple[Placeholder, ...]:
    return carry if isinstance(carry, tuple) else (carry,)


def _analyse(
    trace: _Trace,
    carried: Sequence[Placeholder],
    results: Sequence[Placeholder],
    ends: Sequence[Placeholder],
    depth: int,
) -> Cost:
    readers: dict[int, list[Placeholder]] = {value.number: [] for value in trace.values}
    for value in trace.values:
        for source in value.inputs:
            readers[source.number].append(value)
    old = {value.number for value in carried}
    read = {source.number for value in trace.values if value.reads for source in value.inputs} - old
    stored = set(read)
    for value in trace.values:  # in the order of computation
        uses = len(readers[value.number]) + (value in ends)
        if value.number not in old and uses > 1 and _contains_slope(value, stored | old):
            stored.add(value.number)
    outputs = {value.number: part for part, value in enumerate(results) if value.number in stored}
    slopes = {n for n in stored if trace.values[n].reads}
    buffer_of, buffers = _assign_buffers(trace, stored, outputs, ends)
    fields = [field for value in carried for field in value.fields]
    complete = all(len(value.fields) == value.size for value in carried)
    return Cost(
        depth, trace.is_local, frozenset(read), frozenset(stored - read), frozenset(slopes),
        outputs, buffer_of, buffers, tuple(fields) if complete else None,
        tuple(trace.formulas),
    )  # fmt: skip


def _contains_slope(value: Placeholder, stored: set[int]) -> bool:
    """Whether the pass over memory that computes an array evaluates a right-hand side."""
    return value.reads or any(
        _contains_slope(source, stored) for source in value.inputs if source.number not in stored
    )


def _assign_buffers(
    trace: _Trace, stored: set[int], outputs: Mapping[int, int], ends: Sequence[Placeholder]
) -> tuple[dict[int, int], tuple[int, ...]]:
    """Assign a buffer to every stored array that is not an output.

    A buffer can be assigned again after its array has been read for the last time. The second
    result contains the number of fields in each buffer.
    """
    never = len(trace.values)
    last = dict.fromkeys(stored, -1)
    for value in trace.values:
        if value.number in stored:
            for number in _reads(value, stored):
                last[number] = value.number
    for value in ends:  # results that are not stored are computed at the end
        if value.number not in stored:
            last.update(dict.fromkeys(_reads(value, stored), never))
        else:
            last[value.number] = never
    buffer_of: dict[int, int] = {}
    buffers: list[int] = []
    free: list[int] = []
    for number in sorted(stored):
        if number not in outputs:
            size = trace.values[number].size
            buffer = next((n for n in free if buffers[n] == size), None)
            if buffer is None:
                buffer = len(buffers)
                buffers.append(size)
            else:
                free.remove(buffer)
            buffer_of[number] = buffer
        free += [
            buffer for n, buffer in buffer_of.items()
            if n <= number and last[n] <= number and buffer not in free
            and not any(buffer_of[m] == buffer for m in buffer_of if m > n)
        ]  # fmt: skip
    return buffer_of, tuple(buffers)


def _reads(value: Placeholder, stored: set[int]) -> set[int]:
    """Return the numbers of the stored arrays that are read to compute ``value``."""
    numbers: set[int] = set()
    for source in value.inputs:
        numbers |= {source.number} if source.number in stored else _reads(source, stored)
    return numbers
