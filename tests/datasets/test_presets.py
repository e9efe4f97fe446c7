"""Presets of published data sets, beside the schemes of their generators and exact solutions."""

from __future__ import annotations

import csv

import h5py
import numpy as np
import pytest
from conftest import make_plan
from rich.console import Console
from scipy.integrate import solve_ivp
from scipy.sparse import diags, identity, kron
from scipy.sparse.linalg import spsolve

from pdesim.config.compose import choices, compose_settings
from pdesim.config.files import about_choice
from pdesim.datasets.command import make_dataset
from pdesim.settings.drawn import with_drawn_numbers

PRESETS = [name for name in choices("experiment") if name not in ("none", "pearson")]
#: the values of each parameter in the published files
PUBLISHED = {
    "pdebench_advection": ("equation.beta", [0.1, 0.2, 0.4, 0.7, 1.0, 2.0, 4.0, 7.0]),
    "pdebench_burgers": (
        "equation.nu", [0.001, 0.002, 0.004, 0.01, 0.02, 0.04, 0.1, 0.2, 0.4, 1.0, 2.0, 4.0],
    ),
    "pdebench_darcy": ("equation.beta", [0.01, 0.1, 1.0, 10.0, 100.0]),
}  # fmt: skip


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_states_what_it_reproduces(name):
    about = about_choice("experiment", name)
    assert about == compose_settings([f"experiment={name}"]).values["experiment"]["about"]
    assert len(about) > 20


@pytest.mark.parametrize("name", PUBLISHED)
def test_parameters_are_those_of_the_published_files(name):
    key, values = PUBLISHED[name]
    swept = compose_settings([f"experiment={name}"]).settings.sweep.parameters
    assert dict(swept) == {key: values}


def test_the_well_has_six_classes_with_two_initial_states():
    settings = compose_settings(["experiment=well_gray_scott"]).settings
    swept = settings.sweep.parameters
    rows = set(zip(swept["initial"], swept["equation.F"], swept["equation.k"], strict=True))
    published = {(0.014, 0.054), (0.098, 0.057), (0.029, 0.057), (0.058, 0.065), (0.018, 0.051),
                 (0.03, 0.062)}  # fmt: skip
    starts = ("gray_scott_gaussians", "gray_scott_waves")
    assert rows == {(start, *pair) for start in starts for pair in published}
    assert settings.grid == 128 and settings.time.end == 10000 and settings.output.frames == 1000
    assert settings.equation["Du"] == 2e-5 and settings.equation["Dv"] == 1e-5


def laplacian(cells: int, width: float):
    """The 1-D Laplacian of PDEBench's generator without flux through the sides."""
    main = np.full(cells, -2.0)
    main[[0, -1]] = -1
    return diags([main, np.ones(cells - 1), np.ones(cells - 1)], [0, -1, 1]) / width**2


def test_diffusion_reaction_equals_the_scheme_of_its_generator(evolve):
    cells = 24
    run = evolve(
        "experiment=pdebench_diffusion_reaction", f"grid={cells}", "output.frames=4", "seed=3",
        "time.tolerance=1e-8", "stepper=dormand_prince",
    )  # fmt: skip
    assert run.states.shape[1:] == (2, cells, cells) and run.times[-1] == 5
    one = laplacian(cells, 2 / cells)
    both = kron(one, identity(cells)) + kron(identity(cells), one)

    def rates(t: float, state: np.ndarray) -> np.ndarray:
        u, v = state.reshape(2, -1)
        return np.concatenate([u - u**3 - 5e-3 - v + 1e-3 * (both @ u), u - v + 5e-3 * (both @ v)])

    found = solve_ivp(rates, (0, 5), run.states[0].ravel(), t_eval=run.times, rtol=1e-9, atol=1e-9)
    # both are as accurate in time as their tolerances, over some hundred steps
    np.testing.assert_allclose(run.states.reshape(5, -1), found.y.T, atol=1e-5)
    # independent normal numbers: 24**2 of them have a mean below 4/24 and a variance near 1
    assert abs(run.states[0].mean()) < 0.17 and abs(run.states[0].var() - 1) < 0.2


def sorption_rates(cells: int, on_faces: bool):
    """The right-hand side of PDEBench's sim_diff_sorp, or with the conditions on the sides."""
    width, d = 1 / cells, 5e-4

    def rates(t: float, u: np.ndarray) -> np.ndarray:
        if on_faces:  # u = 1 and u + d du/dx = 0 halfway between the last and the ghost cell
            below = 2 - u[0]
            above = -u[-1] * (1 / 2 - d / width) / (1 / 2 + d / width)
        else:
            below, above = 1.0, (u[-2] - u[-1]) / width * d
        wide = np.concatenate([[below], u, [above]])
        factor = 1 + (1 - 0.29) / 0.29 * 2880 * 3.5e-4 * 0.874 * (u + 1e-6) ** (0.874 - 1)
        return d * np.diff(wide, 2) / width**2 / factor

    return rates


