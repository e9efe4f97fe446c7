"""Compiled programs that serve again: runs of one process that differ in numbers only share one."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable

import tensorflow as tf

from pdesim.engine.device import Placement, fills_several_arrays
from pdesim.engine.loops import Blocks
from pdesim.plan import Plan

#: programs kept; TensorFlow holds some megabytes for each
KEPT = 8
_programs: OrderedDict[Hashable, Blocks] = OrderedDict()


def get_or_compile(plan: Plan, placement: Placement, fused: bool, members: int) -> Blocks:
    """The blocks of steps for a plan: those of an earlier run of this process where they fit.

    Parameters, dt and first states may differ, since they are arguments of the program. Everything
    that is traced into it must be equal.
    """
    form = {"banded": fused and not placement.is_gpu, "one_kernel": fused and placement.is_gpu}
    form["apart"] = form["banded"] and plan.fuses_to_one_kernel and fills_several_arrays()
    problem, dtype = plan.problem, tf.as_dtype(plan.settings.device.precision)
    equation, boundary = problem.equation, problem.boundary
    if problem.discretisation.is_spectral and boundary.symbols:
        # the walls' values are worked out while the program is made
        return Blocks(problem, plan.stepper, dtype, fused, members, **form)
    mask = None if problem.mask is None else (problem.mask.solid.tobytes(), problem.mask.walls)
    key = (
        equation.fields, equation.formulas, tuple(sorted(equation.parameters)), problem.grid,
        boundary, problem.discretisation, mask, plan.stepper, dtype, fused, members, placement,
    )  # fmt: skip
    new = Blocks(problem, plan.stepper, dtype, fused, members, **form)
    blocks = _programs.setdefault(key, new)
    _programs.move_to_end(key)
    while len(_programs) > KEPT:
        _programs.popitem(last=False)
    return blocks


def in_slabs(plan: Plan) -> bool:
    """Whether a run of this plan alone is computed in slabs on a CPU, each a program of its own."""
    if plan.stepper is None or plan.settings.device.jit is False:
        return False
    dtype = tf.as_dtype(plan.settings.device.precision)
    blocks = Blocks(plan.problem, plan.stepper, dtype, True, banded=True)
    return (blocks.trial_slabs if plan.step.adaptive else blocks.slabs) is not None


def use_xla(plan: Plan, placement: Placement) -> bool:
    """XLA unless told otherwise; its convolutions on a CPU are many times slower than TF's own."""
    asked = plan.settings.device.jit
    if asked != "auto":
        return asked
    return placement.is_gpu or plan.problem.discretisation.name != "conv"
