"""States that a loop over steps keeps in its own form between blocks of steps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import tensorflow as tf

from pdesim.steppers.base import Carry


@dataclass(frozen=True)
class Held:
    """A state in the form in which a loop computes it, which is copied to the grid when needed.

    Args:
        stored: the state in the loop's form.
        leave: returns the state on the grid.
    """

    stored: Any
    leave: Callable[[], tf.Tensor]

    @cached_property
    def on_grid(self) -> tf.Tensor:
        """The state on the grid."""
        return self.leave()


def on_grid(carry: Held | Carry) -> Carry:
    """Return carried data on the grid."""
    return carry.on_grid if isinstance(carry, Held) else carry


class RunLoop(NamedTuple):
    """The functions by which a run advances; see :class:`pdesim.engine.time_loop.Loop`.

    They accept and may return carried data of type :class:`Held`, with None as the state.
    """

    advance: Any
    advance_adaptive: Any