def test_diffusion_sorption_equals_the_scheme_of_its_generator(evolve):
    cells, errors = 32, []
    for number in (cells, 2 * cells):
        run = evolve(
            "experiment=pdebench_diffusion_sorption", f"grid=[{number}]", "output.frames=2",
            "stepper=dormand_prince", "time.tolerance=1e-8",
        )  # fmt: skip
        start = run.states[0, 0]
        assert 0 <= start[0] <= 0.2 and (start == start[0]).all()
        solved = [
            solve_ivp(sorption_rates(number, on_faces), (0, 500), start, "LSODA", run.times,
                      rtol=1e-9, atol=1e-10).y[:, -1]
            for on_faces in (True, False)
        ]  # fmt: skip
        # the tolerances of both, over some thousand steps
        np.testing.assert_allclose(run.states[-1, 0], solved[0], atol=1e-5)
        errors.append(np.abs(run.states[-1, 0] - solved[1]).max())
    # in the generator the sides are half a cell further out: a difference of order 1
    assert 1.6 < errors[0] / errors[1] < 2.4 and errors[0] < 0.05


def test_advection_shifts_the_initial_state(evolve):
    run = evolve(
        "experiment=pdebench_advection", "grid=[256]", "equation.beta=4", "output.frames=2",
        "equation.sine_cut=1", "equation.sine_fold=1",
    )  # fmt: skip
    u = run.field("u")
    # beta*t is 4 and 8 periods. WENO of order 5 and at most 8 waves of 32 cells each; ssprk3 has
    # order 3 in time
    assert run.times.tolist() == [0, 1, 2] and run.plan.grid.extent == (1.0,)
    np.testing.assert_allclose(u[1:], [u[0]] * 2, atol=2e-3 * np.abs(u[0]).max())


def sines(p: dict[str, float], x: np.ndarray) -> np.ndarray:
    """The formula of init_multi in PDEBench's generator."""
    twice = p["n"] == p["m"]
    u = p["a"] * np.sin(2 * np.pi * p["n"] * (1 + twice) * x + p["phase"]) + p["mean"]
    u += p["b"] * np.sin(2 * np.pi * p["m"] * (not twice) * x + p["other"])
    u = np.abs(u) if p["fold"] < 0.1 else u
    window = (np.tanh((x - p["left"]) / 0.01) - np.tanh((x - p["right"]) / 0.01)) / 2
    return p["sign"] * u * (window if p["cut"] < 0.1 else 1)


def test_initial_states_are_those_of_the_generator():
    x, counts = (np.arange(128) + 0.5) / 128, []
    given = compose_settings(["experiment=pdebench_advection"]).values["equation"]
    for seed in range(100):
        drawn = with_drawn_numbers(given, seed)
        p = {n.removeprefix("sine_"): v for n, v in drawn.items() if n.startswith("sine_")}
        assert p["n"] in (1, 2, 3, 4) and p["m"] in (1, 2, 3, 4) and p["sign"] in (-1, 1)
        assert 0.1 <= p["left"] <= 0.45 and 0.55 <= p["right"] <= 0.9
        counts.append([p["n"] == p["m"], p["fold"] < 0.1, p["cut"] < 0.1, p["sign"] > 0])
        # every kind of state once
        new = np.array(counts[-1][:3]) & ~np.any(counts[:-1], axis=0)[:3] if seed else [True]
        if any(new):
            plan = make_plan("experiment=pdebench_advection", "grid=[128]", f"seed={seed}")
            # rounded to float32
            np.testing.assert_allclose(plan.state[0], sines(p, x), atol=1e-6)
    # four standard deviations of the binomial distributions
    expected = np.array([0.25, 0.1, 0.1, 0.5])
    slack = 4 * np.sqrt(expected * (1 - expected) / len(counts))
    assert (np.abs(np.mean(counts, axis=0) - expected) < slack).all()


@pytest.mark.parametrize("nu", [0.02, 1.0])
def test_burgers_equals_a_fine_spectral_solution(evolve, nu):
    run = evolve(
        "experiment=pdebench_burgers", "grid=[256]", f"equation.nu={nu}", "output.frames=2",
        "time.end=0.5", "seed=4",
    )  # fmt: skip
    fine = evolve(
        "experiment=pdebench_burgers", "grid=[1024]", f"equation.nu={nu}", "output.frames=2",
        "time.end=0.5", "seed=4", "operators=spectral", "operators.dealias=true",
        "equation.rhs.u='nu/pi*laplacian(u) - d_dx(u**2)/2'",
    )  # fmt: skip
    # cells of 1024 points: four to a coarse cell, the mean of the middle two is its centre
    expected = fine.field("u").reshape(3, 256, 4)[:, :, 1:3].mean(axis=2)
    # a front of nu = 0.02 is about three coarse cells wide
    largest = np.abs(expected).max()
    assert np.abs(run.field("u") - expected).mean() < 5e-3 * largest


