"""Orders measured, limits known by hand, phi functions against mpmath."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
from conftest import make_plan

from pdesim.errors import StepperError
from pdesim.steppers import METHODS
from pdesim.steppers.exponential import phi_of_matrices, phi_of_numbers
from pdesim.steppers.stability import linearise, stable_step

GRAY_SCOTT = (
    "equation=gray_scott",
    "grid=32",
    "domain.extent=0.5",
    "initial={u: '1 - 0.5*exp(-(r/0.1)**2)', v: '0.25*exp(-(r/0.1)**2)'}",
    "output.frames=1",
)
OSCILLATOR = ("equation=wave", "grid=[16]", "initial={u: 'sin(2*pi*x)', w: 'cos(2*pi*x)'}")


def measured_order(evolve, problem, steps, reference):
    errors = [np.abs(evolve(*problem(n)).states[-1] - reference).max() for n in steps]
    return np.polyfit(np.log(steps), -np.log(errors), 1)[0]


@pytest.mark.parametrize(
    "stepper,operators",
    [
        ("euler", "stencil"),
        ("heun", "stencil"),
        ("rk4", "stencil"),
        ("etdrk2", "spectral"),
        ("etdrk2", "stencil"),
    ],
)
def test_measured_orders_on_gray_scott(evolve, stepper, operators):
    end, common = 24.0, (*GRAY_SCOTT, f"operators={operators}", "time.end=24")
    reference = evolve(*common, "stepper=rk4", f"time.dt={end / 1600}").states[-1]

    def problem(n):
        return (*common, f"stepper={stepper}", f"time.dt={end / n}")

    steps = [16, 24, 32] if stepper == "rk4" else [48, 72, 108]
    order = measured_order(evolve, problem, steps, reference)
    assert order == pytest.approx(METHODS[stepper].order, abs=0.2)


def test_measured_order_of_verlet(evolve):
    common = (*OSCILLATOR, "equation.damping=0.5", "time.end=1", "output.frames=1")
    reference = evolve(*common, "stepper=rk4", "time.dt=1e-3").states[-1]

    def problem(n):
        return (*common, "stepper=verlet", f"time.dt={1 / n}")

    assert measured_order(evolve, problem, [40, 60, 90], reference) == pytest.approx(2, abs=0.1)


def exact_phi(z, highest=3):
    """``phi_0, ..., phi_highest`` of a float64 number in 60 digits."""
    with mpmath.workdps(60):
        z = mpmath.mpmathify(z.item())
        values = [mpmath.exp(z)]
        for k in range(highest):
            term = (values[-1] - 1 / mpmath.factorial(k)) / z if z else 1 / mpmath.factorial(k + 1)
            values.append(term)
        return values


@pytest.mark.parametrize("direction", [-1, 1j, np.exp(0.75j * np.pi), np.exp(-0.55j * np.pi)])
def test_phi_functions_of_numbers_keep_their_digits_over_twenty_decades(direction):
    """All in one array: what one number needs must not cost the digits of another."""
    z = np.concatenate([[0.0], np.logspace(-12, 8, 81)]) * direction
    found = phi_of_numbers(z, 3)
    for index, number in enumerate(z):
        for k, exact in enumerate(exact_phi(number)):
            error = abs(mpmath.mpmathify(found[k][index].item()) - exact)
            # the recurrence cancels a digit at most; below 1e-300 exp(z) underflows
            assert error <= 4e-15 * abs(exact) + 1e-300, (number, k)


@pytest.mark.parametrize("operators", ["stencil", "spectral"])
def test_exact_keeps_its_digits_on_fine_grids(evolve, operators):
    """The slowest waves beside ones that decay 10^6 (heat) and 10^12 times as fast."""
    x = "cos(2*pi*x) + 0.5*sin(6*pi*x)"
    for formula, power in (("laplacian(u)", 1), ("-laplacian(laplacian(u))", 2)):
        run = evolve("equation=custom", f"equation.rhs={{u: '{formula}'}}", "grid=[2048]",
                     f"initial.u='{x}'", "stepper=exact", f"operators={operators}",
                     f"time.end={(2 * np.pi) ** (-2 * power)}", "output.frames=1")  # fmt: skip
        h, x0 = 1 / 2048, run.coordinates["x"]
        expected = 0.0
        for k, wave in (
            (2 * np.pi, np.cos(2 * np.pi * x0)),
            (6 * np.pi, 0.5 * np.sin(6 * np.pi * x0)),
        ):
            square = (2 / h * np.sin(k * h / 2)) ** 2 if operators == "stencil" else k**2
            expected = expected + np.exp(-(square**power) * run.times[-1]) * wave
        # a transform of 2048 numbers rounds to a few 1e-16
        np.testing.assert_allclose(run.field("u")[-1], expected, rtol=0, atol=4e-15)


MATRICES = {
    "a Jordan block": ([[-3.0, 1.0], [0.0, -3.0]], 1e-14),
    "nearly a Jordan block": ([[-2.0, 1.0], [1e-14, -2.0]], 1e-14),
    "nilpotent": ([[0.0, 1.0], [0.0, 0.0]], 1e-14),
    "widely spread": ([[-1e6, 1.0], [1.0, -1e-3]], 1e-14),
    "triangular, widely spread": ([[-1e6, 1e3], [0.0, -1e-6]], 1e-14),
    # rotations by 1000: their rounded angle alone is uncertain by 1e-13
    "a wave": ([[0.0, 1.0], [-1e6, 0.0]], 1e-12),
    "a damped wave": ([[0.0, 1e-3], [-1e6, -0.1]], 1e-12),
    "complex": ([[-1 + 5j, 2.0], [0.1j, -1e4 + 3j]], 1e-14),
    "three fields": ([[-1e6, 0.1, 0.2], [-0.3, -1.0, 0.1], [0.2, 0.1, -1e-6]], 1e-14),
}


def test_phi_functions_of_matrices_against_mpmath():
    """``exp([[A, I, 0], [0, 0, I], [0, 0, 0]])`` holds ``phi_1(A), phi_2(A)`` in its first row."""
    for name, (rows, tolerance) in MATRICES.items():
        z = np.array(rows)
        n = len(z)
        big = mpmath.zeros(4 * n)
        for i, j in np.ndindex(n, n):
            big[i, j] = mpmath.mpmathify(z[i, j].item())
        for i in range(3 * n):
            big[i, i + n] = 1
        with mpmath.workdps(80):
            exact = np.array(mpmath.expm(big).tolist(), dtype=complex)
        # beside a matrix that needs 30 more doublings
        found = phi_of_matrices(np.stack([z, -1e8 * np.eye(n) + 0 * z], axis=-1), 3)
        for k in range(4):
            wanted = exact[:n, k * n : (k + 1) * n]
            error = np.abs(found[k][..., 0] - wanted).max() / np.abs(wanted).max()
            assert error < tolerance, (name, k, error)


def test_phi_functions_of_matrices_and_of_numbers_agree():
    z = -np.logspace(-9, 7, 200).reshape(1, 1, 10, 20)
    for matrices, numbers in zip(phi_of_matrices(z, 3), phi_of_numbers(z, 3), strict=True):
        # exp(-1e3) underflows in one, not in the other
        np.testing.assert_allclose(matrices, numbers, rtol=1e-13, atol=1e-15)


def limit_of(*overrides):
    plan = make_plan("time.unsafe=true", "time.dt=1e-9", *overrides)
    waves = linearise(plan.problem, plan.state, 0.0)
    return stable_step(plan.stepper, waves, 1e6), plan


@pytest.mark.parametrize("grid,extent", [("[40]", "[2.0]"), ("[40,20]", "[2.0,3.0]")])
def test_limits_known_by_hand(grid, extent):
    h = np.array(eval(extent)) / np.array(eval(grid))
    times = ("time.end=1e-9", "output.frames=1")
    shape = (f"grid={grid}", f"domain.extent={extent}", *times)
    heat = ("equation=heat", "equation.D=0.3", "initial=noise", *shape)
    stiffest = 4 * 0.3 * np.sum(1 / h**2)
    # real-axis intervals: Euler 2, Heun 2, classical RK4 2.7853
    for stepper, interval in (("euler", 2.0), ("heun", 2.0), ("rk4", 2.785293563)):
        limit, _ = limit_of(*heat, f"stepper={stepper}")
        assert limit == pytest.approx(interval / stiffest, rel=1e-6)
    wave = ("equation=wave", "equation.c=1.5", *shape)
    fastest = 1.5 * np.sqrt(4 * np.sum(1 / h**2))
    # imaginary-axis intervals: RK4 2 sqrt(2); leapfrog 2
    limit, _ = limit_of(*wave, "stepper=rk4")
    assert limit == pytest.approx(2 * np.sqrt(2) / fastest, rel=1e-3)
    limit, _ = limit_of(*wave, "stepper=verlet")
    assert limit == pytest.approx(2 / fastest, rel=1e-4)
    assert limit_of(*wave, "stepper=euler")[0] == 0.0


def test_exponential_steppers_have_no_limit_on_linear_equations():
    limit, _ = limit_of("equation=heat", "grid=32", "operators=spectral", "stepper=etdrk2",
                        "time.end=1e-9", "output.frames=1")  # fmt: skip
    assert limit == np.inf


def test_the_limit_is_where_heat_blows_up(evolve):
    limit, _ = limit_of("equation=heat", "grid=[32]", "initial=noise", "time.end=1e-9",
                        "output.frames=1", "stepper=euler")  # fmt: skip
    growth = {}
    for factor in (0.99, 1.05):
        run = evolve(
            "equation=heat", "grid=[32]", "initial=noise", "stepper=euler", "time.unsafe=true",
            f"time.dt={factor * limit}", f"time.end={400 * factor * limit}", "output.frames=1",
        )  # fmt: skip
        growth[factor] = np.abs(run.states[-1]).max() / np.abs(run.states[0]).max()
    assert growth[0.99] < 1 < 1e3 < growth[1.05]


def test_a_step_above_the_limit_is_refused_with_the_limit():
    with pytest.raises(StepperError, match=r"stability limit 0\.000244"):
        make_plan("equation=heat", "equation.D=1", "grid=32", "time.dt=0.01", "stepper=euler")
    make_plan("equation=heat", "equation.D=1", "grid=32", "time.dt=0.01", "time.unsafe=true")


def test_steppers_that_cannot_serve_are_refused_with_those_that_can():
    with pytest.raises(StepperError, match="euler"):
        make_plan("equation=heat", "stepper=verlet")
    with pytest.raises(StepperError, match="rk4"):
        make_plan("equation=wave", "stepper=euler")
    with pytest.raises(StepperError, match="Robin"):
        make_plan(
            "equation=heat",
            "stepper=etdrk2",
            "boundary.x={lower: {robin: {a: 1, b: 1}}}",
            "boundary.default=neumann",
        )


def test_a_tolerance_wants_a_stepper_that_keeps_it():
    with pytest.raises(StepperError, match="stepper=bogacki_shampine or stepper=dormand_prince"):
        make_plan("equation=heat", "stepper=rk4", "time.tolerance=1e-6")
    plan = make_plan("equation=heat", "stepper=auto", "time.tolerance=1e-6")
    assert plan.stepper.method.name == "dormand_prince" and plan.step.tolerance == 1e-6


def test_coupled_linear_parts_use_matrix_functions(evolve):
    """The wave by etdrk2 is exact: its linear part couples u and w."""
    run = evolve(*OSCILLATOR, "operators=spectral", "stepper=etdrk2", "time.end=3", "time.dt=0.5",
                 "output.frames=6")  # fmt: skip
    omega, x = 2 * np.pi, run.coordinates["x"]
    for t, u in zip(run.times, run.field("u"), strict=True):
        expected = np.cos(omega * t) * np.sin(omega * x) + np.sin(omega * t) / omega * np.cos(
            omega * x
        )
        np.testing.assert_allclose(u, expected, atol=1e-12)


def test_frames_are_hit_exactly_and_blocks_do_not_change_bits(placement):
    from pdesim.simulation import Simulation

    plan = make_plan(*GRAY_SCOTT, "time.end=100", "time.dt=0.7")
    plan_times = plan.times
    finals = []
    for first_block in (1, 7, 1000):
        simulation = Simulation(plan, placement)
        simulation.steps_a_block = first_block
        frames = list(simulation.frames())
        assert [f.time for f in frames] == plan_times.tolist()
        assert simulation.steps == plan.total_steps == 143
        finals.append(frames[-1].state)
    assert all(np.array_equal(finals[0], other) for other in finals[1:])


def test_nothing_retraces_between_blocks_and_frames(placement):
    from pdesim.simulation import Simulation

    simulation = Simulation(make_plan(*GRAY_SCOTT, "time.end=50", "output.every=7"), placement)
    before = _traces(simulation)
    list(simulation.frames())
    assert before <= _traces(simulation) == 1


def _traces(simulation) -> int:
    blocks = simulation.blocks
    # called for measurements, too: with other steps, states and scales
    programs = blocks.advance, blocks.begin, blocks.follow
    return max(program.experimental_get_tracing_count() for program in programs)


def test_new_parameters_steps_and_seeds_make_no_new_program(placement):
    """And give what a program of their own gives."""
    from pdesim import programs
    from pdesim.simulation import Simulation

    words = (*GRAY_SCOTT, "stepper=euler", "time.end=20", "initial.u='0.5 + random_normal(0.1)'")
    changes = [(), ("equation.F=0.03",), ("time.dt=0.5",), ("seed=7",), ("time.end=31",)]
    finals, blocks = [], set()
    for change in changes:
        simulation = Simulation(make_plan(*words, *change), placement)
        finals.append(list(simulation.frames())[-1].state)
        blocks.add(id(simulation.blocks))
        assert _traces(simulation) == 1
    assert len(blocks) == 1 and len({final.tobytes() for final in finals}) == len(changes)
    for change, final in zip(changes[1:3], finals[1:3], strict=True):
        programs._programs.clear()
        own = list(Simulation(make_plan(*words, *change), placement).frames())[-1].state
        np.testing.assert_array_equal(own, final)


@pytest.mark.parametrize(
    ("more", "changed"),
    [
        (("operators.order=4",), True), (("boundary=neumann",), True), (("grid=[20,16]",), True),
        (("device.precision=float64",), True), (("stepper=heun",), True),
        (("domain.mask='where(r < 0.2, 1, 0)'",), True), (("equation.F='0.03 + 0.001*x'",), True),
        (("equation.k=0.05",), False), (("output.frames=3",), False),
    ],
)  # fmt: skip
def test_what_is_traced_into_a_program_tells_programs_apart(placement, more, changed):
    from pdesim.simulation import Simulation

    first, second = (Simulation(make_plan(*GRAY_SCOTT, *m), placement) for m in ((), more))
    assert (first.blocks is not second.blocks) == changed


@pytest.mark.parametrize("stepper", ["rk4", "etdrk4", "dormand_prince"])
def test_one_call_takes_a_whole_frame(placement, monkeypatch, stepper):
    from pdesim import simulation as module

    monkeypatch.setattr(module, "BLOCK_SECONDS", 1e3)  # however busy the machine is
    words = () if stepper == "dormand_prince" else ("time.dt=1",)
    plan = make_plan(*GRAY_SCOTT, f"stepper={stepper}", "time.end=60", "output.frames=6", *words)
    simulation = module.Simulation(plan, placement)
    simulation.prepare()
    calls = []
    list(simulation.frames(calls.append))
    assert len(calls) == 6


def test_a_first_state_on_the_device_is_held_there_alone(placement):
    from pdesim.simulation import Simulation

    plan = make_plan(*GRAY_SCOTT, "time.end=2", "output.frames=1")
    first = plan.state.copy()
    assert plan.state_bytes == first.nbytes
    simulation = Simulation(plan, placement)
    simulation.prepare()
    with pytest.raises(RuntimeError, match="let go"):
        _ = plan.state
    frames = [frame.state.copy() for frame in simulation.frames()]
    assert np.array_equal(frames[0], first) and len(frames) == 2


def test_xla_and_plain_graphs_agree(evolve):
    states = [
        evolve(*GRAY_SCOTT, "time.end=50", f"device.jit={jit}").states for jit in ("true", "false")
    ]
    np.testing.assert_allclose(*states, atol=1e-13)


def test_rkl_is_stable_to_its_limit_and_not_beyond(evolve):
    """dt |lambda| <= (s^2 + s - 2) / 2 on the real axis."""
    common = ("equation=heat", "grid=[32]", "initial=noise", "stepper=rkl2", "stepper.stages=7",
              "time.unsafe=true", "output.frames=1")  # fmt: skip
    limit, _ = limit_of(
        *common[:3], "stepper=rkl2", "stepper.stages=7", "time.end=1e-9", "output.frames=1"
    )
    stiffest = 4 * 1e-3 * 32**2
    claimed = (49 + 7 - 2) / 2 / stiffest
    assert claimed <= limit <= 1.05 * claimed
    size = {}
    for factor in (1.0, 1.1):
        run = evolve(*common, f"time.dt={factor * claimed}", f"time.end={200 * factor * claimed}")
        size[factor] = np.abs(run.states[-1]).max()
    assert size[1.0] < 0.5 < 1e3 < size[1.1]


@pytest.mark.parametrize("stepper", ["bogacki_shampine", "dormand_prince"])
def test_adaptive_steppers_keep_their_tolerance(evolve, placement, stepper):
    from pdesim.simulation import Simulation

    common = ("device.precision=float64", *GRAY_SCOTT, "time.end=60", "output.frames=3")
    reference = evolve(*common, "stepper=rk4", "time.dt=0.05").states[-1]
    errors = []
    for tolerance in (1e-3, 1e-6):
        plan = make_plan(*common, f"stepper={stepper}", f"time.tolerance={tolerance}")
        simulation = Simulation(plan, placement)
        frames = list(simulation.frames())
        assert [f.time for f in frames] == plan.times.tolist()
        errors.append(np.abs(frames[-1].state - reference).max())
        assert errors[-1] < 20 * tolerance
    assert errors[1] < errors[0] / 50


def test_a_first_step_that_is_too_long_is_rejected_and_counted(placement):
    from pdesim.simulation import Simulation

    own = ("stepper=dormand_prince", "time.end=60", "time.dt=60")
    plan = make_plan("device.precision=float64", *GRAY_SCOTT, *own)
    simulation = Simulation(plan, placement)
    final = list(simulation.frames())[-1]
    assert simulation.rejected > 0 and np.isfinite(final.state).all()


def test_exact_reaches_any_time_in_one_jump(evolve):
    run = evolve("equation=heat", "grid=[32,24]", "stepper=exact", "initial={u: 'cos(2*pi*x)'}",
                 "time.end=500", "output.frames=2")  # fmt: skip
    rate = 1e-3 * (2 * 32 * np.sin(np.pi / 32)) ** 2
    expected = np.exp(-rate * run.times).reshape(-1, 1, 1) * run.field("u")[0]
    np.testing.assert_allclose(run.field("u"), expected, atol=1e-12)


@pytest.mark.parametrize("operators", ["stencil", "spectral"])
def test_walls_with_values_reach_their_steady_profile(evolve, operators):
    """Heat between 1 and 3 ends in the straight line between them."""
    run = evolve(
        "equation=heat", "equation.D=1", "grid=[16]", f"operators={operators}", "initial=zero",
        "boundary.x={lower: {dirichlet: 1}, upper: {dirichlet: 3}}", "time.end=5",
        "stepper=etdrk2", "output.frames=1",
    )  # fmt: skip
    np.testing.assert_allclose(run.field("u")[-1], 1 + 2 * run.coordinates["x"], atol=1e-10)


@pytest.mark.parametrize("boundary", ["periodic", "neumann"])
@pytest.mark.parametrize("stepper", ["euler", "exact", "crank_nicolson"])
def test_mean_is_conserved_over_ten_thousand_steps(evolve, stepper, boundary):
    run = evolve("equation=heat", "grid=[32]", f"boundary={boundary}", f"stepper={stepper}",
                 "time.dt=0.01", "time.end=100", "output.frames=1")  # fmt: skip
    means = run.field("u").mean(1)
    assert abs(means[1] - means[0]) < 1e-13


@pytest.mark.parametrize("stepper,bound", [("verlet", 0.02), ("yoshida4", 0.005)])
def test_wave_energy_over_a_hundred_periods(evolve, stepper, bound):
    run = evolve("equation=wave", "grid=[32]", "initial={u: 'cos(2*pi*x)', w: 0}", "time.end=100",
                 f"stepper={stepper}", "output.frames=400")  # fmt: skip
    u, w = run.field("u"), run.field("w")
    energy = 0.5 * ((w**2).sum(1) + ((np.roll(u, 1, 1) - u) ** 2).sum(1) * 32**2)
    assert np.ptp(energy) < bound * energy[0]


def test_auto_says_what_and_why():
    told = {
        ("equation=wave",): "exact",
        ("equation=wave", "equation.c='1 + x'"): "verlet",
        ("equation=heat", "operators=spectral"): "exact",
        ("equation=gray_scott", "operators=spectral"): "etdrk4",
        ("equation=gray_scott", "grid=64"): "dormand_prince",
        ("equation=gray_scott", "grid=64", "time.dt=0.5"): "rk4",
        ("equation=gray_scott", "grid=400"): "rkl2",
        ("equation=heat", "equation.D='1 + x'", "grid=64"): "rkl2",
    }
    for overrides, name in told.items():
        plan = make_plan("grid=32", *overrides)
        assert plan.stepper.method.name == name and plan.why


def test_refusals_name_the_reason():
    for overrides, reason in (
        (("equation=heat", "stepper=verlet"), "positions and momenta"),
        (("equation=gray_scott", "stepper=exact"), "linear equation"),
        (("equation=gray_scott", "stepper=crank_nicolson"), "not linear"),
    ):
        with pytest.raises(StepperError, match=reason):
            make_plan(*overrides, "grid=32")
    from pdesim.errors import BoundaryError

    with pytest.raises(BoundaryError, match="Robin"):
        make_plan("equation=heat", "grid=32", "operators=spectral",
                  "boundary.default={robin: {a: 1, b: 1}}")  # fmt: skip


def test_an_automatic_step_follows_a_solution_that_becomes_stiffer(placement):
    """Cahn-Hilliard's explicit part grows with u^2 as the phases part."""
    from pdesim.simulation import Simulation

    plan = make_plan("equation=cahn_hilliard", "grid=[64]", "time.dt=auto", "time.end=150",
                     "initial={u: 'random_normal(0.001)'}", "output.frames=64")  # fmt: skip
    simulation = Simulation(plan, placement)
    final = list(simulation.frames())[-1]
    assert np.abs(final.state).max() < 1.5
    assert simulation.plan.step.dt < plan.step.dt


