"""The form of the step loop for GPUs: the same numbers as the plain form, in few kernels.

What XLA fuses on a GPU can only be seen on one. What can be checked anywhere is the program that
XLA is given: elementwise arithmetic with shifted reads becomes one kernel, unless a barrier or an
operation with a kernel of its own is in between.
"""

import re

import numpy as np
import pytest
import tensorflow as tf
from step_loops import STEPS, WALLS, Run, assert_same_steps, followed, plain_form

from pdesim.config.compose import compose_settings
from pdesim.engine import compile_cache as programs
from pdesim.engine.device import Placement
from pdesim.engine.flat.gpu_loop import EXCHANGES, GpuLoop
from pdesim.engine.flat.tuning import Tuning
from pdesim.engine.plain_loop import PlainLoop
from pdesim.engine.simulation import Simulation
from pdesim.plan import build_plan

#: XLA's names of operations that are fused into a kernel
FUSIBLE = {
    "add", "and", "broadcast", "bitcast", "compare", "concatenate", "constant", "convert", "copy",
    "divide", "get-tuple-element", "iota", "multiply", "negate", "or", "pad", "parameter", "power",
    "reshape", "reverse", "select", "slice", "subtract", "transpose", "tuple",
}  # fmt: skip

PROBLEMS = {
    "reactions": "equation=gray_scott grid=[20,16] stepper=euler",
    "stages": "equation=gray_scott grid=[20,16] stepper=rk4",
    "many stages": "equation=heat grid=[20,24] stepper=rkl2",
    "positions and momenta": "equation=wave grid=[16,20] stepper=verlet",
    "a composition": "equation=wave grid=[16,20] stepper=yoshida4 boundary=dirichlet",
    "one dimension": "equation=allen_cahn grid=96 stepper=euler",
    "three dimensions": "equation=gray_scott grid=[8,10,12] stepper=euler",
    "isotropic": "equation=heat grid=[20,24] stepper=heun operators.isotropic=true",
    **WALLS,
}


def gpu_form(words: str, in_place: bool) -> Run:
    tuning = Tuning(gpu_depths={2**60: 4}, gpu_in_place_bytes=0 if in_place else 2**60)
    run = Run(words, gpu=True, tuning=tuning)
    assert isinstance(run.loop.loop, GpuLoop) and run.loop.loop.in_place is in_place
    return run


@pytest.mark.parametrize(
    ("words", "in_place"),
    # both ways of adding ghost cells, in turn
    [(words, number % 2 == 1) for number, words in enumerate(PROBLEMS.values())],
    ids=PROBLEMS,
)
def test_the_results_are_those_of_the_plain_form(words, in_place):
    run, plain = gpu_form(words, in_place), plain_form(words)
    # other sizes of groups, in another division into blocks; on CPUs, XLA contracts products and
    # sums of different kernels differently
    for stops in ((STEPS,), (5, STEPS)):
        assert np.abs(run.to(*stops) - plain).max() <= 1e-13 * STEPS * np.abs(plain).max()


def test_groups_of_all_sizes_are_taken():
    words = PROBLEMS["reactions"]
    run = gpu_form(words, in_place=False)
    group = run.loop.steps_at_once
    assert group > 1
    steps = group * (EXCHANGES + 2) - 1
    plain = Run(words, flat=False).to(steps)
    assert np.abs(run.to(steps) - plain).max() <= 1e-13 * steps * np.abs(plain).max()


def test_steps_of_adaptive_length_are_those_of_the_plain_form():
    words = "equation=gray_scott grid=[20,24] stepper=dormand_prince"
    assert_same_steps(
        followed(Run(words, flat=False), 40), followed(gpu_form(words, in_place=False), 40)
    )


@pytest.mark.parametrize("in_place", [False, True], ids=["copied", "in place"])
def test_members_give_the_results_of_single_runs(in_place, monkeypatch):
    plans = []
    for feed in (0.03, 0.04):
        words = "equation=gray_scott grid=[12,20] stepper=euler device.precision=float64"
        composed = compose_settings([*words.split(), "time.end=9.5", f"equation.F={feed}"])
        plans.append(build_plan(composed.settings, composed.equation))
    cpu, tuning = Placement("/CPU:0", "CPU"), Tuning(gpu_in_place_bytes=0 if in_place else 2**60)
    alone = [list(Simulation(plan, cpu).frames())[-1].state for plan in plans]
    # the form for GPUs, on a CPU
    monkeypatch.setattr(programs, "Target", lambda *_, **__: programs.GPU_TARGET)
    together = Simulation(plans, cpu, tuning)
    assert isinstance(together.loop.loop, GpuLoop)
    states = list(together.frames())[-1].state
    assert np.abs(states - np.stack(alone)).max() <= 1e-12


def operations_in_loops(run: Run) -> list[str]:
    """The operations in the bodies of all loops, in the program that XLA is given."""
    steps = tf.constant(0, tf.int64), tf.constant(9, tf.int64)
    arguments = run.carry, run.zero, run.dt, *steps, *run.numbers
    text = run.loop.advance.experimental_get_compiler_ir(*arguments)(stage="hlo")
    bodies = dict(re.findall(r"^(?:ENTRY )?%?([\w.\-]+)[^\n]*\{\n(.*?)^\}", text, re.S | re.M))
    waiting = sorted(set(re.findall(r" while\(.*?body=%?([\w.\-]+)", text)))
    assert waiting, "the program has no loop"
    found = []
    while waiting:
        body = bodies[waiting.pop()]
        for operation, rest in re.findall(r"^.*? = .*? ([a-z][\w\-]*)\((.*)$", body, re.M):
            waiting += re.findall(r"to_apply=%?([\w.\-]+)", rest) if operation == "call" else []
            found += [] if operation in ("call", "while") else [operation]
    return found


@pytest.mark.parametrize("in_place", [False, True], ids=["copied", "in place"])
@pytest.mark.parametrize(
    ("name", "sums"),
    [("reactions", 1), ("stages", 4), ("positions and momenta", 1), ("no flux", 1)],
)
def test_a_right_hand_side_is_one_kernel(name, sums, in_place):
    run = gpu_form(PROBLEMS[name], in_place)
    operations = operations_in_loops(run)
    assert set(operations) <= FUSIBLE | {"opt-barrier", "dynamic-update-slice"}
    if not in_place and "boundary" not in PROBLEMS[name]:
        # one before the steps of an exchange, and one between two right-hand sides
        steps = run.loop.steps_at_once
        groups = [steps, steps, 1] if steps > 1 else [1, 1]
        assert operations.count("opt-barrier") == sum(n * sums for n in groups)


def test_other_problems_are_computed_in_the_plain_form():
    run = Run("equation=cahn_hilliard grid=16 operators=stencil", gpu=True)
    assert isinstance(run.loop.loop, PlainLoop)


def test_the_form_depends_on_the_device():
    composed = compose_settings(["equation=heat", "grid=16"])
    plan = build_plan(composed.settings, composed.equation)
    cpu, gpu = (
        programs.get_or_compile(plan, Placement(name, name), True, 0)
        for name in ("/CPU:0", "/GPU:0")
    )
    assert (cpu.context.target.flat, cpu.context.target.for_gpu) == (True, False)
    assert (gpu.context.target.flat, gpu.context.target.for_gpu) == (True, True)
    assert gpu.context.target.library_convolutions
    assert not cpu.context.target.library_convolutions