def test_darcy_equals_a_sparse_solution(placement):
    from pdesim.solvers import solve

    cells = 32
    plan = make_plan(
        "experiment=pdebench_darcy", f"grid={cells}", "equation.beta=10",
        "device.precision=float64",
    )  # fmt: skip
    found = solve(plan, placement)
    p, width = plan.equation.parameters, 1 / cells
    # cell centres, and both sides
    x = np.clip((np.arange(-1, cells + 1) + 0.5) / cells, 0, 1)
    rock = sum(
        np.exp(-((x - p[f"x{n}"]) ** 2 + (x[:, None] - p[f"y{n}"]) ** 2) / p[f"s{n}"])
        for n in range(1, 6)
    )
    a = np.where(rock > 1.852, 1.0, 0.1)
    assert {0.1, 1.0} == set(np.unique(a))
    # conductances along x and y: harmonic means on faces, at sides a there at half the distance
    along_x = 2 / (1 / a[1:-1, 1:] + 1 / a[1:-1, :-1])
    along_y = 2 / (1 / a[1:, 1:-1] + 1 / a[:-1, 1:-1])
    along_x[:, [0, -1]] = 2 * a[1:-1, [0, -1]]
    along_y[[0, -1]] = 2 * a[[0, -1], 1:-1]
    centre = along_x[:, :-1] + along_x[:, 1:] + along_y[:-1] + along_y[1:]
    east = along_x[:, 1:].copy()
    east[:, -1] = 0
    matrix = diags(
        [-centre.ravel(), east.ravel()[:-1], east.ravel()[:-1],
         along_y[1:-1].ravel(), along_y[1:-1].ravel()], [0, 1, -1, cells, -cells],
    ).tocsr() / width**2  # fmt: skip
    expected = spsolve(matrix, np.full(cells**2, -10.0)).reshape(cells, cells)
    # the relative residual of 1e-10 times the condition number of the preconditioned problem
    np.testing.assert_allclose(found.state[0], expected, rtol=1e-6)


def test_trajectories_of_a_data_set_differ_and_store_their_numbers(tmp_path):
    folder = tmp_path / "data"
    words = (
        "experiment=pdebench_diffusion_sorption", "grid=[16]", "output.frames=2", "time.end=5",
        "repeats=3", "splits=[1,0,0]", "device=cpu",
    )  # fmt: skip
    assert make_dataset(words, "well", folder, console=Console(quiet=True)) == 0
    with (folder / "trajectories.csv").open(newline="") as file:
        assert [row["seed"] for row in csv.DictReader(file)] == ["0", "1", "2"]
    path = next((folder / "data" / "train").iterdir())
    with h5py.File(path) as file:
        first, starts = file["t0_fields/u"][:, 0], file["scalars/start"][:]
    # the stored state is float32
    np.testing.assert_allclose(first, starts[:, None] * np.ones(16), rtol=1e-6)
    assert len(set(starts.tolist())) == 3 and (starts >= 0).all() and (starts <= 0.2).all()


def etdrk2(u: np.ndarray, linear: np.ndarray, rest, steps: int) -> np.ndarray:
    """ETDRK2 with steps of 1 (Cox, Matthews 2002), with phi functions by contour integrals."""
    circle = np.exp(2j * np.pi * (np.arange(32) + 0.5) / 32)
    points = linear[:, np.newaxis] + circle
    first = ((np.exp(points) - 1) / points).mean(axis=1)
    second = ((np.exp(points) - 1 - points) / points**2).mean(axis=1)
    modes = np.fft.rfft(u)
    for _ in range(steps):
        now = rest(modes)
        stage = np.exp(linear) * modes + first * now
        modes = stage + second * (rest(stage) - now)
    return np.fft.irfft(modes, len(u))


