"""Conditions under which problems are computed on several devices.

The devices divide the members of a batch if it has enough of them, and the grid otherwise. This
module does not import TensorFlow.
"""

from __future__ import annotations

from pdesim.engine.distributed.decomposition import reach, rows_per_step
from pdesim.engine.distributed.hosts import number_of_parts
from pdesim.errors import DeviceError
from pdesim.plan import Plan

FAMILIES = ("explicit", "adaptive", "stabilized", "symplectic", "stochastic")


def devices_for(plan: Plan, members: int) -> int:
    """Return the number of devices that compute a batch.

    They are ``device.count``, or as many as the members if these are fewer and their grid cannot be
    divided.

    Args:
        plan: the plan of a member.
        members: the number of members.
    """
    count = plan.settings.device.count
    return members if members < count and _reason(plan) is not None else count


def divides_members(plan: Plan, members: int) -> bool:
    """Whether the devices divide the members of a batch instead of its grid.

    They exchange nothing, so that every problem that one device computes can be divided.
    """
    return members >= devices_for(plan, members) > 1


def check_distributed(plan: Plan, in_batch: bool = False) -> None:
    """Check that ``device.count`` devices can divide the grid of a single run.

    A member of a batch, even if it is resumed alone, is computed on one device otherwise
    (:func:`devices_for`).

    Args:
        in_batch: whether the plan is that of a member of a batch.

    Raises:
        DeviceError: if they cannot.
    """
    device, since = plan.settings.device, plan.resume_from
    alone = device.hosts is None and (in_batch or (since is not None and since.in_batch))
    if number_of_parts(device) == 1 or alone:
        return
    reason = _reason(plan)
    if reason is not None:
        setting, single = f"device.count={device.count}", "device.count=1"
        if device.hosts is not None:
            setting, single = "device.hosts", "device.hosts=null"
        raise DeviceError(f"{setting} does not apply to this run: {reason[0]}", reason[1], single)


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
        return f"stepper={name} needs the complete grid", _steppers(bool(equation.noise))
    last = problem.grid.dimensions - 1
    if problem.boundary.is_joined(last) and not problem.boundary.is_periodic(last):
        name = problem.grid.names[last]
        return f"its sides along {name} are antiperiodic", f"other conditions along {name}"
    # the noise of a step is not local in the sense of its cost, but each device computes its own
    if not (plan.cost.is_local or equation.noise) or plan.cost.depth == 0:
        return "its steps do not consist of right-hand sides", "an explicit stepper"
    least = rows_per_step(problem, plan.cost.depth)
    least += 0 if plan.stepper.carries_state else reach(problem)
    rows, count = problem.grid.shape[0], number_of_parts(plan.settings.device)
    if rows // count < least:
        return (
            f"{rows} rows on {count} devices are fewer than the {least} ghost rows that one step "
            "needs",
            f"at most {rows // least} devices, or a finer grid",
        )
    return None


def _steppers(has_noise: bool) -> str:
    """Return the steppers that are allowed, for a message."""
    if has_noise:
        return "euler_maruyama, milstein or stochastic_heun"
    return (
        "explicit, adaptive, stabilized and symplectic steppers such as rk4, dormand_prince, "
        "rkl2 or verlet"
    )
