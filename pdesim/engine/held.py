"""States that a loop over steps keeps in slabs between blocks of steps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import tensorflow as tf

from pdesim.engine.device import release_memory
from pdesim.steppers.base import Carry


@dataclass(frozen=True)
class Held:
    """The state of a single run in slabs, which is copied to the grid when needed.

    Args:
        slabs: the flat slabs of the state.
        stored: what the loop stores besides.
        leave: returns the state on the grid.
    """

    slabs: list[tf.Tensor]
    stored: Any
    leave: Callable[[], tf.Tensor]

    @cached_property
    def on_grid(self) -> tf.Tensor:
        """The state on the grid."""
        state = self.leave()
        release_memory()  # that of the slabs without ghost cells
        return state


def on_grid(carry: Held | Carry) -> Carry:
    """Return carried data on the grid."""
    return carry.on_grid if isinstance(carry, Held) else carry


class RunLoop(NamedTuple):
    """The functions by which a run advances; see :class:`pdesim.engine.time_loop.Loop`.

    They accept and may return carried data of type :class:`Held`, with None as the state.
    ``enter(carry, parameters)`` returns carried data in the form in which steps are taken.
    """

    advance: Any
    advance_adaptive: Any
    enter: Any


def unchanged(carry: Carry, parameters: Any) -> Carry:
    """Return carried data on the grid, on which a loop takes its steps."""
    return carry
