"""Options of the execution of jobs, by which single runs and members of sweeps differ."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from pdesim.run.progress import WHOLE, SweepProgress


@dataclass(frozen=True)
class Options:
    """How jobs are carried out and reported; the defaults are those of a single run.

    Args:
        detailed: whether to print and log a description of the run, its notes and its result.
            Otherwise the console shows one line for all jobs. Allowed for a single job only.
        pictures: whether to draw the pictures that the settings ask for. Allowed for a single job
            only.
        owns_process: whether the process computes nothing else, so that TensorFlow may be
            configured for this run.
        together: the number of jobs that one device would compute together; None: all. Several
            devices compute more, with the same results (:class:`MembersSimulation`).
        allows_hosts: whether other processes may compute parts of the grid (``device.hosts``).
        progress: the share of these jobs in the progress of a sweep.
        callback: called with the time and the fields of every frame; if it returns False, the run
            stops. Allowed for a single job only.
    """

    detailed: bool = True
    pictures: bool = True
    owns_process: bool = False
    together: int | None = None
    allows_hosts: bool = False
    progress: SweepProgress = WHOLE
    callback: Callable[[float, dict[str, np.ndarray]], Any] | None = None