def difficulties(p: dict[str, float]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Derivatives in modes, coefficients of the linear part, and the mask of the 2/3 rule."""
    waves = np.arange(81)
    slope = 2j * np.pi * waves
    # the derivative of odd order of the shortest wave has no value on the grid
    odd = np.where(waves < 80, slope, 0)
    linear = sum(
        p.get(f"g{j}", 0) / (160**j * 2 ** (j - 1)) * (odd if j % 2 else slope) ** j
        for j in range(1, 5)
    )
    return odd, linear, waves < 160 / 3


@pytest.mark.parametrize(
    "name", ["apebench_linear", "apebench_nonlinear", "apebench_kuramoto_sivashinsky"]
)
def test_apebench_equals_its_scheme(evolve, name):
    swept = dict(compose_settings([f"experiment={name}"]).settings.sweep.parameters)
    labels, steps = swept.pop("label"), 20
    for number, _ in enumerate(labels):
        words = [f"{key}={values[number]}" for key, values in swept.items()]
        times = "output.times=[0,20]" if name.endswith("sivashinsky") else "output.frames=1"
        run = evolve(f"experiment={name}", *words, f"time.end={steps}", times, f"seed={number}")
        p = run.plan.equation.parameters
        assert run.plan.shortest_step == 1
        slope, linear, kept = difficulties(p)

        def rest(modes, p=p, slope=slope, kept=kept):
            u, du = (np.fft.irfft(kept * m, 160) for m in (modes, slope * modes))
            square, norm = np.fft.rfft(u**2), np.fft.rfft(du**2)
            norm[0] = 0
            total = p.get("d0", 0) * square + p.get("d1", 0) / 320 * slope * square
            # exponential steppers count all of a reaction as nonlinear
            total = total + p.get("g0", 0) * modes
            return kept * (total + p.get("d2", 0) / (2 * 160**2) * norm)

        expected = etdrk2(run.states[0, 0], linear + 0j, rest, steps)
        # rounding of 20 steps, which the unstable waves of Kuramoto and Sivashinsky amplify
        np.testing.assert_allclose(run.states[-1, 0], expected, atol=1e-9)


def test_kolmogorov_flow_without_eddies_is_exact(evolve):
    run = evolve(
        "experiment=apebench_kolmogorov_flow", "grid=16", "initial.w=0", "time.end=1",
        "output.times=[0,0.5,1]",
    )  # fmt: skip
    rate = 0.01 * 4**2 + 0.1
    y = run.coordinates["y"]
    for time, w in zip(run.times, run.field("w"), strict=True):
        exact = -4 * np.cos(4 * y) * (1 - np.exp(-rate * time)) / rate
        # drag is not in the exact linear part: ETDRK2 with (0.1*dt)**2/6 per unit of time
        np.testing.assert_allclose(w, np.broadcast_to(exact, w.shape), atol=1e-6)


def test_decaying_turbulence_lets_a_vortex_decay(evolve):
    words = ("grid=16", "time.end=1", "output.frames=2", "initial.w='sin(2*pi*x)*sin(2*pi*y)'")
    run = evolve("experiment=apebench_decaying_turbulence", *words)
    w = run.field("w")
    # Taylor's vortex: the nonlinear terms vanish, and diffusion is exact up to rounding
    for time, state in zip(run.times, w, strict=True):
        np.testing.assert_allclose(state, w[0] * np.exp(-1e-4 * 8 * np.pi**2 * time), atol=1e-12)


def test_a_family_of_scenarios_is_one_data_set(tmp_path):
    folder = tmp_path / "data"
    words = ("experiment=apebench_linear", "grid=[16]", "time.end=2", "output.frames=2",
             "repeats=2", "splits=[1,0,0]", "device=cpu")  # fmt: skip
    assert make_dataset(words, "npz", folder, console=Console(quiet=True)) == 0
    with (folder / "trajectories.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 12 and len({row["label"] for row in rows}) == 6


def test_weak_waves_of_swift_hohenberg_grow_as_predicted(evolve):
    run = evolve(
        "experiment=apebench_swift_hohenberg", "grid=24", "initial.u='1e-6*cos(x + 0.6*y)'",
        "time.end=1", "output.frames=1",
    )  # fmt: skip
    u, square = run.field("u"), 1 + 0.6**2
    rate = 0.7 - (1 - square) ** 2
    # ETDRK2 advances epsilon - 1 with the reaction: the error of exp(-0.3) in 50 steps of 0.02
    np.testing.assert_allclose(u[1], u[0] * np.exp(rate), rtol=1e-4, atol=1e-10)
    assert np.isclose(run.plan.grid.extent[0], 10 * np.pi) and run.plan.step.dt == 0.02


def test_uniform_gray_scott_follows_its_reaction(evolve):
    run = evolve(
        "experiment=apebench_gray_scott", "grid=8", "equation.F=0.036", "equation.k=0.063",
        "initial.u=0.6", "initial.v=0.3", "time.end=40", "output.frames=2",
    )  # fmt: skip

    def rates(t: float, state: np.ndarray) -> list[float]:
        u, v = state
        return [-u * v**2 + 0.036 * (1 - u), u * v**2 - 0.099 * v]

    exact = solve_ivp(rates, (0, 40), [0.6, 0.3], t_eval=run.times, rtol=1e-10, atol=1e-12).y.T
    # order 2 with steps of 1 and rates of 0.1: 40*0.1**3/6, times the size of u
    np.testing.assert_allclose(run.states.mean(axis=(2, 3)), exact, atol=2e-3)
    assert np.ptp(run.states, axis=(2, 3)).max() < 1e-12
