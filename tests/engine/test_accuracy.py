"""Runs with default settings are right in time: what misled users once has its right value here."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from conftest import make_plan

from pdesim.config.compose import compose_settings
from pdesim.engine.monitor import Monitor
from pdesim.engine.run_errors import vanishing_error
from pdesim.errors import ConfigError, StepperError
from pdesim.operators.method_of_lines import MethodOfLines
from pdesim.steppers import build_stepper
from pdesim.steppers.samples import reactions_are_slow, sample_spacing
from pdesim.steppers.stability import linearise, stable_step
from pdesim.steppers.targets import control_points, find_events, merge

LINE = ("equation=custom", "domain.dimensions=1")


def line(formula: str, initial: str, *more: str) -> tuple[str, ...]:
    return (*LINE, f"equation.rhs={{u: '{formula}'}}", f"initial.u='{initial}'", *more)


@pytest.mark.parametrize("frames", [5, 100])
@pytest.mark.parametrize(
    ("formula", "initial", "end", "right"),
    [
        ("cos(t)", "0.0*x", 10, np.sin(10)),
        ("where(t<1, 1, 0)", "0.0*x", 10, 1.0),
        ("heaviside(t - 1/3)", "0.0*x", 1, 2 / 3),
        ("where(t<1, 1, 0) + where(t<1 + 1e-7, 1e7, 0) - where(t<1, 1e7, 0)", "0.0*x", 2, 2.0),
        ("exp(-((t-3.3)/0.02)**2)", "0.0*x", 10, 0.02 * np.sqrt(np.pi)),
        ("where(abs(t-7.31)<0.01, 50, 0)", "0.0*x", 10, 1.0),
        ("-u", "1 + 0*x", 5, np.exp(-5)),
        ("u*(1-u)", "0.01 + 0*x", 10, 1 / (1 + 99 * np.exp(-10))),
        ("1e-7*cos(t)", "0.0*x", 10, 1e-7 * np.sin(10)),
    ],
)
def test_ordinary_equations(evolve, formula, initial, end, right, frames):
    """Whatever the number of frames, to 1 % (the default tolerance is 2e-5 for each step)."""
    run = evolve(*line(formula, initial, "grid=8", f"time.end={end}", f"output.frames={frames}"))
    assert run.field("u")[-1] == pytest.approx(right, rel=0.01)


FRONT = line(
    "0.01*laplacian(u)+u*(1-u)", "1/(1+exp(10*(x-3)))", "grid=[200]", "domain.extent=20",
    "boundary=neumann", "time.end=50", "output.frames=5",
)  # fmt: skip


def test_a_front_has_its_speed_and_its_place(evolve):
    """Fisher-KPP: a front from exp(-10 x) is pulled at the speed 2 sqrt(D) = 0.2 at once.

    What lies far ahead of it grows as exp(2 t) until the front is there, and errors of that growth
    move it: the norm over the grid does not see them, the largest error at the front does.
    """
    run = evolve(*FRONT)
    place = 20 * run.field("u").mean(1)
    # the speed of such fronts is reached as 2 - 3/(2 t), 3 % here
    assert (place[-1] - place[-3]) / 20 == pytest.approx(0.2, rel=0.05)
    right = evolve(*FRONT, "stepper=rk4", "time.dt=0.02", "device.precision=float64")
    assert np.abs(run.field("u")[-1] - right.field("u")[-1]).max() < 0.01


def test_a_diffusivity_that_grows_in_time(evolve):
    """``cos`` decays with the integral of D, and dt follows the stability limit."""
    run = evolve(*line("0.001*(1+200*t)*laplacian(u)", "1+cos(2*pi*x)", "grid=128", "time.end=0.5",
                       "output.frames=2"))  # fmt: skip
    symbol = 4 * 128**2 * np.sin(np.pi / 128) ** 2
    decay = np.exp(-0.001 * symbol * (0.5 + 100 * 0.25))
    x = run.coordinates["x"]
    np.testing.assert_allclose(
        run.field("u")[-1], 1 + decay * np.cos(2 * np.pi * x), atol=0.01 * decay
    )


def test_diffusion_that_stiffens_between_frames(evolve):
    """The mean of ``0.01 laplacian(u**2) + u`` grows as exp(t), the stiffness with it."""
    run = evolve(*line("0.01*laplacian(u**2)+u", "1+0.1*sin(2*pi*x)", "grid=32", "time.end=3",
                       "output.frames=2"))  # fmt: skip
    assert run.field("u")[-1].mean() == pytest.approx(np.exp(3), rel=1e-3)
    assert np.ptp(run.field("u")[-1]) < 0.1


@pytest.mark.parametrize(
    "words",
    [
        ("equation=heat", "equation.D='where(r < 0.1, 1, 0.01)'", "grid=[32,32]", "time.end=0.1"),
        line("-where(abs(x-0.5)<0.01, 1001, 1)*u", "1 + 0*x", "grid=64", "time.end=1"),
        line("-where(abs(x-0.5)<0.01, 50, 1)*d_dx(u) + 1e-3*laplacian(u)", "sin(2*pi*x)",
             "grid=64", "time.end=0.5"),
        line("-1000*x**20*u", "1 + 0*x", "grid=64", "time.end=1"),
    ],
)  # fmt: skip
def test_extreme_cells_are_seen(evolve, words):
    """Maximum principles: nothing grows beyond the initial state."""
    run = evolve(*words, "output.frames=2")
    assert np.abs(run.states[-1]).max() <= np.abs(run.states[0]).max() * (1 + 1e-3)


@pytest.mark.parametrize("stepper", ["euler", "rk4", "heun"])
@pytest.mark.parametrize(
    "words",
    [
        line("-u", "1 + 0*x", "grid=8"),
        line("-where(abs(x-0.5)<0.1, 1001, 1)*u", "1 + x", "grid=16"),
        line("-where(abs(x-0.5)<0.1, 5, 1)*d_dx(u) + 0.05*laplacian(u)", "sin(2*pi*x)", "grid=16"),
        line("where(abs(x-0.5)<0.1, 1, 0.01)*laplacian(u)", "cos(2*pi*x)", "grid=16"),
        line("0.01*(2 + cos(t))*laplacian(u)", "cos(2*pi*x)", "grid=16"),
        line("0.01*laplacian(u) - 3*u*u", "1 + 0.1*sin(2*pi*x)", "grid=16"),
    ],
)
def test_a_step_just_below_the_limit_stays_bounded(evolve, stepper, words):
    plan = make_plan(*words, f"stepper={stepper}", "time.end=1", "output.frames=1")
    dt = 0.999 * plan.step.limit
    run = evolve(*words, f"stepper={stepper}", f"time.dt={dt}", f"time.end={1e5 * dt}",
                 "output.frames=1")  # fmt: skip
    assert np.abs(run.states[-1]).max() <= 1.01 * np.abs(run.states[0]).max()


def test_the_limit_of_decay_is_two():
    """It had an allowance of an eighth once."""
    words = line("-u", "1 + 0*x", "grid=8", "stepper=euler", "time.end=400", "output.frames=1")
    with pytest.raises(StepperError, match="above 2, the stability limit"):
        make_plan(*words, "time.dt=2.01")
    make_plan(*words, "time.dt=1.99")


@pytest.mark.parametrize("name", ["gray_scott", "allen_cahn", "burgers", "fitzhugh_nagumo"])
def test_limits_beside_eigenvalues(placement, name):
    """Against all eigenvalues of the Jacobian of the discrete equation on a line, no waves assumed.

    Those that turn slowly, or grow, limit the accuracy of explicit Euler, not its stability.
    """
    default = make_plan(f"equation={name}", "grid=8")
    spacing = default.grid.extent[0] / compose_settings([f"equation={name}"]).settings.grid
    words = ("grid=[24]", f"domain.extent={24 * spacing}", "device.precision=float64")
    plan = make_plan(f"equation={name}", *words)
    problem, state = plan.problem, plan.state.astype(float)
    system = MethodOfLines(
        problem, tf.float64, False,
        {n: tf.constant(v, tf.float64) for n, v in problem.parameters.items()},
    )  # fmt: skip

    def rate(values):
        return system.rhs(tf.constant(values), tf.constant(0.0, tf.float64)).numpy().ravel()

    matrix, small = np.empty((state.size, state.size)), 1e-6
    for column in range(state.size):
        step = np.zeros(state.size)
        step[column] = small
        step = step.reshape(state.shape)
        matrix[:, column] = (rate(state + step) - rate(state - step)) / (2 * small)
    rates = np.linalg.eigvals(matrix)
    straight = np.abs(rates.imag) < -0.5 * rates.real
    damped = rates[straight & (np.abs(rates) > 0.5 * np.abs(rates).max())]
    assert len(damped)
    measured = float((-2 * damped.real / np.abs(damped) ** 2).min())
    linearised = linearise(problem, state, 0.0)
    stated = stable_step(build_stepper("euler", problem), linearised, 1e6)
    assert 0.7 * measured <= stated <= measured * 1.02


PERIODIC = (
    "equation=custom",
    "equation.rhs={u: '0.01*laplacian(u)+u-u**3+0.3*v', v: '0.02*laplacian(v)+u-2*v'}",
    "initial.u='0.3+0.5*sin(2*pi*x)'",
    "initial.v='0.2*cos(2*pi*x)'",
    "grid=[24]",
)
WALLED = line(
    "0.01*laplacian(u) + u - u**3",
    "0.3+0.5*sin(pi*x)",
    "grid=[24]",
    "boundary={default: {dirichlet: 0.3}}",
)
SMALL = line("0.01*laplacian(u) + cos(3*t)*u", "1e-6*(1+0.5*sin(2*pi*x))", "grid=[24]")


@pytest.mark.parametrize("words", [PERIODIC, WALLED, SMALL], ids=["periodic", "walls", "small"])
@pytest.mark.parametrize("stepper", ["bogacki_shampine", "dormand_prince"])
def test_the_error_follows_the_tolerance(evolve, words, stepper):
    """Relative to each field's range, whatever its size: no more than ten times the tolerance."""
    words = (*words, "time.end=3", "output.frames=1")
    exact = evolve(*words, "stepper=dormand_prince", "time.tolerance=1e-12").states[-1]
    errors, tolerances = [], (1e-3, 1e-5, 1e-7, 1e-9)
    for tolerance in tolerances:
        found = evolve(*words, f"stepper={stepper}", f"time.tolerance={tolerance}").states[-1]
        pairs = zip(found, exact, strict=True)
        errors.append(max(np.abs(a - b).max() / np.ptp(b) for a, b in pairs))
    ratios = np.array(errors) / tolerances
    assert ratios.max() < 10
    # proportional once steps are short enough for the order of the method to show; errors are known
    # to 8 bits, and steps are longer than the tolerance allows before that
    assert ratios[1:].max() < 20 * ratios[1:].min()


