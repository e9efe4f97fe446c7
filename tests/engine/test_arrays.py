"""Parameters with one number for each cell in time-dependent equations, from files and images."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
from conftest import make_plan
from PIL import Image

from pdesim.engine.simulation import Simulation
from pdesim.errors import ConfigError
from pdesim.play.refuse import check_playable

COMMON = ("equation=custom", "grid=[24,16]", "domain.extent=[1,1]", "time.end=0.02",
          "output.frames=2", "initial.u='1 + 0.5*cos(2*pi*x)*cos(2*pi*y)'", "stepper=rk4",
          "time.dt=2e-4")  # fmt: skip
MAP = "1 + 0.5*cos(2*pi*x)*sin(2*pi*y)**2"
FROM_FILE = '+equation.D=\'dataset("arrays.h5", "map")\''


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(1.0)
    return tmp_path


def write(factor: float) -> None:
    x, y = (np.arange(24) + 0.5) / 24, (np.arange(16) + 0.5)[:, None] / 16
    with h5py.File("arrays.h5", "w") as file:
        file["map"] = factor * (1 + 0.5 * np.cos(2 * np.pi * x) * np.sin(2 * np.pi * y) ** 2)


@pytest.mark.parametrize(
    "boundary", ["boundary=periodic", "boundary=neumann", "boundary.default=antiperiodic"]
)
@pytest.mark.parametrize(
    "formula",
    [
        "D*laplacian(u) - D**2*u",
        "divergence(D*gradient(u))",
        "laplacian(D*u)",
        "-advect([D, 0], u)",
        "divergence((D + u**2)*gradient(u)) + mean(D*u)*x",
    ],
)
def test_an_array_is_the_formula_of_its_values(folder, evolve, formula, boundary):
    """All coefficients have the slope 0 at the sides, as ghost cells of arrays do."""
    words = (*COMMON, f"equation.rhs={{u: '{formula}'}}", boundary)
    if boundary == "boundary=neumann" and "gradient" not in formula and "-" not in formula:
        pytest.skip("the ghost cells of D*u differ from those of the formula by an error of h**2")
    if boundary == "boundary=neumann" and "advect" in formula:
        pytest.skip("the velocity on a side is that of the cell, not that of the formula there")
    found = evolve(*words, FROM_FILE).states[-1]
    expected = evolve(*words, f"+equation.D='{MAP}'").states[-1]
    np.testing.assert_allclose(found, expected, rtol=1e-11)


def test_implicit_and_spectral_and_float32(folder, evolve):
    rhs = "equation.rhs={u: 'divergence(D*gradient(u))'}"
    explicit = evolve(*COMMON, rhs, FROM_FILE, "boundary=neumann").states[-1]
    implicit = evolve(*COMMON, rhs, FROM_FILE, "boundary=neumann", "stepper=crank_nicolson")
    # the error of the trapezoidal rule with 100 steps
    np.testing.assert_allclose(implicit.states[-1], explicit, atol=1e-5)
    single = evolve(*COMMON, rhs, FROM_FILE, "boundary=neumann", "device.precision=float32")
    np.testing.assert_allclose(single.states[-1], explicit, atol=1e-5)  # 400 stages
    fourier = evolve(*COMMON, rhs, FROM_FILE, "operators=spectral", "stepper=etdrk4")
    formula = evolve(*COMMON, rhs, f"+equation.D='{MAP}'", "operators=spectral", "stepper=etdrk4")
    # the constant part of the formula is part of the linear operator that etdrk4 integrates exactly
    np.testing.assert_allclose(fourier.states[-1], formula.states[-1], rtol=1e-8)


def test_members_have_their_own_arrays(evolve, placement):
    """The random numbers of a coefficient differ between members that are computed together."""
    words = (*COMMON, "equation.rhs={u: 'divergence(D*gradient(u))'}", "boundary=neumann",
             "+equation.D='random_uniform(0.5, 1.5)'", "device.precision=float64")  # fmt: skip
    plans = [make_plan(*words, f"seed={seed}") for seed in (1, 2)]
    *_, last = Simulation(plans, placement).frames()
    for member, seed in enumerate((1, 2)):
        alone = evolve(*words, f"seed={seed}").states[-1]
        np.testing.assert_allclose(last.state[member], alone, rtol=1e-12)


def test_an_image(folder, evolve):
    pixels = np.random.default_rng(1).integers(0, 256, (16, 24), np.uint8)
    Image.fromarray(pixels[::-1]).save("map.png")
    with h5py.File("arrays.h5", "w") as file:
        file["map"] = 0.5 + pixels / 255
    words = (*COMMON, "equation.rhs={u: 'divergence(D*gradient(u))'}", "boundary=dirichlet")
    picture = evolve(*words, "+equation.D='0.5 + image(\"map.png\")'").states[-1]
    # images are read in float32
    np.testing.assert_allclose(picture, evolve(*words, FROM_FILE).states[-1], rtol=1e-5)


@pytest.mark.slow
def test_resume_is_exact_and_notices_another_file(folder, command):
    words = ("equation=custom", "grid=[24,16]", "domain.extent=[1,1]", "animation=none",
             "initial.u='1 + 0.5*cos(2*pi*x)*cos(2*pi*y)'", "stepper=rk4", "time.dt=2e-4",
             "equation.rhs={u: 'divergence(D*gradient(u))'}", FROM_FILE, "output.every=0.005",
             "output.frames=null")  # fmt: skip
    command(*words, "hydra.run.dir=whole", "time.end=0.04")
    command(*words, "hydra.run.dir=half", "time.end=0.02")
    command("resume", "half", "time.end=0.04")
    with h5py.File("whole/snapshots.h5") as whole, h5py.File("half/snapshots.h5") as half:
        np.testing.assert_array_equal(half["u"], whole["u"])
    write(1.1)
    result = command("resume", "half", "time.end=0.06", check=None)
    assert result.returncode != 0 and "has changed" in result.stderr


def test_refused(folder):
    plan = make_plan(*COMMON, "equation.rhs={u: 'D*laplacian(u)'}", FROM_FILE)
    with pytest.raises(ConfigError, match="one number for each cell"):
        check_playable(plan)
    with pytest.raises(ConfigError, match="contains D"):
        make_plan(*COMMON, "equation.rhs={u: 'divergence(D*gradient(u))'}", FROM_FILE,
                  "boundary=neumann", "operators=spectral")  # fmt: skip


def test_a_frame_of_another_grid_is_interpolated_and_the_run_says_so(folder, command):
    words = ("equation=heat", "domain.extent=[1,1]", "animation=none", "time.end=0.01",
             "output.frames=1", "boundary=periodic")  # fmt: skip
    command(*words, "grid=[32,32]", "initial.u='sin(2*pi*x)'", "hydra.run.dir=coarse")
    start = 'initial.u=\'snapshot("coarse/snapshots.h5", "u")\''
    same = make_plan(*words, "grid=[32,32]", start)
    finer = make_plan(*words, "grid=[48,40]", start)
    assert not any("interpolated" in note for note in same.notes)
    assert [note for note in finer.notes if "32 x 32 cells is interpolated to the 48 x 40" in note]
    x = (np.arange(48) + 0.5) / 48
    wave = same.state[0].max() / np.cos(np.pi / 32) * np.sin(2 * np.pi * x)
    # polynomials through eight cells of a wave of 32 cells, and the rounding of stored float32
    np.testing.assert_allclose(finer.state[0], np.broadcast_to(wave, (40, 48)), atol=1e-5)