def sparse_operator(diffusivity, h):
    """``divergence(D*gradient(u))`` of order 2 between Dirichlet-0 walls, as a SciPy matrix."""
    from scipy import sparse

    shape, total = diffusivity.shape, 0
    for axis in range(2):
        n = shape[axis]
        slope = sparse.diags([np.ones(n), -np.ones(n)], [0, -1], shape=(n + 1, n)).tolil()
        slope[0, 0], slope[n, n - 1] = 2, -2  # the wall is half a cell away
        halves = sparse.diags([np.full(n, 0.5)] * 2, [0, -1], shape=(n + 1, n)).tolil()
        halves[0, 0] = halves[n, n - 1] = 1
        back = sparse.diags([-np.ones(n), np.ones(n)], [0, 1], shape=(n, n + 1))
        eye = sparse.eye(shape[1 - axis])
        halves, slope, back = (
            sparse.kron(m, eye) if axis == 0 else sparse.kron(eye, m) for m in (halves, slope, back)
        )
        total = total + back @ sparse.diags(halves @ diffusivity.ravel()) @ slope / h**2
    return total.tocsc()


JUMP = "where(r<0.2,1,0)"


@pytest.mark.parametrize(
    ("more", "advection"),
    [("", 0.0), (" - 30*d_dx(u)", 30.0), (" - 5*x*u", 0.0)],
)
def test_implicit_steps_across_a_jump_of_a_thousand_are_solved(evolve, more, advection):
    """The issue's case, one step of 0.1, beside SciPy's direct solver; advection takes BiCGStab."""
    from scipy import sparse
    from scipy.sparse.linalg import spsolve

    n = 32
    run = evolve("equation=custom", f"grid={n}", "boundary=dirichlet", "initial=zero",
                 f"equation.rhs={{u: 'divergence((1+1000*{JUMP})*gradient(u)) + x*y{more}'}}",
                 "operators.face_mean=arithmetic", "stepper=implicit_euler", "time.dt=0.1",
                 "time.end=0.1", "output.frames=1")  # fmt: skip
    x = run.plan.grid.centres(0)
    X, Y = np.meshgrid(x, x)
    matrix = sparse_operator(1 + 1000 * (np.hypot(X - 0.5, Y - 0.5) < 0.2), 1 / n)
    if advection:
        wall = np.zeros(n)
        wall[0], wall[-1] = 1, -1  # the ghost cell is -u
        slope = sparse.diags([-np.ones(n - 1), wall, np.ones(n - 1)], [-1, 0, 1]) * (n / 2)
        matrix = matrix - advection * sparse.kron(sparse.eye(n), slope)
    elif more:
        matrix = matrix + sparse.diags(-5 * X.ravel())
    system = (sparse.eye(n * n) - 0.1 * matrix).tocsc()
    expected = spsolve(system, 0.1 * (X * Y).ravel())
    found = run.field("u")[-1].ravel()
    # a residual of 1e-13 (accepted: 1e-10), times the condition number of the smooth part
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9 * np.abs(expected).max())


