"""Runs on one or several devices in memory, for tests that compare them."""

from __future__ import annotations

import shlex

import numpy as np
import pytest

from pdesim.config.compose import compose_settings
from pdesim.engine.device import Placement
from pdesim.engine.distributed.simulation import DistributedSimulation
from pdesim.engine.simulation import Simulation
from pdesim.output.checkpoint import Checkpoint
from pdesim.plan import Plan, build_plan

CPU = Placement("/CPU:0", "CPU")


class Stop(Exception):
    pass


def plan_of(words: str, *more: str, since: Checkpoint | None = None) -> Plan:
    """The plan of a run with three frames after the first, from a checkpoint or the start."""
    composed = compose_settings([*shlex.split(words), "output.frames=3", *more])
    return build_plan(composed.settings, composed.equation, resume_from=since)


def result_of(simulation):
    """The states of all frames, the numbers of steps, and the estimated error."""
    simulation.prepare()
    states = [frame.state.copy() for frame in simulation.frames()]
    return np.stack(states), simulation.steps_of(0), simulation.relative_time_error()


def stopped_after(simulation: DistributedSimulation, steps: int) -> Checkpoint:
    """The checkpoint of a run that is stopped after at least this number of steps."""
    simulation.prepare()
    for part in simulation.simulations:
        part.longest_block = 2
    kept = []

    def report(progress):
        if progress.steps >= steps:
            kept.append(simulation.checkpoint())
            raise Stop

    with pytest.raises(Stop):
        list(simulation.frames(report))
    return kept[0]


def resumed(words: str, checkpoint: Checkpoint, count: int):
    """A simulation on ``count`` devices that continues from a checkpoint."""
    plan = plan_of(words, since=checkpoint)
    return DistributedSimulation([plan], [CPU] * count) if count > 1 else Simulation(plan, CPU)