@pytest.mark.parametrize(
    "words",
    [
        PERIODIC,
        ("equation=gray_scott", "grid=[128]", "time.end=500"),
        ("equation=wave", "equation.c='1 + 0.5*x'", "grid=[64]"),
    ],
)
def test_the_run_knows_its_error(placement, words):
    """The estimate is neither far below the error nor useless."""
    from pdesim.engine.simulation import Simulation

    words = (*words, "device.precision=float64", "output.frames=4")
    simulation = Simulation(make_plan(*words), placement)
    last = list(simulation.frames())[-1].state
    exact = Simulation(
        make_plan(*words, "stepper=dormand_prince", "time.tolerance=1e-11"), placement
    )
    right = list(exact.frames())[-1].state
    pairs = zip(last, right, strict=True)
    true = max(np.sqrt(((a - b) ** 2).mean()) / np.ptp(b) for a, b in pairs)
    estimate = max(simulation.relative_time_error().values())
    assert true / 5 <= estimate <= 1000 * true
    assert true < 0.01


def test_steps_land_on_events():
    words = line("where(t<0.3, 1, 0) + u*heaviside(t - 0.7)", "0*x", "grid=8", "time.end=1",
                 "output.frames=2", "time.events=[0.11]", "time.dt=0.05")  # fmt: skip
    plan = make_plan(*words)
    np.testing.assert_allclose(plan.events, [0.11, 0.3, 0.7], rtol=1e-12)
    np.testing.assert_allclose(plan.targets, [0, 0.11, 0.3, 0.5, 0.7, 1], rtol=1e-12)
    with pytest.raises(ConfigError, match=r"time\.events contains 3"):
        make_plan(*words, "time.events=[3]")