def test_a_solve_that_does_not_converge_ends_the_run(placement, monkeypatch):
    from pdesim import programs
    from pdesim.errors import SolverError
    from pdesim.operators import krylov
    from pdesim.simulation import Simulation

    monkeypatch.setattr(krylov, "most_iterations", lambda points: 5)
    monkeypatch.setattr(programs, "_programs", type(programs._programs)())
    words = ("equation=custom", f"equation.rhs={{u: 'divergence((1+k*{JUMP})*gradient(u)) + 1'}}",
             "grid=16", "boundary=dirichlet", "initial=zero", "stepper=implicit_euler",
             "time.dt=0.1", "time.end=0.4", "output.frames=2")  # fmt: skip
    plan = make_plan(*words, "+equation.k=1000")
    frames = []
    with pytest.raises(SolverError, match="did not converge") as caught:
        for frame in Simulation(plan, placement).frames():
            frames.append(frame)
    assert len(frames) == 1 and caught.value.exit_code == 3
    # short steps of an even coefficient need a handful
    easy = make_plan(*words, "+equation.k=0", "time.dt=1e-9", "time.end=4e-9")
    assert len(list(Simulation(easy, placement).frames())) == 3


def test_small_fields_are_solved_for_in_float32(evolve):
    """Squares of 1e-25 vanish in float32; the solution scales with the initial state."""
    finals = []
    for size in (1.0, 1e-25):
        run = evolve("device.precision=float32", "equation=custom", "grid=[32]",
                     "equation.rhs={u: 'divergence((1+50*x)*gradient(u))'}", "boundary=dirichlet",
                     f"initial.u='{size}*sin(pi*x)'", "stepper=crank_nicolson", "time.dt=0.001",
                     "time.end=0.01", "output.frames=1")  # fmt: skip
        finals.append(run.field("u")[-1] / size)
    # float32, and a residual of 1e-6
    np.testing.assert_allclose(finals[1], finals[0], atol=2e-5)


