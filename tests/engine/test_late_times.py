"""Single precision at late times: what depends on t alone is evaluated in double precision."""

from __future__ import annotations

import numpy as np
import pytest
import sympy
from conftest import make_plan

from pdesim.operators.time_parts import separate_time

LATE = 1e7
SHORT = ("device.precision=float32", "equation=custom", "stepper=rk4", "initial=zero",
         f"time.start={LATE}", f"time.end={LATE + 0.25}", "time.dt=0.005",
         "output.frames=1", "time.unsafe=true")  # fmt: skip


def late(evolve, rhs, *more):
    words = () if any(w.startswith("grid=") for w in more) else ("grid=[8]",)
    return evolve(*SHORT, f"equation.rhs={{u: '{rhs}'}}", *words, *more)


#: the integral over a quarter of a period, from a whole number of periods on
QUARTER = 1 / (2 * np.pi)


@pytest.mark.parametrize(
    ("rhs", "more", "expected"),
    [
        ("cos(2*pi*t)", (), QUARTER),
        # a rounded parameter, 0.1 + 1.5e-9, would turn the phase by 0.1
        ("2*pi*omega*cos(2*pi*omega*t)", ("+equation.omega=0.1",), np.sin(2 * np.pi * 0.025)),
        ("where(t < 10000000.125, 8, 0)", (), 1.0),
        ("2*(t - start)*16", ("+equation.start=1e7",), 1.0),
        # in flat bands, with a stencil beside
        ("cos(2*pi*t) + 1e-3*laplacian(u)", ("grid=[32,24]",), QUARTER),
        ("cos(2*pi*t)*(1 + 0*x) + 1e-3*laplacian(u)", ("operators=spectral",), QUARTER),
    ],
)
def test_late_times_in_single_precision(evolve, rhs, more, expected):
    run = late(evolve, rhs, *more)
    # float32 sums of 50 steps; where: the switch is met to a step in 25
    tolerance = 0.05 if "where" in rhs else 2e-6
    np.testing.assert_allclose(run.field("u")[-1], expected, atol=tolerance)


def test_travelling_waves_keep_their_phase(evolve):
    run = late(evolve, "2*pi*cos(2*pi*(x - t))", "grid=[16]")
    x = run.coordinates["x"]
    expected = -np.sin(2 * np.pi * (x - 0.25)) + np.sin(2 * np.pi * x)
    np.testing.assert_allclose(run.field("u")[-1], expected, atol=5e-6)


def test_values_at_walls_are_met_at_late_times(evolve):
    """u = t - 1e7 everywhere, held by both walls; cos, through a flux at one."""
    run = late(evolve, "laplacian(u) + 1", "boundary={default: {dirichlet: 't - 1e7'}}",
               "time.dt=0.001")  # fmt: skip
    np.testing.assert_allclose(run.field("u")[-1], 0.25, atol=2e-5)
    flux = "boundary={x: {lower: neumann, upper: {neumann: 'w*cos(2*pi*t)'}}}"
    run = late(evolve, "laplacian(u)", flux, "time.dt=0.001", "+equation.w=1.0")
    # the flux through the wall is all that changes the mean
    assert run.field("u")[-1].mean() == pytest.approx(QUARTER, abs=2e-5)


def test_members_have_parameters_of_their_own_at_late_times(placement):
    from pdesim.engine.simulation import Simulation

    words = (*SHORT, "grid=[8]", "equation.rhs={u: '2*pi*omega*cos(2*pi*omega*t)'}")
    frequencies = (0.1, 0.7, 1.0)
    plans = [make_plan(*words, f"+equation.omega={f}") for f in frequencies]
    simulation = Simulation(plans, placement)
    final = list(simulation.frames())[-1].state
    for member, frequency in enumerate(frequencies):
        expected = np.sin(2 * np.pi * frequency * 0.25)
        np.testing.assert_allclose(final[member], expected, atol=5e-6)
    assert simulation.loop.advance.experimental_get_tracing_count() == 1


def test_parts_that_depend_on_time_alone():
    t, x, u, k = (sympy.Symbol(name, real=True) for name in "txuk")
    constants = frozenset([k])

    def parts(formula):
        changed, found = separate_time(formula, constants)
        assert t not in changed.free_symbols
        return set(found.values())

    assert separate_time(u**2 * k + x, constants) == (u**2 * k + x, {})
    assert parts(u + k * t * x) == {k * t}
    assert parts(t - k + 3 + x) == {t - k + 3}
    assert parts(sympy.exp(-k * t) * u) == {sympy.exp(-k * t)}
    assert parts(sympy.sin(x - k * t)) == {sympy.sin(k * t), sympy.cos(k * t)}
    assert parts(sympy.cos(k * (x - t))) == {-sympy.sin(k * t), sympy.cos(k * t)}
    assert parts(sympy.Mod(x - k * t, 2)) == {sympy.Mod(-k * t, 2)}
    assert parts(sympy.Piecewise((u, t < 3), (x * t, True))) == {t < 3, t}
    assert parts(sympy.Function("laplacian", real=True)(t * u)) == {t}
