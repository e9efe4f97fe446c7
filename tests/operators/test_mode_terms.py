"""Right-hand sides in modes: the same values as on the grid, with the fewest transforms."""

import shlex

import numpy as np
import pytest
import tensorflow as tf

from pdesim.config.compose import compose_settings
from pdesim.engine.step import StepContext, Target
from pdesim.engine.time_loop import TimeLoop
from pdesim.operators import transforms
from pdesim.plan import build_plan


def custom(rhs: str, words: str) -> str:
    return f"equation=custom equation.fields=[u] equation.rhs.u=\"'{rhs}'\" {words} time.dt=1e-4"


#: settings, and the numbers of inverse and forward transforms of a field in one step
PROBLEMS = {
    # u and v, and u*v**2, in each of 4 stages
    "reactions": ("equation=gray_scott grid=[20,18] stepper=etdrk4 operators=spectral", (8, 4)),
    "reactions, stencil": ("equation=gray_scott grid=[20,18] stepper=etdrk4", (8, 4)),
    "a cubic reaction": (
        "equation=allen_cahn grid=[20,18] stepper=etdrk4 operators=spectral boundary=neumann",
        (4, 4),
    ),
    "a conservation law": (
        "equation=burgers 'grid=[32]' stepper=etdrk4 operators=spectral",
        (4, 4),
    ),
    # u and its derivative, and their product
    "advection": (
        custom("0.1*laplacian(u) - u*d_dx(u)", "grid=[20,18] operators=spectral stepper=etdrk4"),
        (8, 4),
    ),
    # the operator on u**3 multiplies modes
    "a nonlinear operator": (
        "equation=cahn_hilliard grid=[20,18] stepper=etdrk4 operators=spectral",
        (4, 4),
    ),
    "an odd operator": (
        custom("0.1*laplacian(u) - d_dx(u**2)/2", "grid=[20,18] operators=spectral stepper=etdrk4"),
        (4, 4),
    ),
    "a flux": (
        custom(
            "divergence((1 + u**2)*gradient(u))",
            "grid=[20,18] operators=spectral stepper=etdrk4",
        ),
        (12, 8),
    ),
    "position and time": (
        custom(
            "0.1*laplacian(u) + 2*cos(t)*u**2 + 3 + sin(t)*exp(-r**2)",
            "grid=[20,18] operators=spectral stepper=etdrk4 boundary=neumann",
        ),
        (4, 4),
    ),
    "a constant between walls": (
        custom(
            "0.1*laplacian(u) + 3 - u**3",
            "grid=[20,18] operators=spectral stepper=etdrk4 boundary=dirichlet",
        ),
        (4, 4),
    ),
    "several steps": (
        "equation=gray_scott grid=[20,18] stepper=sbdf2 operators=spectral",
        (2, 1),
    ),
}


def loop_of(words: str) -> tuple:
    composed = compose_settings([*shlex.split(words), "device.precision=float64"])
    plan = build_plan(composed.settings, composed.equation)
    context = StepContext(plan.problem, plan.stepper, tf.float64, Target(fused=False))
    return plan, TimeLoop(context)


@pytest.mark.parametrize("words", [words for words, _ in PROBLEMS.values()], ids=PROBLEMS)
def test_modes_are_those_of_the_formulas_on_the_grid(words):
    plan, loop = loop_of(words)
    system, time = loop.context.system(loop.parameters), tf.constant(0.7, tf.float64)
    rng = np.random.default_rng(1)
    state = tf.constant(plan.state + 0.1 * rng.random(plan.state.shape))
    modes = system.to_modes(state)
    expected = system.to_modes(system.evaluate(plan.problem.split.rest, state, time)).numpy()
    result = system.rest_modes(modes, time).numpy()
    assert np.abs(result - expected).max() <= 1e-12 * np.abs(expected).max()


@pytest.mark.parametrize(("words", "counts"), PROBLEMS.values(), ids=PROBLEMS)
def test_a_step_takes_the_fewest_transforms(words, counts, monkeypatch):
    plan, loop = loop_of(words)
    found = {"backward": 0, "forward": 0}
    for name in found:
        plain = getattr(transforms, name)

        def counted(values, modes, *more, name=name, plain=plain):
            found[name] += int(np.prod(values.shape[: -len(modes.shape)]))
            return plain(values, modes, *more)

        monkeypatch.setattr(transforms, name, counted)
    zero, dt = (tf.constant(value, tf.float64) for value in (0.0, plan.step.dt))
    numbers = loop.coefficients.tensors(plan.step.dt)
    context = loop.context
    system = context.system(loop.parameters)
    carry = context.stepper.init(system, tf.constant(plan.state), zero, dt, numbers)
    found.update(backward=0, forward=0)
    context.step(system, plan.grid.dimensions, 0, carry, zero, dt, numbers)
    assert (found["backward"], found["forward"]) == counts


def test_modes_of_one():
    for boundary in ("periodic", "neumann", "dirichlet"):
        for sides in (boundary, "'{lower: neumann, upper: dirichlet}'"):
            words = f"equation=heat grid=[9,12] operators=spectral boundary.x={sides}"
            plan, _ = loop_of(f"{words} boundary.y={boundary}")
            modes = plan.problem.modes
            expected = transforms.forward(tf.ones(plan.grid.shape, tf.float64), modes)
            result = transforms.of_one(modes, expected.dtype)
            assert np.abs(result - expected).max() <= 1e-12
