"""Where a run stands: all that it takes to go on as if it had never stopped."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

#: the arrays of the monitor of the error in time that a checkpoint keeps, in this order
SAVED = ("error", "damped", "rate", "hidden", "damping", "peak", "spread")


@dataclass(frozen=True)
class Moment:
    """A run between two blocks of steps.

    ``frame`` is the last frame reached, ``target`` the last of the times that steps must land on
    (``targets``), and ``done`` counts the steps since that. ``made_for`` is the dt
    that ``carry`` and the stepper's coefficients belong to; an adaptive stepper stands at ``time``
    and tries ``made_for`` next. ``longest`` and ``limit`` are those of the plan's time step,
    ``times`` its frames. ``carry`` is what the stepper carries, multistep history included,
    ``state`` the fields ``(fields, *grid.shape)``, ``solid`` the obstacles, if any. ``together`` is
    1 for a member of a batch, whose program may group products and sums otherwise than a single
    run's. ``errors`` is what is known of the error in time, at ``measured_at`` (seen ``checks``
    times, last after ``checked`` steps): see :meth:`pdesim.engine.monitor.Monitor.of`.
    """

    stepper: str
    frame: int
    target: int
    done: int
    time: float
    made_for: float
    longest: float
    limit: float
    steps: int
    rejected: int
    seconds: float
    together: int
    checked: int
    checks: int
    measured_at: float
    times: np.ndarray
    targets: np.ndarray
    errors: np.ndarray
    state: np.ndarray
    carry: tuple[np.ndarray, ...]
    solid: np.ndarray | None = None


@dataclass(frozen=True)
class Frame:
    """One stored moment: ``state`` has shape ``(fields, *grid.shape)``, of several members
    ``(members, fields, *grid.shape)``."""

    index: int
    time: float
    state: np.ndarray


@dataclass(frozen=True)
class Progress:
    """Reported after every block: steps taken, simulated time, and the seconds spent in blocks."""

    steps: int
    time: float
    seconds: float
