"""Control of dt for equal steps, by the measured error in time and the stability limit.

Between two targets, all steps are equal. At a target, the error is measured, and automatic steps
are changed. Adaptive steps, which may all differ, are controlled in ``error_control``.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

import numpy as np

from pdesim.engine.integrator import Integrator
from pdesim.engine.members import Members
from pdesim.engine.monitor import LONGER
from pdesim.engine.run_errors import growth_error, vanishing_error
from pdesim.plan import Plan
from pdesim.steppers.cells import needs_complete_state
from pdesim.steppers.samples import reactions_are_slow, rows_per_band, sample_spacing
from pdesim.steppers.stability import linearise
from pdesim.steppers.time_step import TimeStep, time_step

log = logging.getLogger("pdesim")

#: maximum number of corrections of the first step
CORRECTIONS = 8
#: the scale of a field includes the end of the current interval if one step multiplies its size by
#: this factor or more
FAST = 2.0
#: the stability limit is computed again if a field grows by more than this factor between targets
SUSPICIOUS = 10.0


class EqualStepControl:
    """Measures the error in time of a simulation, and adapts automatic steps.

    If steps are adaptive, only the error is measured.

    Args:
        members: the members of the simulation.
        started: whether the error of the first step has been measured.
        measures: whether errors are measured even if no step depends on them.
    """

    def __init__(self, members: Members, started: bool, measures: bool = True) -> None:
        self.members, self.started = members, started
        since = members.plan.resume_from
        #: whether the run was resumed at its previous end, where nothing was measured
        self._at_previous_end = since is not None and since.target == len(since.targets) - 1
        step = members.plan.step
        # a step and two half steps have different noise, so that their difference is no error
        deterministic = not members.plan.equation.noise
        self.measures = deterministic and (measures or step.automatic or step.adaptive)

    def start(self) -> None:
        """Measure the error of the first step, and shorten automatic steps if it is too large.

        A run that is resumed at its previous end is controlled there like at every target, so that
        it takes the same steps as a run that did not end there.
        """
        if self._at_previous_end:
            self._at_previous_end = False
            self.at_target()
        if self.started or not self.measures:
            return
        self.started = True
        members, monitor, at = self.members, self.members.monitor, self.members.at
        monitor.observe(*at.statistics())
        if members.plan.step.adaptive:
            self._start_adaptive()
            return
        if members.plan.equation.constraints and members.plan.step.automatic:
            # the plan has only approximate solved fields
            self._change_steps(np.ones(len(members.plans)), self._limits(at.everyone))
            at.init(members.fixed_dt(), at.everyone)
        self._look_ahead(at.everyone)
        for _ in range(CORRECTIONS if members.plan.step.automatic else 1):
            monitor.checks[:] = 0
            self._measure(at.everyone)
            factors = self._factors(at.everyone)
            if not (factors < 1).any():
                break
            self._change_steps(np.minimum(factors, 1.0), {})
            at.init(members.fixed_dt(), at.everyone)

    def at_target(self) -> None:
        """Measure the error if it is due, and adapt the steps to the error and the limit."""
        members, monitor = self.members, self.members.monitor
        plan = members.plan
        last = members.target == len(plan.targets) - 1
        if last or plan.equation.iterated is not None or not self.measures:
            return
        if not plan.controlled_targets[members.target]:
            return
        peaks = monitor.peak.copy()
        monitor.observe(*members.at.statistics())
        due = monitor.due(members.steps) & members.alive
        with np.errstate(over="ignore"):  # members that have ended may become infinite
            growing = (monitor.peak > SUSPICIOUS * peaks).any(axis=1) & (peaks > 0).all(axis=1)
        growing &= members.alive
        self._look_ahead(due)
        # if coefficients of derivatives vary, the limit changes from target to target
        analysed = due | growing | (members.alive & plan.problem.stiffness_varies)
        if not analysed.any():
            return
        # given steps are checked only if the solution grows rapidly
        limits = self._limits(analysed if plan.step.automatic else growing)
        for member in np.flatnonzero(growing):
            self._check_growth(int(member), limits)
        self._measure(due)
        self._change_steps(self._factors(due), limits)

    def _check_growth(self, member: int, limits: Mapping[int, TimeStep]) -> None:
        """End a member that grows rapidly if its step is above the stability limit."""
        plan, now = self.members.plans[member], float(self.members.at.now[member])
        error = growth_error(plan, limits.get(member, plan.step).limit, now)
        if error is not None:
            self.members.end(member, error)

    def _start_adaptive(self) -> None:
        """Set the scales for the first steps, and assume that their error is the tolerance."""
        members, monitor, at = self.members, self.members.monitor, self.members.at
        spread, size, dt = at.first_sizes(members.until_target())
        monitor.look_ahead(monitor.peak == 0, spread, size)
        monitor.noise = at.rounding_error(dt)
        monitor.damped = np.where(monitor.peak > 0, monitor.target * monitor.scale, 0.0)

    def _look_ahead(self, which: np.ndarray) -> None:
        """Include the end of the interval in the scales of fields that are zero or grow fast.

        The error of a step relative to the size of such a field after the step may be the same for
        all steps, as for ``u = t**4`` at ``t = 0``, so that no step would be short enough.

        Args:
            which: the members whose error is measured. Fields that are zero are always included.
        """
        members, monitor, at = self.members, self.members.monitor, self.members.at
        empty = monitor.peak == 0
        if members.plan.step.adaptive:
            if empty.any():
                monitor.look_ahead(empty, *at.first_sizes(members.until_target())[:2])
            return
        if not (empty.any() or which.any()):
            return
        dt, counts = members.fixed_dt(), members.steps_to_target()
        spread, size = at.sizes_ahead(dt, np.ones_like(counts))
        fast = empty | ((size / FAST >= monitor.peak) & which[:, np.newaxis])
        if fast.any():
            monitor.look_ahead(fast, spread, size)
            monitor.look_ahead(fast, *at.sizes_ahead(dt, counts))

    def _measure(self, which: np.ndarray) -> None:
        """Measure the rate at which the error of some members grows."""
        members, monitor = self.members, self.members.monitor
        if which.any() and members.plan.stepper.method.order > 0:
            at = members.at
            rate, hidden, damping, noise = at.error_rate(members.until_target(), monitor.peak)
            now = float(at.now.max())
            monitor.record(which, rate, hidden, damping, now, members.steps, noise)

    def _factors(self, which: np.ndarray) -> np.ndarray:
        """Return the factors by which automatic steps should change for the measured error."""
        members, plan = self.members, self.members.plan
        if not plan.step.automatic:
            return np.ones(len(members.plans))
        order, now = plan.stepper.method.order, float(members.at.now.max())
        factors = members.monitor.wanted_factor(order, now, plan.times[0], plan.end)
        return np.where(which, factors, 1.0)

    def _limits(self, which: np.ndarray) -> dict[int, TimeStep]:
        """Return the time steps at the current states, for members whose limit may have changed."""
        members = self.members
        if members.plan.step.adaptive or not limit_varies(members.plan):
            return {}
        limits = {}
        for member in np.flatnonzero(which).tolist():
            step = present_step(members.plans[member], members.at, member, members.target)
            if step is not None:
                limits[member] = step
        return limits

    def _change_steps(self, factors: np.ndarray, limits: Mapping[int, TimeStep]) -> None:
        """Change automatic steps within their current limit."""
        plans = self.members.plans
        if not self.members.plan.step.automatic:
            return
        for member, (plan, factor) in enumerate(zip(plans, factors, strict=True)):
            if factor == 1 and member not in limits:
                continue
            now = float(self.members.at.now[member])
            dt = changed_dt(plan, factor, limits.get(member))
            if error := vanishing_error(plan, dt, now):
                self.members.end(member, error)
            elif dt != plan.step.dt:
                log.info("t = %g: dt changed from %.4g to %.4g", now, plan.step.dt, dt)
                plans[member] = plan.with_step(dt=dt)


def limit_varies(plan: Plan) -> bool:
    """Whether the stability limit depends on the state or on time."""
    fields = set(plan.equation.field_symbols)
    return bool(plan.equation.jacobian.free_symbols & fields) or plan.problem.is_time_dependent


def present_step(plan: Plan, at: Integrator, member: int, target: int) -> TimeStep | None:
    """Return the step and its limit at a state, for the interval that begins at a target.

    The result is None if the step and the limit at the start of the run still apply, within the
    safety margin of automatic steps.

    Args:
        at: the states.
        member: the number of the plan's state among them.
    """
    explicit = plan.step.automatic and plan.stepper.limited_by_derivatives
    state, grid = at.state_of(member), plan.grid
    if explicit:
        samples = at.loop.in_cells(state, sample_spacing(grid))
        if reactions_are_slow(plan.problem, samples, plan.step.dt):
            return None
    interval = plan.targets[target : target + 2]
    instants = (
        np.append(interval, interval.mean()) if plan.problem.is_time_dependent else interval[:1]
    )
    whole = needs_complete_state(plan.problem)
    given = at.loop.whole(state) if whole else at.loop.bands(state, rows_per_band(grid))
    linearised = linearise(plan.problem, given, instants, thorough=False)
    # dt=auto and unsafe, so that the limit is computed and no error is raised
    time = plan.settings.time.model_copy(update={"dt": "auto", "unsafe": True})
    settings = plan.settings.model_copy(update={"time": time})
    return time_step(settings, linearised, plan.stepper, plan.targets)


def changed_dt(plan: Plan, factor: float, present: TimeStep | None) -> float:
    """Return the next automatic step.

    Args:
        factor: the change that follows from the measured error; 1 for none.
        present: the step at the current state, if it differs from that of the start.
    """
    step = plan.step
    if present is not None:
        longest = present.dt
    else:
        finite = np.isfinite(step.limit)
        longest = plan.stepper.method.safety * step.limit if finite else np.inf
    dt = min(step.dt * factor, longest, float(np.diff(plan.targets).max()))
    # a step that is stable, accurate and close to the optimum is not changed
    return dt if dt < step.dt or dt >= LONGER * step.dt else step.dt
