"""The members of a simulation, and how far they have advanced."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from pdesim.engine.integrator import Integrator
from pdesim.engine.monitor import Monitor
from pdesim.engine.run_errors import constraint_error
from pdesim.errors import PdesimError
from pdesim.output.checkpoint import Checkpoint
from pdesim.plan import Plan


@dataclass
class Members:
    """The state of all members of a simulation between two blocks of steps.

    Args:
        plans: the plan of each member; a plan is replaced when its automatic step changes.
        at: the states of the members.
        monitor: the estimated errors in time of the members.
        steps, rejected: the numbers of steps taken and rejected, ``(members,)``.
        target: the index of the last target that was reached.
        steps_since_target: the index of the next step in the current interval between targets,
            which is the same for all members.
        failures: the exceptions of failed members, by number.
        stopped: the reasons why members have stopped before the end of the run, by number.
    """

    plans: list[Plan]
    at: Integrator
    monitor: Monitor
    steps: np.ndarray
    rejected: np.ndarray
    target: int = 0
    steps_since_target: int = 0
    failures: dict[int, PdesimError] = field(default_factory=dict)
    stopped: dict[int, str] = field(default_factory=dict)

    @property
    def plan(self) -> Plan:
        """The plan of the first member."""
        return self.plans[0]

    @property
    def alive(self) -> np.ndarray:
        """Whether each member is still advancing."""
        ended = {**self.failures, **self.stopped}
        return np.array([number not in ended for number in range(len(self.plans))])

    def end(self, member: int, error: PdesimError) -> None:
        """Record the failure of a member; raise ``error`` if all members have failed."""
        self.failures[member] = error
        if len(self.failures) == len(self.plans):
            raise error

    def check_constraints(self) -> None:
        """End members whose constraints are not satisfied by their present states."""
        if not self.plan.equation.constraints:
            return
        parts = self.at.unsolvable()
        for member in np.flatnonzero(self.alive).tolist():
            state, now = self.at.state_of(member), float(self.at.now[member])
            error = constraint_error(self.plans[member], state, parts[member], now)
            if error is not None:
                self.end(member, error)

    def steps_to_target(self) -> np.ndarray:
        """Return the number of fixed steps of each member in the current interval."""
        return np.array([plan.steps_between(self.target) for plan in self.plans])

    def fixed_dt(self) -> np.ndarray:
        """Return the dt of each member: the current interval divided by its number of steps."""
        targets, number = self.plan.targets, self.target
        return (targets[number + 1] - targets[number]) / self.steps_to_target()

    def until_target(self) -> np.ndarray:
        """Return the time that remains for each member until the next target."""
        return self.plan.targets[self.target + 1] - self.at.now


def checkpoint_of(members: Members, member: int, seconds: float) -> Checkpoint:
    """Return the state of a member between two blocks of steps, from which it can be resumed.

    Args:
        seconds: the computing time so far.
    """
    plan = members.plans[member]
    at, monitor, done = members.at, members.monitor, members.steps_since_target
    if at.many and done:  # members that take fewer steps wait at the target for the others
        done = min(done, plan.steps_between(members.target))
    mask = plan.problem.mask
    return Checkpoint(
        stepper=plan.stepper.method.name,
        frame=plan.frame_at(members.target),
        target=members.target,
        steps_since_target=done,
        time=float(at.now[member]),
        dt=float(at.dt[member]),
        max_dt=plan.step.dt,
        limit=plan.step.limit,
        steps=int(members.steps[member]),
        rejected=int(members.rejected[member]),
        seconds=seconds,
        in_batch=int(at.many),
        checked=int(monitor.checked[member]),
        checks=int(monitor.checks[member]),
        measured_at=float(monitor.time[member]),
        times=plan.times,
        targets=plan.targets,
        errors=monitor.to_array(member),
        state=at.state_of(member),
        carry=at.carry_of(member),
        solid=None if mask is None else mask.solid,
        stages=getattr(plan.stepper, "stages", 0),
        arrays=plan.problem.checksum,
    )
