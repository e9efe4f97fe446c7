"""Settings, plans and right-hand sides that several files of tests share."""

from __future__ import annotations

from dataclasses import replace

import sympy
from conftest import make_plan

from pdesim.formula import Scope, parse
from pdesim.steppers import METHODS, compatible_steppers

GRAY_SCOTT = (
    "equation=gray_scott",
    "grid=32",
    "domain.extent=0.5",
    "initial={u: '1 - 0.5*exp(-(r/0.1)**2)', v: '0.25*exp(-(r/0.1)**2)'}",
    "output.frames=1",
)

GRIDS = {1: "grid=[15]", 2: "grid=[12,9]", 3: "grid=[8,6,5]"}

EXTENTS = {1: "[1.5]", 2: "[1.5,0.7]", 3: "[1.5,0.7,2.0]"}


def steppers_with_problems(problems):
    """Every stepper, with the first of the problems (their overrides) that it applies to."""
    served = [(p, compatible_steppers(make_plan(*p, "grid=16").problem)) for p in problems]
    for stepper in METHODS:
        for problem, names in served:
            if stepper in names:
                yield stepper, problem
                break


def right_hand_side(plan, state):
    """The right-hand side of a plan's equation as NumPy, through the engine's own operators."""
    import tensorflow as tf

    from pdesim.operators.method_of_lines import MethodOfLines

    parameters = {k: tf.constant(v, tf.float64) for k, v in plan.equation.parameters.items()}
    system = MethodOfLines(plan.problem, tf.float64, False, parameters)
    return system.rhs(tf.constant(state, tf.float64), tf.constant(0.0, tf.float64)).numpy()


def custom_plan(dimensions, formula, *overrides):
    return make_plan(
        "equation=custom",
        f"equation.rhs={{u: '{formula}'}}",
        GRIDS[dimensions],
        f"domain.extent={EXTENTS[dimensions]}",
        "time.unsafe=true",
        "stepper=euler",
        "time.dt=1e-6",
        "time.end=1e-6",
        "output.frames=1",
        *overrides,
    )


def with_formula(plan, formula, grid=None):
    """The same plan for another formula, and on another grid."""
    scope = Scope({"u": sympy.Symbol("u", real=True)}, plan.grid.axes, operators=True)
    equation = replace(plan.equation, formulas=(parse(formula, scope),))
    problem = replace(plan.problem, equation=equation, grid=grid or plan.grid)
    return replace(plan, problem=problem)
