"""Stopping and going on: the same bits as a run that never stopped."""

from __future__ import annotations

import re

import numpy as np
import pytest
from conftest import make_plan
from made_plans import steppers_with_problems

from pdesim.config.compose import choices
from pdesim.output.checkpoint import read_checkpoint, write_checkpoint
from pdesim.plan import build_plan
from pdesim.run.continuation import _from_checkpoint

STEADY = ("bratu", "darcy", "helmholtz", "poisson", "poisson_boltzmann")
EVOLUTIONS = [n for n in choices("equation") if n not in ("custom", *STEADY)]


class Stop(Exception):
    pass


def frames_with_a_stop(plan, placement, tmp_path, after: int):
    """All frames; the run is stopped after so many blocks and goes on from its checkpoint.

    The programs that an uninterrupted run has compiled serve again: compiling them anew takes
    seconds, and the runs that are killed in test_faults.py do.
    """
    from pdesim.engine.simulation import Simulation

    first, frames, blocks = Simulation(plan, placement), [], 0
    first.steps_per_block = 3  # so that stops fall within intervals, too

    def report(progress):
        nonlocal blocks
        blocks += 1
        if blocks == after:
            raise Stop

    with pytest.raises(Stop):
        for frame in first.frames(report):
            frames.append(frame)
    write_checkpoint(tmp_path, first.checkpoint(), "settings")
    moment, _ = read_checkpoint(tmp_path / "checkpoint.h5")
    rest = Simulation(build_plan(plan.settings, plan.equation.name, moment), placement)
    return frames + list(rest.frames())


def assert_same_bits(plan, placement, tmp_path, after: int):
    """Compare a run that is stopped with one that is not, and return the frames of the latter."""
    from pdesim.engine.simulation import Simulation

    whole = Simulation(plan, placement)
    frames = list(whole.frames())
    parts = frames_with_a_stop(plan, placement, tmp_path, after)
    assert [f.index for f in parts] == [f.index for f in frames]
    for one, other in zip(frames, parts, strict=True):
        assert one.time == other.time
        assert one.state.tobytes() == other.state.tobytes(), f"frame {one.index} differs"
    return frames


def short_plan(*overrides: str, steps: int = 21):
    """Three frames, about so many steps."""
    plan = make_plan(*overrides, "output.frames=3")
    end = plan.times[0] + steps * plan.step.dt
    return make_plan(*overrides, "output.frames=3", f"time.end={end}")


@pytest.mark.parametrize("name", EVOLUTIONS)
def test_every_equation_goes_on_with_the_same_bits(placement, tmp_path, name):
    # fewer cells cannot hold the shortest waves that these feed
    fine = ("kuramoto_sivashinsky", "kuramoto_sivashinsky_1d", "keller_segel")
    grid = 64 if name in fine else 16
    grid = 128 if name == "raindrops" else grid  # fewer cells are not hit by drops
    plan = short_plan(f"equation={name}", f"grid={grid}")
    frames = assert_same_bits(plan, placement, tmp_path, after=2)
    states = np.stack([frame.state for frame in frames])
    assert np.isfinite(states).all() and np.ptp(states) > 0


def pairs():
    """Every stepper, on the first equation and operators that it can serve."""
    problems = (
        ("equation=gray_scott", "operators=spectral"),
        ("equation=heat", "operators=stencil"),
        ("equation=wave", "operators=stencil"),
        ("equation=stochastic_gray_scott", "operators=stencil"),
    )
    for stepper, words in steppers_with_problems(problems):
        yield pytest.param(stepper, words, id=stepper)


@pytest.mark.parametrize(("stepper", "words"), pairs())
@pytest.mark.parametrize("precision", ["float32", pytest.param("float64", marks=pytest.mark.slow)])
def test_every_stepper_goes_on_with_the_same_bits(placement, tmp_path, stepper, words, precision):
    plan = short_plan(*words, "grid=[16,12]", f"stepper={stepper}", f"device.precision={precision}")
    assert_same_bits(plan, placement, tmp_path, after=1 if stepper == "exact" else 2)


def test_walls_masks_and_a_given_step_go_on(placement, tmp_path):
    plan = make_plan(
        "equation=heat",
        "grid=16",
        "time.end=0.2",
        "output.frames=3",
        "boundary=dirichlet",
        "domain.mask='where(r < 0.2, 1, 0)'",
        "boundary.mask=neumann",
        "stepper=implicit_euler",
    )
    assert_same_bits(plan, placement, tmp_path, after=2)