def test_switches_and_onsets_are_found():
    words = line("exp(-((t-2)/0.05)**2) + where(t<3.5, x, 0)", "0*x", "grid=8", "time.end=5")
    plan = make_plan(*words, "output.frames=1")
    events = find_events(plan.problem, np.array([0.0, 5.0]))
    assert np.isclose(events, 3.5, rtol=1e-15).any()
    # the pulse begins to be seen six widths before its top
    assert ((events > 1.6) & (events < 1.95)).any()
    assert len(find_events(make_plan("equation=heat", "grid=8").problem, np.arange(3.0))) == 0


def test_control_points_do_not_depend_on_frames():
    few, many = np.linspace(0, 1, 2), np.linspace(0, 1, 201)
    assert len(merge(few, control_points(few, early=False))) >= 32
    assert len(control_points(many, early=False)) == 0
    assert control_points(few, early=True).min() < 1 / 1000


def test_the_monitor_integrates_and_damps():
    monitor = Monitor.start(1, 1, 0.0)
    everyone, steps = np.ones(1, bool), np.array([0])
    rate, none, strong = np.array([[2.0]]), np.zeros((1, 1)), np.full((1, 1), 1e3)
    monitor.record(everyone, rate, none, none, 0.0, steps)
    monitor.record(everyone, rate, none, none, 3.0, steps + 10)
    assert monitor.total(5.0)[0, 0] == pytest.approx(10.0)
    saved = monitor.to_array(0)
    other = Monitor.start(1, 1, 0.0)
    other.restore(0, saved, 3.0, 10, 2)
    assert other.total(5.0) == monitor.total(5.0)
    monitor = Monitor.start(1, 1, 0.0)
    monitor.record(everyone, rate, none, strong, 0.0, steps)
    # 5 % of an error is taken to last, the rest is in equilibrium with its damping
    assert monitor.total(5.0)[0, 0] == pytest.approx(0.05 * 10 + 0.95 * 2e-3)


