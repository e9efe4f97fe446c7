"""Iterated maps: counts, escape, precision, and what does not apply to them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from conftest import make_plan

from pdesim.errors import PdesimError
from pdesim.run.resolution import notes_before


def escape_counts(c, iterations, radius):
    """The number of iterations until |z| exceeds the radius, cell by cell in plain Python."""
    counts = np.zeros(c.shape)
    for index, value in np.ndenumerate(c):
        z, count = 0j, 0
        while abs(z) <= radius and count < iterations:
            z, count = z * z + value, count + 1
        counts[index] = count
    return counts


def test_mandelbrot_counts_equal_a_plain_loop(evolve):
    run = evolve(
        "equation=mandelbrot", "grid=[48,40]", "equation.R=2", "equation.smooth=null",
        "time.end=77", "output.frames=4",
    )  # fmt: skip
    x, y = run.coordinates["x"], run.coordinates["y"]
    expected = escape_counts(-0.65 + x + 1j * y, 77, 2.0)
    assert run.times.tolist() == [0, 19, 38, 58, 77]
    for time, count in zip(run.times, run.field("count"), strict=True):
        assert np.array_equal(count, np.minimum(expected, time))


def test_smooth_counts_for_two_radii_differ_by_a_constant(evolve):
    """log|z| doubles with every iteration, so the count grows by log2(log(1e6)/log(1e3)) = 1."""
    words = ("equation=mandelbrot", "grid=32", "time.end=60", "output.frames=1")
    small, large = (evolve(*words, f"equation.R={R}").field("count")[-1] for R in (1e3, 1e6))
    outside = large < 40
    assert outside.sum() > 300
    # up to |c|/R**2 = 1e-6 relative to log|z|
    assert np.allclose(small[outside] + 1, large[outside], rtol=0, atol=1e-5)


@pytest.mark.slow
def test_area_of_the_mandelbrot_set(placement):
    """1.5066 (Foerstemann 2012), from the cells that have not escaped after 2000 iterations."""
    from pdesim.engine.simulation import Simulation

    plan = make_plan(
        "equation=mandelbrot", "grid=2048", "domain.extent=2.7", "equation.smooth=null",
        "time.end=2000", "output.frames=1", "equation.R=2",
    )  # fmt: skip
    frame = list(Simulation(plan, placement).frames())[-1].state
    area = (frame[2] >= 2000).mean() * 2.7**2
    assert area == pytest.approx(1.5066, rel=5e-3)


def test_maps_without_escape_are_iterated_everywhere(evolve):
    run = evolve(
        "equation=custom", "equation.map={u: 'q*u*(1 - u)'}", "+equation.q=3.7", "grid=[16]",
        "initial.u='0.1 + 0.8*x'", "time.end=19", "output.frames=19",
    )  # fmt: skip
    u = run.field("u")
    for before, after in itertools.pairwise(u):
        assert np.allclose(after, 3.7 * before * (1 - before), rtol=1e-14)


def test_coupled_maps_read_neighbours(evolve):
    """A coupled map lattice: diffusion of the mapped values (Kaneko 1984)."""
    run = evolve(
        "equation=custom", "equation.map={u: 'q*u*(1 - u) + 0.1*laplacian(q*u*(1 - u))'}",
        "+equation.q=3.7", "grid=[16]", "domain.extent=16", "initial.u='0.2 + 0.1*sin(pi*x/8)'",
        "time.end=5", "output.frames=5",
    )  # fmt: skip
    u = run.field("u")
    for before, after in itertools.pairwise(u):
        f = 3.7 * before * (1 - before)
        expected = f + 0.1 * (np.roll(f, 1) - 2 * f + np.roll(f, -1))
        assert np.allclose(after, expected, rtol=1e-13)


def test_a_stopped_map_resumes_with_the_same_bits(placement, tmp_path):
    from run.test_resume import assert_same_bits

    words = ("equation=mandelbrot", "grid=16", "time.end=40", "output.frames=4")
    assert_same_bits(make_plan(*words), placement, tmp_path, after=4)


def test_members_with_other_parameters_share_a_program(placement):
    from pdesim.engine.simulation import Simulation

    words = ("equation=julia", "grid=24", "time.end=30", "output.frames=1")
    plans = [make_plan(*words, f"equation.ca={ca}") for ca in (-0.8, 0.3)]
    together = list(Simulation(plans, placement).frames())[-1].state
    for plan, state in zip(plans, together, strict=True):
        alone = list(Simulation(plan, placement).frames())[-1].state
        assert (np.abs(alone[2] - state[2]) < 1e-2).mean() > 0.98  # chaos at the boundary


def test_precision_limits_the_depth_of_a_zoom():
    deep = ("equation=mandelbrot", "grid=64", "equation.zoom=1e6")
    assert "float32 does not distinguish" in notes_before(make_plan(*deep))[0]
    double = (*deep, "device.precision=float64")
    assert notes_before(make_plan(*double)) == []
    deeper = (*double, "equation.zoom=1e15")
    assert "float64 does not distinguish" in notes_before(make_plan(*deeper))[0]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["stepper=rk4"], "which is an iterated map"),
        (["time.end=10.5"], "an integer"),
        (["time.dt=0.5"], "do not apply to an iterated map"),
        (
            ["equation.escape=null", "equation.labels=null"],
            "smooth has no effect without equation.escape",
        ),
        (["equation.escape='a + b'"], "not a condition"),
        (["equation.escape='1 > 2'"], "the same in all cells"),
        (["equation.rhs={u: 1}"], "rhs and map"),
        (["equation.map.count=1"], "cannot have a field 'count'"),
    ],
)
def test_bad_maps(words, message):
    with pytest.raises(PdesimError, match=message):
        make_plan("equation=mandelbrot", "grid=16", *words)


@pytest.mark.parametrize("command", ["verify", "converge", "analyze"])
def test_commands_that_do_not_apply(command):
    from pdesim.cli.main import main

    assert main([command, "equation=julia", "grid=16"]) == 2
