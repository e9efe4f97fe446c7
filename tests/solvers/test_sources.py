"""Sources of steady problems that have one number for each cell: from images and HDF5 files."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
from conftest import make_plan
from PIL import Image

from pdesim.errors import ConfigError, FormulaError, OutputError, StepperError
from pdesim.solvers import solve
from pdesim.verify.run import verify_plan

POISSON = ("equation=poisson", "grid=[24,16]", "boundary=dirichlet", "device.precision=float64")
#: of an eigenfunction of the stencil between Dirichlet sides
MODE = "sin(pi*x)*sin(3*pi*y)"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with an image and a file of arrays, which is the current one."""
    monkeypatch.chdir(tmp_path)
    pixels = np.random.default_rng(1).integers(0, 256, (16, 24), np.uint8)
    Image.fromarray(pixels[::-1]).save("charge.png")
    x, y = (np.arange(24) + 0.5) / 24, (np.arange(16) + 0.5)[:, None] / 16
    with h5py.File("arrays.h5", "w") as file:
        file["group/mode"] = np.sin(np.pi * x) * np.sin(3 * np.pi * y)
        file["pixels"] = pixels / 255
        file["other"] = np.ones((24, 16))
        file["undefined"] = np.full((16, 24), np.nan)
        file["complex"] = np.ones((16, 24), complex)
        file["text"] = "words"
    return tmp_path


def solution(placement, *words):
    return solve(make_plan(*words), placement).state


def source(text):
    return f"equation.source='{text}'"


@pytest.mark.parametrize("solver", ["transform", "cg", "multigrid", "dense"])
def test_an_array_is_the_formula_of_its_values(folder, placement, solver):
    words = (*POISSON, "domain.extent=[1,1]", f"solver={solver}")
    computed = solution(placement, *words, source('2*dataset("arrays.h5", "group/mode")'))
    h, k = np.array([1 / 24, 1 / 16]), np.array([1, 3]) * np.pi
    eigenvalue = (4 / h**2 * np.sin(k * h / 2) ** 2).sum()
    with h5py.File("arrays.h5") as file:
        exact = 2 * file["group/mode"][()] / eigenvalue
    # iterations end at 1e-10 of the source
    np.testing.assert_allclose(computed[0], exact, atol=2e-10 * np.abs(exact).max())
    np.testing.assert_allclose(
        computed, solution(placement, *words, source(f"2*{MODE}")), rtol=0, atol=1e-11
    )


def test_an_image_is_read_with_row_0_at_the_bottom(folder, placement):
    pixels = solution(placement, *POISSON, source('image("charge.png") - 0.5'))
    array = solution(placement, *POISSON, source('dataset("arrays.h5", "pixels") - 0.5'))
    np.testing.assert_allclose(pixels, array, rtol=1e-6, atol=1e-9)  # images are float32


def test_other_parameters_in_the_formula_of_an_array(folder, placement):
    words = (*POISSON, "equation.width=0.5", "+equation.half='x*width'")
    array = solution(placement, *words, source('half*dataset("arrays.h5", "pixels")'))
    twice = solution(placement, *words, source('x*dataset("arrays.h5", "pixels")'))
    np.testing.assert_allclose(2 * array, twice, rtol=1e-12)


def test_newton_with_an_array(folder, placement):
    solve_text = "equation.solve={u: 'laplacian(u) - 50*u**3 + s'}"
    words = ("equation=custom", solve_text, "initial=zero", *POISSON[1:], "domain.extent=[1,1]")
    array = solution(placement, *words, 'equation.s=\'900*dataset("arrays.h5", "group/mode")\'')
    formula = solution(placement, *words, f"equation.s='900*{MODE}'")
    assert np.abs(array).max() > 1
    np.testing.assert_allclose(array, formula, rtol=0, atol=1e-8)


def test_random_sources_depend_on_the_seed_alone(placement):
    words = (*POISSON, source("random_normal(1)"))
    first, second, other = (solution(placement, *words, f"seed={n}") for n in (1, 1, 2))
    assert np.array_equal(first, second) and not np.allclose(first, other)


@pytest.mark.parametrize(
    ("words", "error", "message"),
    [
        ([source('dataset("arrays.h5", "other")')], OutputError, r"the shape \(24, 16\)"),
        ([source('dataset("arrays.h5", "missing")')], OutputError, "missing"),
        ([source('dataset("arrays.h5", "text")')], OutputError, "text"),
        ([source('dataset("arrays.h5", "complex")')], OutputError, "complex"),
        ([source('dataset("arrays.h5", "undefined")')], ConfigError, "equation.source is not fin"),
        ([source('dataset("absent.h5", "u")')], OutputError, "no such file"),
        ([source('dataset("charge.png", "u")')], OutputError, "charge.png"),
        ([source('image("absent.png")')], OutputError, "no such file"),
        ([source('t*image("charge.png")')], FormulaError, "position only"),
        ([source('u*image("charge.png")')], FormulaError, "position only"),
        (["equation.solve={u: 'laplacian(u) + image(\"charge.png\")'}"], FormulaError,
         "not allowed"),
        (["equation.solve={u: 'd_dx(source)'}", source('image("charge.png")')], ConfigError,
         r"d_dx\(source\) contains source"),
        (["equation.solve={u: 'divergence(source*gradient(u)) + 1'}",
          source('1 + image("charge.png")')], ConfigError, "not as a diffusivity"),
        (["equation=heat", "equation.D='image(\"charge.png\")'", "operators=spectral",
          "equation.rhs={u: 'divergence(D*gradient(u))'}"], ConfigError, "not as a diffusivity"),
    ],
)  # fmt: skip
def test_refused(folder, words, error, message):
    with pytest.raises(error, match=message):
        make_plan(*POISSON, *words)


def test_verify_needs_a_formula(folder):
    plan = make_plan(*POISSON, source('image("charge.png")'))
    with pytest.raises(StepperError, match=r"equation\.source has one number for each cell"):
        list(verify_plan(plan))
