"""What a simulation computes: blocks of steps, frames, and its progress."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from pdesim.steppers.base import Carry


class Block(NamedTuple):
    """A block of steps; numbers that may differ between members are arrays.

    Attributes:
        carry: the carried data before the block, and before the stepper was restarted.
        start: the start of the interval to which the steps belong; with adaptive steps, the time.
        dt: the length of the steps; with adaptive steps, of the first one that is attempted.
        first, last: steps ``first`` to ``last - 1`` of the interval are taken; with adaptive
            steps, at most ``last`` are attempted.
        restarted: whether the carried data are initialised again from the state, for a new dt.
        ends: with adaptive steps, the times at which they end; None for fixed steps.
        scale: with adaptive steps, scales of the fields for the tolerance, one row a member.
    """

    carry: Carry
    start: np.ndarray
    dt: np.ndarray
    first: int
    last: Any
    restarted: bool
    ends: np.ndarray | None = None
    scale: np.ndarray | None = None


ObserveBlock = Callable[[Block], None]


def ignore_block(block: Block) -> None:
    """Do nothing."""


@dataclass(frozen=True)
class Frame:
    """A frame of a run.

    ``state`` has the shape ``(fields, *grid.shape)``, or ``(members, fields, *grid.shape)`` if
    there are several members. ``ending`` are the members that stop at this time. If ``regular`` is
    False, the frame concerns these members only: they stopped between two frames.
    """

    index: int
    time: float
    state: np.ndarray
    ending: tuple[int, ...] = ()
    regular: bool = True


@dataclass(frozen=True)
class Progress:
    """Progress after a block: steps taken, simulated time, and seconds spent in blocks."""

    steps: int
    time: float
    seconds: float


Report = Callable[[Progress], None]
