"""Noise: exact solutions, strong orders, spectra, and paths that depend on the seed alone."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import tensorflow as tf
from conftest import make_plan

from pdesim.errors import BoundaryError, ConfigError, FormulaError, StepperError
from pdesim.operators.random_numbers import Key, derived, normals, threefry

#: cells of volume 1, so that the noise of each is a standard Wiener process
CELLS = 4096
ODE = ("equation=custom", "initial={u: 1}", f"grid=[{CELLS}]", f"domain.extent=[{CELLS}]",
       "output.frames=1", "time.end=1", "time.unsafe=true")  # fmt: skip


def word(value):
    return tf.constant(value, tf.uint32)


@pytest.mark.parametrize(
    ("key", "counter", "expected"),
    [
        ((0, 0), (0, 0), (0x6B200159, 0x99BA4EFE)),
        ((0xFFFFFFFF,) * 2, (0xFFFFFFFF,) * 2, (0x1CB996FC, 0xBB002BE7)),
        ((0x13198A2E, 0x03707344), (0x243F6A88, 0x85A308D3), (0xC4923A9C, 0x483DF7A0)),
    ],
)
def test_threefry_has_the_published_known_answers(key, counter, expected):
    result = threefry(Key(*map(word, key)), *map(word, counter))
    assert tuple(map(int, result)) == expected


def test_normal_numbers_have_the_moments_of_the_normal_distribution():
    key = derived(Key(word(7), word(0)), tf.constant(3, tf.int64))
    values = normals(key, (501, 1000), tf.float64).numpy()
    n = values.size
    # four standard errors of each moment
    assert abs(values.mean()) < 4 / np.sqrt(n)
    assert abs((values**2).mean() - 1) < 4 * np.sqrt(2 / n)
    assert abs((values**4).mean() - 3) < 4 * np.sqrt(96 / n)
    assert abs((values[:-1] * values[1:]).mean()) < 4 / np.sqrt(n)
    assert abs((values[:, :-1] * values[:, 1:]).mean()) < 4 / np.sqrt(n)
    again = normals(key, (501, 1000), tf.float32).numpy()
    # the argument s of the inverse error function is near 1 in the tails, where 1 - s**2 has few
    # digits in float32
    assert np.quantile(np.abs(again - values), 0.999) < 1e-5
    assert np.abs(again - values).max() < 1e-2


def strong_errors(evolve, stepper, rhs, noise, exact, *more):
    """The mean error at the end, for steps that are halved on one path.

    Args:
        exact: a function of the Wiener process at the end.
    """
    noise_step = "time.noise_step=0.125"
    path = evolve(*ODE, "equation.rhs={u: '0'}", "equation.noise={u: 1}", "initial={u: 0}",
                  "stepper=euler_maruyama", "time.dt=0.125", noise_step)  # fmt: skip
    expected = exact(path.field("u")[-1])
    errors = []
    for level in range(4):
        run = evolve(*ODE, f"equation.rhs={{u: '{rhs}'}}", f"equation.noise={{u: '{noise}'}}",
                     f"stepper={stepper}", f"time.dt={0.125 / 2**level}", noise_step,
                     *more)  # fmt: skip
        errors.append(np.abs(run.field("u")[-1] - expected).mean())
    return np.array(errors)


def measured_order(errors):
    return np.polyfit(np.arange(len(errors)), -np.log2(errors), 1)[0]


@pytest.mark.parametrize(
    ("stepper", "interpretation", "order"),
    [
        ("euler_maruyama", "ito", 0.5),
        ("milstein", "ito", 1.0),
        ("stochastic_heun", "ito", 1.0),
        ("euler_maruyama", "stratonovich", 0.5),
        ("milstein", "stratonovich", 1.0),
        ("stochastic_heun", "stratonovich", 1.0),
        ("exponential_euler_maruyama", "ito", 0.5),
    ],
)
def test_strong_orders_for_geometric_brownian_motion_in_every_cell(
    evolve, stepper, interpretation, order
):
    a, b = -0.5, 0.6
    drift = a - b**2 / 2 if interpretation == "ito" else a
    errors = strong_errors(
        evolve, stepper, f"{a}*u", f"{b}*u", lambda w: np.exp(drift + b * w),
        f"equation.interpretation={interpretation}",
    )  # fmt: skip
    # 4096 paths determine a mean error to 2 %; the steps are not yet asymptotic
    assert measured_order(errors) == pytest.approx(order, abs=0.13)
    assert errors[-1] < 0.05


def test_noise_of_constant_amplitude_gives_strong_order_one(evolve):
    path = ("equation.rhs={u: 'u - u**3'}", "equation.noise={u: 0.5}", "time.noise_step=0.125")
    runs = [
        evolve(*ODE, *path, "stepper=euler_maruyama", f"time.dt={0.125 / 2**n}").field("u")[-1]
        for n in range(6)
    ]
    differences = [np.abs(a - b).mean() for a, b in pairwise(runs)]
    assert measured_order(differences) == pytest.approx(1.0, abs=0.1)


def test_increments_of_half_steps_add_up_to_those_of_steps(evolve):
    walk = ("equation.rhs={u: '0'}", "equation.noise={u: 1}", "initial={u: 0}",
            "stepper=euler_maruyama", "time.noise_step=0.25")  # fmt: skip
    ends = [evolve(*ODE, *walk, f"time.dt={0.25 / 2**n}").field("u")[-1] for n in (0, 1, 4)]
    assert np.abs(ends[0] - ends[1]).max() < 1e-13  # rounding
    assert np.abs(ends[0] - ends[2]).max() < 1e-13
    # without time.noise_step, steps of its length follow the same path
    plain = evolve(*ODE, *walk, "time.dt=0.25", "time.noise_step=null").field("u")[-1]
    assert np.array_equal(plain, ends[0])
    assert plain.var() == pytest.approx(1.0, abs=4 * np.sqrt(2 / CELLS))


def test_the_path_does_not_depend_on_the_frames(evolve):
    walk = ("equation.rhs={u: '-u'}", "equation.noise={u: 1}", "time.dt=0.015625")
    one = evolve(*ODE, *walk).field("u")[-1]
    many = evolve(*ODE, *walk, "output.frames=16").field("u")[-1]
    assert np.abs(one - many).max() < 1e-12  # times are rounded differently


WALK = ("equation=custom", "equation.rhs={u: '0.1*laplacian(u) + a*u - u**3'}", "+equation.a=1",
        "equation.noise={u: {amplitude: '0.1 + 0.2*u', length: 0.1}}", "grid=[16,12]",
        "initial={u: '0.1*random_normal(1)'}", "time.end=2", "time.dt=0.008",
        "output.frames=4")  # fmt: skip


@pytest.mark.parametrize("stepper", ["euler_maruyama", "milstein", "stochastic_heun",
                                     "exponential_euler_maruyama"])  # fmt: skip
def test_members_of_a_batch_have_the_paths_of_their_seeds(placement, stepper):
    from pdesim.engine.simulation import Simulation

    plans = [
        make_plan(*WALK, f"stepper={stepper}", f"seed={seed}", f"equation.a={a}")
        for seed, a in ((1, 1), (2**40 + 1, 1), (1, 0.5))
    ]
    batch = [frame.state for frame in Simulation(plans, placement).frames()][-1]
    for member, plan in zip(batch, plans, strict=True):
        again = make_plan(*WALK, f"stepper={stepper}", f"seed={plan.settings.seed}",
                          f"equation.a={plan.equation.parameters['a']}")  # fmt: skip
        single = [frame.state for frame in Simulation(again, placement).frames()][-1]
        # the two programs round differently (float32)
        assert np.abs(member - single).max() < 1e-5
    assert np.abs(batch[0] - batch[1]).max() > 0.1


def test_blocks_of_steps_do_not_change_the_path(placement):
    from pdesim.engine.simulation import Simulation

    last = []
    for longest in (1, 7, None):
        simulation = Simulation(make_plan(*WALK), placement)
        simulation.longest_block = longest
        last.append([frame.state for frame in simulation.frames()][-1])
    assert np.array_equal(last[0], last[1])
    assert np.array_equal(last[0], last[2])


@pytest.mark.parametrize("operators", ["stencil", "spectral"])
def test_stochastic_heat_equation_has_its_stationary_spectrum(evolve, operators):
    """The variance of each mode is ``sigma**2/(2 (1 + D k**2))``; a step has no error in time."""
    n, diffusivity, sigma = 64, 0.01, 0.3
    run = evolve(
        "equation=custom", "equation.rhs={u: 'D*laplacian(u) - u'}", f"+equation.D={diffusivity}",
        f"equation.noise={{u: {sigma}}}", "initial={u: 0}", f"grid=[{n},{n}]", "time.end=400",
        "domain.extent=[4,4]", "output.frames=100", "time.dt=1", f"operators={operators}",
        "stepper=exponential_euler_maruyama",
    )  # fmt: skip
    states = run.field("u")[5:]
    spectrum = (np.abs(np.fft.fft2(states)) ** 2).mean(axis=0) * (4.0 / n) ** 2 / n**2
    waves = 2 * np.pi * np.fft.fftfreq(n, 4.0 / n)
    if operators == "spectral":
        squares = waves**2
    else:
        squares = (2 / (4.0 / n) * np.sin(waves * (4.0 / n) / 2)) ** 2
    expected = sigma**2 / (2 * (1 + diffusivity * (squares[:, None] + squares)))
    ratio = spectrum / expected
    # the mean over all modes of all frames: 64*64*96 independent squares
    assert ratio.mean() == pytest.approx(1.0, abs=4 * np.sqrt(2 / (n * n * 96)))
    # and over shells of wave numbers, from the largest scales to the smallest
    shell = np.argsort((squares[:, None] + squares).ravel())
    for part in np.array_split(ratio.ravel()[shell], 8):
        assert part.mean() == pytest.approx(1.0, abs=5 * np.sqrt(2 / (n * n * 96 / 8)))


@pytest.mark.parametrize(
    ("boundary", "operators"),
    [("periodic", "stencil"), ("neumann", "stencil"), ("periodic", "spectral")],
)
def test_noise_of_a_flux_conserves_the_mean_and_balances_diffusion(evolve, boundary, operators):
    """Every mode but the mean has the variance T, times 1/(1 - dt*k**2/2) for Euler's steps."""
    temperature, n, dt = 0.2, 128, 0.02
    run = evolve(
        "equation=custom", "equation.rhs={u: 'laplacian(u)'}", f"boundary={boundary}",
        f"equation.noise={{u: {{flux: 'sqrt(2*{temperature})'}}}}", "initial={u: 1}",
        f"grid=[{n}]", f"domain.extent=[{n}]", "time.end=3000", "output.frames=300",
        f"time.dt={dt}", "stepper=euler_maruyama", f"operators={operators}",
    )  # fmt: skip
    states = run.field("u")
    assert np.abs(states.mean(axis=1) - 1).max() < 1e-11  # rounding of 150 000 steps
    late = states[100:] - 1
    periodic = 2 * np.pi * np.fft.fftfreq(n)[1:]
    waves = np.pi * np.arange(1, n) / n if boundary == "neumann" else periodic
    if operators == "spectral":
        waves = np.delete(waves, n // 2 - 1)  # the flux has no derivative at the highest wave
        rates = waves**2
    else:
        rates = 4 * np.sin(waves / 2) ** 2
    expected = temperature / n * (1 / (1 - dt * rates / 2)).sum()
    # frames 10 apart: the slowest modes are correlated
    assert late.var() == pytest.approx(expected, rel=4 * np.sqrt(2 / (late.size / 4)))
    if boundary == "neumann":
        return
    power = (np.abs(np.fft.fft(late)) ** 2).mean(axis=0)[1:] / n
    power = np.delete(power, n // 2 - 1) if operators == "spectral" else power
    ratio = power / (temperature / (1 - dt * rates / 2))
    # in the three faster quarters of the modes, frames are independent
    for part in np.array_split(ratio[np.argsort(rates)], 4)[1:]:
        assert part.mean() == pytest.approx(1, abs=5 * np.sqrt(2 / (part.size * len(late))))


def test_correlation_length_gives_its_covariance(evolve):
    n, extent, length = 128, 8.0, 0.3
    run = evolve(
        "equation=custom", "equation.rhs={u: '0'}", "initial={u: 0}", f"grid=[{n},{n}]",
        f"domain.extent=[{extent},{extent}]", "boundary={x: neumann, y: periodic}",
        f"equation.noise={{u: {{amplitude: 0.5, length: {length}}}}}", "time.end=50",
        "output.frames=50", "time.dt=1", "stepper=euler_maruyama",
    )  # fmt: skip
    steps = np.diff(run.field("u"), axis=0)
    distance = np.arange(0, 20) * extent / n
    along_x = [(steps[:, :, :100] * steps[:, :, i : 100 + i]).mean() for i in range(20)]
    along_y = [(steps * np.roll(steps, i, axis=1)).mean() for i in range(20)]
    variance = 0.25 / (2 * np.pi * length**2)
    expected = variance * np.exp(-(distance**2) / (2 * length**2))
    # about (8/0.3)**2/pi independent patches in 50 steps: four standard errors
    error = 4 * np.sqrt(2 / (50 * (extent / length) ** 2 / np.pi))
    assert np.abs(np.array(along_x) / variance - expected / variance).max() < error
    assert np.abs(np.array(along_y) / variance - expected / variance).max() < error


def test_interpretations_of_coloured_noise_differ_by_the_known_drift(evolve):
    """Stratonovich noise b*u of variance C raises the mean by exp(C*b**2/2*t)."""
    common = (
        "equation=custom", "equation.rhs={u: '0'}", "grid=[64,64]", "domain.extent=[16,16]",
        "equation.noise={u: {amplitude: '0.5*u', length: 0.5}}", "time.end=1", "output.frames=1",
        "time.dt=0.01", "initial={u: 1}",
    )  # fmt: skip
    variance = 1 / (2 * np.pi * 0.5**2)
    means = {}
    for interpretation in ("ito", "stratonovich"):
        for stepper in ("euler_maruyama", "stochastic_heun"):
            run = evolve(*common, f"equation.interpretation={interpretation}", f"stepper={stepper}")
            means[interpretation, stepper] = run.field("u")[-1].mean()
    growth = np.exp(variance * 0.25 / 2)
    for stepper in ("euler_maruyama", "stochastic_heun"):
        ratio = means["stratonovich", stepper] / means["ito", stepper]
        # on one path the two solutions have the exact ratio in every cell; order 1 in dt
        assert ratio == pytest.approx(growth, rel=0.01)
    assert means["ito", "euler_maruyama"] == pytest.approx(1.0, abs=0.2)


@pytest.mark.parametrize(
    ("overrides", "error", "says"),
    [
        (["equation.noise={w: 1}"], ConfigError, "noise.w does not name a field"),
        (["equation.noise={u: 'mean(u)'}"], FormulaError, "mean"),
        (["equation.noise={u: {amplitude: 1, flux: 1}}"], ConfigError, "amplitude and flux"),
        (["equation.noise={u: {amplitude: 1, length: 3}}"], ConfigError, "at most"),
        (["equation.noise={u: {size: 1}}"], ConfigError, "size is unknown"),
        (["equation.noise={u: 1}", "equation.interpretation=both"], ConfigError, "'both'"),
        (["equation.interpretation=ito"], ConfigError, "without equation.noise"),
        (["equation.noise={u: 1}", "stepper=rk4"], StepperError, "without noise"),
        (["stepper=milstein"], StepperError, "with noise"),
        (["time.noise_step=0.1"], StepperError, "no effect without noise"),
        (["equation.noise={u: 1}", "time.noise_step=0.1", "time.dt=0.03"], StepperError, "power"),
        (["equation.noise={u: 1}", "time.noise_step=0.3", "time.dt=0.3"], StepperError, "end at"),
        (["equation.noise={u: {flux: 1}}", "boundary=dirichlet"], BoundaryError, "dirichlet"),
        (["equation.noise={u: {flux: u}}", "stepper=milstein"], StepperError, "neighbouring"),
    ],
)
def test_wrong_noise_is_refused_before_the_run(overrides, error, says):
    with pytest.raises(error, match=says):
        make_plan(*ODE[:2], "grid=32", "equation.rhs={u: '0.01*laplacian(u)'}", "time.end=1",
                  "output.frames=1", "time.unsafe=true", *overrides)  # fmt: skip


def test_milstein_refuses_noise_that_mixes_fields():
    with pytest.raises(StepperError, match="the noise of u depends on v"):
        make_plan("equation=custom", "equation.rhs={u: '-u', v: '-v'}", "initial={u: 1, v: 1}",
                  "equation.noise={u: 'v', v: 1}", "grid=32", "stepper=milstein")  # fmt: skip


def test_kpz_interfaces_in_one_dimension_have_the_roughness_exponent_one_half(placement):
    """Stationary height differences grow as r**(1/2) (Kardar, Parisi, Zhang, PRL 56 (1986) 889)."""
    from pdesim.engine.simulation import Simulation

    plans = [
        make_plan("equation=kpz", "grid=[128]", "domain.extent=[128]", "time.end=1500",
                  "time.dt=0.05", "output.frames=30", f"seed={seed}")
        for seed in range(6)
    ]  # fmt: skip
    frames = list(Simulation(plans, placement, measures=False).frames())
    heights = np.stack([frame.state[:, 0] for frame in frames[10:]]).astype(float)
    distances = np.array([1, 2, 4, 8])
    growth = [np.sqrt(((heights - np.roll(heights, r, -1)) ** 2).mean()) for r in distances]
    exponent = np.polyfit(np.log(distances), np.log(growth), 1)[0]
    assert exponent == pytest.approx(0.5, abs=0.05)


def test_noise_in_a_cell_has_the_variance_of_its_volume(evolve):
    """In a disk, whose cells are rings of different areas."""
    run = evolve("equation=custom", "equation.rhs={u: '0'}", "equation.noise={u: 1}", "initial.u=0",
                 "domain.geometry=radial", "boundary=neumann", "grid=[64]", "domain.extent=[4]",
                 "time.end=1", "time.dt=0.002", "output.frames=500",
                 "stepper=euler_maruyama")  # fmt: skip
    squares = np.diff(run.field("u"), axis=0) ** 2 / 0.002
    rings = np.pi * np.diff(np.linspace(0, 4, 65) ** 2)
    weighted = squares.mean(axis=0) * rings
    assert np.abs(weighted - 1).max() < 5 * np.sqrt(2 / 500)  # five standard errors of one cell
    assert weighted.mean() == pytest.approx(1, abs=4 * np.sqrt(2 / (500 * 64)))


def test_noise_of_a_scalar_is_one_wiener_process(evolve):
    """An Ornstein-Uhlenbeck process has the variance 1/2."""
    run = evolve("equation=custom", "equation.rhs={u: 'T - u'}", "equation.scalars={T: '-T'}",
                 "equation.noise={T: 1}", "initial={u: 0, T: 0}", "grid=[8]", "time.end=2000",
                 "time.dt=0.02", "output.frames=2000", "stepper=milstein")  # fmt: skip
    values = run.field("T")[10:]
    assert np.ptp(values, axis=-1).max() < 1e-12
    # frames one correlation time apart; dt/2 is the error of Euler's method
    assert values.var() == pytest.approx(0.5, rel=0.01 + 4 * np.sqrt(2 / (2000 / 2)))
