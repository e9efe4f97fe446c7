"""Short forms of the generators in tests/fuzz, which take 10,000 cases of each kind."""

from __future__ import annotations

import numpy as np
import pytest
from fuzz import formulas, settings
from fuzz.common import fuzz

from pdesim.steppers.stability import _rates


@pytest.fixture(autouse=True)
def empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("generator", [settings, formulas], ids=["settings", "formulas"])
def test_no_traceback_and_no_slow_answer(generator):
    report = fuzz(generator.make, generator.run, 60, seed=1)
    assert not report.failed, report.text()


@pytest.mark.parametrize("formula", formulas.KNOWN)
def test_formulas_that_were_expanded_for_ever(formula):
    report = fuzz(lambda chance: formulas.Case(formula), formulas.run, 1, seed=1)
    assert not report.failed, report.text()


def test_rates_of_small_matrices():
    """The closed form for samples of two fields, against LAPACK, to rounding; overflow included."""
    random = np.random.default_rng(1)
    matrices = random.normal(size=(200, 2, 2)) + 1j * random.normal(size=(200, 2, 2))
    matrices = np.concatenate([matrices, 1e200 * matrices])
    expected = np.sort_complex(np.linalg.eigvals(matrices))
    np.testing.assert_allclose(np.sort_complex(_rates(matrices)), expected, rtol=1e-12)
    np.testing.assert_array_equal(_rates(matrices[:, :1, :1]), matrices[:, :1, 0])


def test_rates_beyond_all_numbers_are_no_division_by_zero():
    """A coupled formula whose linearised rates reach 1e300: no step is stable."""
    formula = (
        "((((((65 / u) - divergence((x)*gradient(u))) + ((k % x) + (1e-320 * k))) * -((7 / y))**4)"
        " * k) * ((sqrt(0) / sinc(floor((v)*(10**9)*(100)))) + ((1e300 - ((64)*(u)*(Lx)*(1.5)*(u)"
        "*(3)*(0.5) + d5_dx5(k))) - atan2((erf(1.5) + max(u, 3, 1e-3, 2)),"
        " ((y if D >= 3 else 3) + (1 - 1/3))))))"
    )
    case = formulas.Case(formula, use="coupled", options=("device.precision=float64",))
    report = fuzz(lambda chance: case, formulas.run, 1, seed=1)
    assert not report.failed, report.text()