def test_members_that_fail_leave_the_others_alone(placement, monkeypatch):
    """One member's coefficients grow beyond what so few iterations solve."""
    from pdesim import programs
    from pdesim.errors import SolverError
    from pdesim.operators import krylov
    from pdesim.simulation import Simulation

    monkeypatch.setattr(programs, "_programs", type(programs._programs)())
    monkeypatch.setattr(krylov, "most_iterations", lambda points: 16)
    words = ("device.precision=float64", "equation=custom", "grid=16", "boundary=dirichlet",
             f"equation.rhs={{u: 'divergence((1+k*{JUMP})*gradient(u)) + 1'}}", "initial=zero",
             "operators.face_mean=arithmetic",
             "stepper=implicit_euler", "time.dt=1e-4", "time.end=4e-4",
             "output.frames=2")  # fmt: skip
    plans = [make_plan(*words, f"+equation.k={k}") for k in (0.0, 1e6)]
    simulation = Simulation(plans, placement)
    final = list(simulation.frames())[-1].state[0]
    assert list(simulation.failures) == [1]
    assert isinstance(simulation.failures[1], SolverError)
    alone = list(Simulation(plans[0], placement).frames())[-1].state
    # both to a residual of 1e-13
    np.testing.assert_allclose(final, alone, atol=1e-12 * np.abs(alone).max())


