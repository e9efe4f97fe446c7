"""Cache of compiled programs, for runs in one process that differ only in values."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Sequence

import tensorflow as tf

from pdesim.engine.device import Placement, fills_several_arrays
from pdesim.engine.flat.eligibility import fuses_to_one_kernel
from pdesim.engine.flat.tuning import TUNING, Tuning
from pdesim.engine.step import GPU_TARGET, StepContext, Target
from pdesim.engine.time_loop import TimeLoop
from pdesim.plan import Plan

#: capacity of the cache; TensorFlow holds some megabytes for each program
KEPT = 8
_programs: OrderedDict[Hashable, TimeLoop] = OrderedDict()


def program_members(plans: Sequence[Plan]) -> int:
    """Return the number of members of the program for some plans; 0 is the program of one run.

    A member of a batch that is resumed alone is computed twice, by the program of a batch.
    """
    since = plans[0].resume_from
    alone = 2 if since is not None and since.in_batch else 0
    return len(plans) if len(plans) > 1 else alone


def get_or_compile(
    plan: Plan,
    placement: Placement,
    fused: bool,
    members: int,
    tuning: Tuning = TUNING,
    together: int = 0,
) -> TimeLoop:
    """Return the step loop for a plan; one of an earlier run in this process is reused if possible.

    Parameters, dt and initial states may differ between the runs, since they are arguments of the
    program. All values that are compiled into the program must be equal.

    Args:
        members: the number of members of the program; 0 for that of a single run.
        together: the number of members by whose size the layout of arrays is chosen, if it is more
            than those of the program.
    """
    if placement.is_gpu:
        target = GPU_TARGET if fused else Target(fused=False, library_convolutions=True)
    else:
        separate = fused and fuses_to_one_kernel(plan, tuning) and fills_several_arrays()
        target = Target(fused, flat=fused, separate_fields=separate)
    problem, dtype = plan.problem, tf.as_dtype(plan.settings.device.precision)
    equation, boundary = problem.equation, problem.boundary
    together = together if together > max(members, 1) else 0
    context = StepContext(problem, plan.stepper, dtype, target, members, tuning, together)
    new = TimeLoop(context, plan.observables, plan.stops)
    if problem.discretisation.is_spectral and boundary.symbols:
        return new  # boundary values are computed while the program is traced
    mask = None if problem.mask is None else (problem.mask.solid.tobytes(), problem.mask.walls)
    key = (
        equation.fields, tuple(equation.constraints), equation.expressions, equation.reductions,
        tuple(sorted(equation.parameters)), problem.grid, boundary, problem.discretisation, mask,
        plan.stepper, dtype, fused, members, placement, tuning, together, _recorded(plan),
        equation.noise, plan.settings.time.noise_step is None,
    )  # fmt: skip
    loop = _programs.setdefault(key, new)
    _programs.move_to_end(key)
    while len(_programs) > KEPT:
        _programs.popitem(last=False)
    return loop


def _recorded(plan: Plan) -> Hashable:
    """Return everything about observables and stop conditions that programs contain."""
    observables, stops = plan.observables, plan.stops
    condition = None if stops is None else stops.condition
    return (
        observables and (
            observables.problem.equation.reductions, observables.probes, observables.every
        ),
        condition and condition.equation.reductions, stops is None or stops.steady,
    )  # fmt: skip


def uses_slabs(plan: Plan, tuning: Tuning = TUNING) -> bool:
    """Whether a single run of this plan is computed in slabs on a CPU."""
    if plan.is_steady or not use_xla(plan):
        return False
    dtype = tf.as_dtype(plan.settings.device.precision)
    target = Target(flat=True)
    loop = TimeLoop(StepContext(plan.problem, plan.stepper, dtype, target, tuning=tuning))
    return (loop.adaptive_slabs if plan.step.adaptive else loop.slabs) is not None


def use_xla(plan: Plan) -> bool:
    """Whether to use XLA, which is the default."""
    return plan.settings.device.jit is not False
