"""Conditions under which a problem is computed on several devices.

This module does not import TensorFlow.
"""

from __future__ import annotations

from pdesim.engine.distributed.decomposition import reach, rows_per_step
from pdesim.errors import DeviceError
from pdesim.plan import Plan

FAMILIES = ("explicit", "adaptive", "stabilized", "symplectic")


def check_distributed(plan: Plan) -> None:
    """Check that a plan can be computed on ``device.count`` devices.

    Raises:
        DeviceError: if it cannot.
    """
    count = plan.settings.device.count
    if count == 1:
        return
    reason = _reason(plan)
    if reason is not None:
        raise DeviceError(
            f"device.count={count} does not apply to this run: {reason[0]}",
            reason[1],
            "device.count=1",
        )


def _reason(plan: Plan) -> tuple[str, str] | None:
    """Return why a plan needs a single device and what is allowed instead; None if it does not."""
    problem = plan.problem
    equation, scheme = problem.equation, problem.discretisation
    if plan.is_steady:
        return "steady problems are solved on one device", "an equation with rhs"
    if scheme.is_spectral:
        return "spectral operators need the complete grid", "operators=stencil or conv"
    if equation.constraints:
        return "constraints (solve) need the complete grid", "an equation without solve"
    for has, what in (
        (equation.noise, "noise"),
        (equation.scalars, "scalars beside fields"),
        (equation.reductions or problem.boundary.reductions, "means and integrals in formulas"),
        (problem.kernels, "convolutions"),
        (problem.grid.metric, "radial, axisymmetric and stretched coordinates"),
    ):
        if has:
            return f"{what} are not supported on several devices", f"a run without {what}"
    family = plan.stepper.method.family
    if family not in FAMILIES or plan.stepper.uses_modes:
        name = plan.stepper.method.name
        return (
            f"stepper={name} needs the complete grid",
            "explicit, adaptive, stabilized and symplectic steppers such as rk4, dormand_prince, "
            "rkl2 or verlet",
        )
    last = problem.grid.dimensions - 1
    if problem.boundary.is_joined(last) and not problem.boundary.is_periodic(last):
        name = problem.grid.names[last]
        return f"its sides along {name} are antiperiodic", f"other conditions along {name}"
    if plan.observables is not None and plan.observables.every is None:
        return "observables of every step need the complete grid", "observe_every=TIME"
    if not plan.cost.is_local or plan.cost.depth == 0:
        return "its steps do not consist of right-hand sides", "an explicit stepper"
    least = rows_per_step(problem, plan.cost.depth)
    least += 0 if plan.stepper.carries_state else reach(problem)
    rows, count = problem.grid.shape[0], plan.settings.device.count
    if rows // count < least:
        return (
            f"{rows} rows on {count} devices are fewer than the {least} ghost rows that one step "
            "needs",
            f"at most {rows // least} devices, or a finer grid",
        )
    return None