def test_what_rounding_explains_is_reported_and_shortens_no_step():
    monitor = Monitor.start(1, 1, 0.0)
    monitor.observe(np.ones((1, 1)), np.ones((1, 1)))
    everyone, steps, none = np.ones(1, bool), np.array([0]), np.zeros((1, 1))
    rate = np.array([[2.0]])
    monitor.record(everyone, rate, 1.5 * rate, none, 0.0, steps)
    assert monitor.wanted_factor(2, 0.5, 0.0, 1.0) > 1
    assert monitor.total(1.0)[0, 0] == pytest.approx(2.0)
    monitor.record(everyone, rate, 0.5 * rate, none, 0.0, steps)
    assert monitor.wanted_factor(2, 0.5, 0.0, 1.0) < 1


def test_coefficients_that_are_nowhere_finite_are_refused():
    with pytest.raises(StepperError, match="is infinite or undefined"):
        make_plan(*line("u**(1/3) + laplacian(u)", "0*x", "grid=8", "time.end=1"))


def test_a_fixed_step_that_becomes_unstable_ends_the_run(placement):
    """The limit shrinks as u grows; a result of 1e200 must not pass for one."""
    from pdesim.engine.simulation import Simulation
    from pdesim.errors import DivergedError

    words = line("0.01*laplacian(u**2)+u", "1+0.1*sin(2*pi*x)", "grid=32", "time.end=20",
                 "output.frames=40", "stepper=euler", "device.precision=float64")  # fmt: skip
    dt = 0.9 * make_plan(*words).step.limit
    simulation = Simulation(make_plan(*words, f"time.dt={dt}"), placement)
    with pytest.raises(DivergedError):
        list(simulation.frames())


def test_a_step_that_vanishes_ends_the_run():
    plan = make_plan("equation=heat", "grid=8", "time.end=2")
    assert vanishing_error(plan, 1e-9, 1.0) is None
    assert "became too small" in str(vanishing_error(plan, 1e-12, 1.0))


@pytest.mark.parametrize("stepper", ["euler", "rk4", "rkl2"])
def test_slow_reactions_leave_the_limit_as_it_is(stepper):
    """Where a new analysis is left out, a step of the start is stable for the later state, too."""
    plan = make_plan("equation=gray_scott", "grid=32", "domain.extent=0.15", f"stepper={stepper}")
    u, v = np.random.default_rng(0).uniform([[0.0], [0.0]], [[1.0], [0.4]], (2, 32 * 32))
    later = np.stack([u, v]).reshape(plan.state.shape)
    dt = min(plan.step.dt, 1.0)
    assert sample_spacing(plan.grid) == 1
    assert reactions_are_slow(plan.problem, plan.state, dt)
    assert reactions_are_slow(plan.problem, later, dt)
    assert not reactions_are_slow(plan.problem, later, 3.0)
    assert stable_step(plan.stepper, linearise(plan.problem, later, 0.0), 1e6) > dt


@pytest.mark.parametrize(
    "words",
    [
        ("equation=gray_scott", "grid=32", "domain.extent=2"),  # reactions as fast as diffusion
        line("0.01*laplacian(u**2)", "1 + x", "grid=64"),
        line("(1 + t)*laplacian(u) - u**2", "1 + x", "grid=64"),
        line("laplacian(u) - where(abs(x - 0.5) < 0.01, 1e6, 0)*u**2", "1 + x", "grid=64"),
    ],
)
def test_limits_that_may_change_are_analysed_again(words):
    plan = make_plan(*words)
    assert not reactions_are_slow(plan.problem, plan.state, 1e-9)