def test_stretched_axes_go_on_with_the_same_bits(placement, tmp_path):
    plan = short_plan("equation=cylinder", "grid=[12,16]", "domain.stretch.z='exp(1)'")
    assert_same_bits(plan, placement, tmp_path, after=2)


@pytest.mark.parametrize(
    "words",
    [
        "stepper=euler", "stepper=rk4 boundary={x: {dirichlet: 'mean(u)'}, y: neumann}",
        "stepper=dormand_prince boundary={x: {neumann: '1 - integral(u)'}, y: periodic}",
        "stepper=rkl2 boundary=neumann domain.mask='r < 0.2'", "stepper=sbdf2", "stepper=cnab2",
        "stepper=etdrk4 operators=spectral", "stepper=rk4 device.jit=false",
    ],
)  # fmt: skip
def test_reductions_go_on_with_the_same_bits(placement, tmp_path, words):
    rhs = "1e-3*laplacian(u) + u*(1 - u**2) - mean(u*(1 - u**2)) - 0.1*max(u)*integral(u**2)"
    words = re.split(r" (?=[\w.]+=)", words)
    plan = short_plan(
        "equation=custom", f"equation.rhs={{u: '{rhs}'}}", "initial.u='random_normal(0.3)'",
        "grid=[16,12]", *words,
    )  # fmt: skip
    assert plan.equation.reductions
    assert_same_bits(plan, placement, tmp_path, after=2)


def test_a_velocity_that_depends_on_a_mean_goes_on_with_the_same_bits(placement, tmp_path):
    plan = short_plan(
        "equation=custom", "equation.rhs={u: w, w: 'laplacian(u) - mean(u) - u*max(u)'}",
        "initial={u: 'sin(2*pi*x)', w: 0}", "grid=[16,12]", "stepper=verlet",
    )  # fmt: skip
    assert_same_bits(plan, placement, tmp_path, after=2)


GRAY_SCOTT = ("equation=gray_scott", "grid=16", "domain.extent=0.25", "output.every=15")
EXTENDED = {
    **{s: (*GRAY_SCOTT, f"stepper={s}") for s in ("bogacki_shampine", "dormand_prince", "auto")},
    "dormand_prince from dt": (*GRAY_SCOTT, "stepper=dormand_prince", "time.dt=0.7"),
    "observed": (*GRAY_SCOTT, "stepper=dormand_prince", "observe={top: 'max(v)'}",
                 "observe_every=5"),
    **{s: (*GRAY_SCOTT, f"stepper={s}", "time.dt=0.7") for s in ("rk4", "rkl2", "etdrk4", "sbdf2")},
    "noise": ("equation=stochastic_heat", "grid=16", "domain.extent=16", "time.dt=0.1",
              "output.every=15"),
    "exact": ("equation=heat", "grid=16", "stepper=exact", "output.every=15"),
}  # fmt: skip


@pytest.mark.parametrize("words", EXTENDED.values(), ids=EXTENDED.keys())
def test_an_extended_run_equals_one_long_run(words, placement, tmp_path):
    """Adaptive steppers and given steps: the end of the first run changes nothing after it."""
    from pdesim.engine.simulation import Simulation

    whole = list(Simulation(make_plan(*words, "time.end=105"), placement).frames())
    first = Simulation(make_plan(*words, "time.end=60"), placement)
    frames = list(first.frames())
    write_checkpoint(tmp_path, first.checkpoint(), "settings")
    moment, _ = read_checkpoint(tmp_path / "checkpoint.h5")
    plan = _from_checkpoint(moment, make_plan(*words, "time.end=105").settings, "custom")
    frames += list(Simulation(plan, placement).frames())
    assert [f.time for f in frames] == pytest.approx([f.time for f in whole], rel=1e-12)
    for one, other in zip(frames, whole, strict=True):
        assert one.state.tobytes() == other.state.tobytes(), f"frame {one.index} differs"


@pytest.mark.parametrize("stepper", ["dormand_prince", "rk4"])
@pytest.mark.parametrize("after", [2, 4])
def test_scales_of_errors_go_on(placement, tmp_path, stepper, after):
    """Fields whose scale is a rounding error, or their size at the end of an interval."""
    plan = make_plan(
        "equation=custom",
        "equation.rhs={u: '3*v - 3*w - 0.1*u', v: '-v*w', w: '-w*v', s: 'v - s'}",
        "domain.dimensions=1", "grid=16", "initial.u='0*x'", "initial.v='1+x'", "initial.w='1+x'",
        "initial.s='1e-12*x'", f"stepper={stepper}", "time.end=5", "output.frames=4",
    )  # fmt: skip
    assert_same_bits(plan, placement, tmp_path, after)