@pytest.mark.parametrize(
    ("formula", "boundary", "most"),
    [
        # in float32, which stops earlier, the diagonal alone takes 331, 215 and 207 iterations of
        # the first, second and fourth on 32 x 32 cells, and twice as many on 64 x 64
        (f"divergence((1+1000*{JUMP})*gradient(u)) + x*y", "periodic", 75),
        ("divergence(exp(1.15*sin(2*pi*x)*cos(2*pi*y))*gradient(u)) + x*y", "neumann", 60),
        ("laplacian(u) - 1e3*(1+sin(2*pi*x))*u + x*y", "dirichlet", 60),
        ("(1+t)*laplacian(u) + x*y", "neumann", 5),
        ("-laplacian(laplacian(u)*(1+x)) + x*y", "dirichlet", 60),
    ],
)
def test_iterations_hardly_depend_on_the_grid(placement, monkeypatch, formula, boundary, most):
    """One step far beyond the explicit limit, in float64, within so many iterations."""
    from functools import partial

    import tensorflow as tf

    from pdesim.operators import krylov
    from pdesim.operators.lines import MethodOfLines

    monkeypatch.setattr(krylov, "most_iterations", lambda points: most)
    for points in (16, 32):
        plan = make_plan("equation=custom", f"equation.rhs={{u: '{formula}'}}", f"grid={points}",
                         f"boundary={boundary}", "stepper=implicit_euler", "time.dt=1",
                         "time.end=1", "output.frames=1", "initial=zero")  # fmt: skip
        solve = MethodOfLines(plan.problem, tf.float64, False).solve_shifted
        rhs = MethodOfLines(plan.problem, tf.float64, False).rhs
        one, zero = tf.constant(1.0, tf.float64), tf.zeros((1, *plan.grid.shape), tf.float64)
        known = zero + 1 + plan.grid.coordinates()["x"]
        u = tf.function(partial(solve, known, one, one, zero), autograph=False)()
        assert np.isfinite(u).all(), "it did not converge"
        # what is accepted is a residual of 1e-10 of the right-hand side
        np.testing.assert_allclose(u - (rhs(u, one) - rhs(zero, one)), known, atol=1e-8)


def test_preconditioners_follow_from_the_equation():
    from pdesim.operators.preconditioner import choose

    def chosen(formula, *more):
        words = ("equation=custom", f"equation.rhs={{u: '{formula}'}}", "grid=16", *more)
        choice = choose(make_plan(*words).problem)
        return choice.averaged is not None, choice.diagonal

    assert chosen("divergence((1+x)*gradient(u))", "boundary=neumann") == (True, True)
    assert chosen(f"divergence((1+{JUMP})*gradient(u))", "boundary=neumann") == (True, False)
    assert chosen(f"laplacian(u) - {JUMP}*u") == (True, True)
    assert chosen("(1+t)*laplacian(u)") == (True, False)
    robin = "boundary.default={robin: {a: 1, b: 1, value: 0}}"
    assert chosen("divergence((1+x)*gradient(u))", robin) == (False, True)
    assert chosen("laplacian(u)", robin) == (False, False)
    assert chosen("-x*u") == (False, True)
