"""The form of a step that GPUs are given: the same numbers, and nothing that parts a kernel in two.

What XLA fuses on a GPU can only be seen on one. What can be checked anywhere is what it is given: a
loop whose body is elementwise work on shifted reads becomes one kernel, unless a barrier or an
operation with a kernel of its own stands in the way.
"""

import re
import shlex

import numpy as np
import pytest
import tensorflow as tf

from pdesim.config.compose import compose_settings
from pdesim.engine import compile_cache as programs
from pdesim.engine.device import Placement
from pdesim.engine.step import StepContext, Target
from pdesim.engine.time_loop import TimeLoop
from pdesim.plan import build_plan

#: XLA's names of what goes into a fusion without a kernel of its own
FUSIBLE = {
    "add", "and", "broadcast", "bitcast", "compare", "concatenate", "constant", "convert", "copy",
    "divide", "get-tuple-element", "iota", "multiply", "negate", "or", "parameter", "power",
    "reshape", "select", "slice", "subtract", "transpose", "tuple",
}  # fmt: skip

ONE_KERNEL = {
    "reaction": "equation=gray_scott grid=[20,16] stepper=euler",
    "one field": "equation=heat grid=[24,20] stepper=euler",
    "walls": "equation=heat grid=[24,20] stepper=euler boundary=neumann",
    "three dimensions": "equation=heat grid=[8,10,12] stepper=euler",
    "sixth order": "equation=heat grid=[20,24] stepper=euler operators.order=6",
    "positions and momenta": "equation=wave grid=[16,20] stepper=verlet",
}
STAGES = {
    "equation=gray_scott grid=[20,16] stepper=rk4": 3,
    "equation=heat grid=[20,16] stepper=rkl2": 8,
    "equation=wave grid=[16,20] stepper=yoshida4": 4,
}


def run(words: str, **form):
    composed = compose_settings([*shlex.split(words), "device.precision=float64"])
    plan = build_plan(composed.settings, composed.equation)
    loop = TimeLoop(StepContext(plan.problem, plan.stepper, tf.float64, Target(**form)))
    zero, dt = (tf.constant(value, tf.float64) for value in (0.0, plan.step.dt))
    numbers = loop.parameters, loop.coefficients.tensors(plan.step.dt)
    carry = loop.init(tf.constant(plan.state, tf.float64), zero, dt, *numbers)
    steps = tf.constant(0, tf.int64), tf.constant(9, tf.int64)
    return loop.advance, (carry, zero, dt, *steps, *numbers)


def operations_in_loop(advance, arguments) -> list[str]:
    """The operations of the loop's body, in the program that XLA is given."""
    text = advance.experimental_get_compiler_ir(*arguments)(stage="hlo")
    bodies = dict(re.findall(r"^(?:ENTRY )?%?([\w.\-]+)[^\n]*\{\n(.*?)^\}", text, re.S | re.M))
    waiting = re.findall(r" while\(.*?body=%?([\w.\-]+)", text)
    assert waiting, "the program has no loop"
    found = []
    while waiting:
        body = bodies[waiting.pop()]
        for operation, rest in re.findall(r"^.*? = .*? ([a-z][\w\-]*)\((.*)$", body, re.M):
            called = re.findall(r"(?:to_apply|body|condition)=%?([\w.\-]+)", rest)
            waiting += called
            found += [] if operation == "call" else [operation]
    return found


@pytest.mark.parametrize("words", ONE_KERNEL.values(), ids=ONE_KERNEL)
def test_a_step_of_one_stage_is_left_to_be_one_kernel(words):
    operations = operations_in_loop(*run(words, one_kernel=True))
    assert "subtract" in operations or "add" in operations
    assert set(operations) <= FUSIBLE


def test_on_cpus_ghosts_are_a_pass_of_their_own():
    assert "opt-barrier" in operations_in_loop(*run(ONE_KERNEL["one field"]))


@pytest.mark.parametrize(("words", "barriers"), STAGES.items())
def test_barriers_stand_between_stages(words, barriers):
    operations = operations_in_loop(*run(words, one_kernel=True))
    assert operations.count("opt-barrier") == barriers
    assert set(operations) <= FUSIBLE | {"opt-barrier"}


@pytest.mark.parametrize("words", [*ONE_KERNEL.values(), *STAGES])
def test_numbers_are_those_of_the_plain_form(words):
    states = []
    for form in ({}, {"one_kernel": True}):
        advance, arguments = run(words, **form)
        states.append(advance(*arguments)[1].numpy())
    # sums are grouped alike; what is left is how XLA contracts constants
    assert np.abs(states[0] - states[1]).max() <= 1e-13 * 9 * np.abs(states[0]).max()


def test_the_form_goes_by_the_device():
    composed = compose_settings(["equation=heat", "grid=16"])
    plan = build_plan(composed.settings, composed.equation)
    cpu, gpu = (
        programs.get_or_compile(plan, Placement(name, name), True, 0)
        for name in ("/CPU:0", "/GPU:0")
    )
    assert (cpu.context.target.flat, cpu.context.target.one_kernel) == (True, False)
    assert (gpu.context.target.flat, gpu.context.target.one_kernel) == (False, True)
    assert gpu.context.target.library_convolutions
    assert not cpu.context.target.library_convolutions
