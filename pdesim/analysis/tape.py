"""Fast repeated evaluation of expressions: the operations of an ``Evaluator``, recorded once.

Traversing a SymPy expression takes far longer than its arithmetic on small arrays. A tape is the
list of NumPy operations of one traversal, and gives the same values for other arguments.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import sympy

from pdesim.formula import NUMPY, Evaluator


@dataclass(frozen=True)
class _Place:
    """A value on a tape that is being recorded, at the position ``number``."""

    steps: list[tuple[Callable, tuple]]
    number: int

    def record(self, function: Callable, *arguments: Any) -> _Place:
        self.steps.append((function, arguments))
        return _Place(self.steps, len(self.steps) - 1)

    def __add__(self, other: Any) -> _Place:
        return self.record(operator.add, self, other)

    def __radd__(self, other: Any) -> _Place:
        return self.record(operator.add, other, self)

    def __sub__(self, other: Any) -> _Place:
        return self.record(operator.sub, self, other)

    def __rsub__(self, other: Any) -> _Place:
        return self.record(operator.sub, other, self)

    def __mul__(self, other: Any) -> _Place:
        return self.record(operator.mul, self, other)

    def __rmul__(self, other: Any) -> _Place:
        return self.record(operator.mul, other, self)

    def __truediv__(self, other: Any) -> _Place:
        return self.record(operator.truediv, self, other)

    def __rtruediv__(self, other: Any) -> _Place:
        return self.record(operator.truediv, other, self)


@dataclass(frozen=True)
class Tape:
    """The NumPy operations that evaluate several expressions.

    Attributes:
        names: the names of the arguments, the first values on the tape.
        steps: functions with their arguments: numbers, or positions on the tape.
        results: the results: numbers, or positions.
    """

    names: tuple[str, ...]
    steps: tuple[tuple[Callable, tuple], ...]
    results: tuple[Any, ...]

    def __call__(self, names: Mapping[str, Any], shape: tuple[int, ...]) -> np.ndarray:
        """Return the values of all expressions, shape ``(expressions, *shape)``.

        Args:
            names: numbers or arrays that broadcast to ``shape``.
            shape: the shape of one value.
        """
        values: list[Any] = [np.float64(names[n]) if np.ndim(names[n]) == 0 else names[n]
                             for n in self.names]  # fmt: skip

        def value(argument: Any) -> Any:
            return values[argument.number] if isinstance(argument, _Place) else argument

        with np.errstate(all="ignore"):
            for function, arguments in self.steps[len(self.names) :]:
                values.append(function(*map(value, arguments)))
        result = np.empty((len(self.results), *shape))
        for number, one in enumerate(self.results):
            result[number] = value(one)
        return result


def record(expressions: Sequence[sympy.Expr]) -> Tape:
    """Return the tape of several expressions without differential operators."""
    names = sorted({s.name for expression in expressions for s in expression.free_symbols})
    steps: list[tuple[Callable, tuple]] = [(operator.pos, ()) for _ in names]
    places = {name: _Place(steps, number) for number, name in enumerate(names)}
    library = replace(
        NUMPY,
        functions={name: _recording(f, steps) for name, f in NUMPY.functions.items()},
        relations={name: _recording(f, steps) for name, f in NUMPY.relations.items()},
        power=_recording(NUMPY.power, steps),
        where=_recording(NUMPY.where, steps),
    )
    evaluate = Evaluator(places, using=library)
    results = tuple(evaluate(expression) for expression in expressions)
    return Tape(tuple(names), tuple(steps), results)


def _recording(function: Callable, steps: list[tuple[Callable, tuple]]) -> Callable:
    """Return a function that records its call instead of computing it."""

    def recorded(*arguments: Any) -> _Place:
        return _Place(steps, 0).record(function, *arguments)

    return recorded
