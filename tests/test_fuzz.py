"""Short forms of the generators in tests/fuzz, which take 10,000 cases of each kind."""

from __future__ import annotations

import pytest
from fuzz import formulas, settings
from fuzz.common import fuzz


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
