"""Equation files with sections of other settings, without ``# @package _global_``."""

from __future__ import annotations

from pathlib import Path

import pytest

from pdesim.config.compose import compose_settings
from pdesim.config.library import entry
from pdesim.errors import PdesimError
from pdesim.files import load_yaml
from pdesim.plan import build_plan

FLAT = """\
# Diffusion.
fields: [u]
D: 0.01
rhs: {u: D*laplacian(u)}
initial: {u: exp(-20*r**2)}
time: {end: 20}
domain: {extent: 2}
animation: {colormap: magma}
grid: 24
"""


def composed(folder: Path, text: str, *words: str):
    (folder / "equation").mkdir(exist_ok=True)
    (folder / "equation" / "mine.yaml").write_text(text)
    return compose_settings(["equation=mine", *words], str(folder))


def test_sections_beside_the_keys_of_the_equation(tmp_path):
    found = composed(tmp_path, FLAT + "boundary: neumann\n", "time.end=5").settings
    assert found.equation["rhs"] == {"u": "D*laplacian(u)"} and found.equation["D"] == 0.01
    assert found.initial["u"] == "exp(-20*r**2)" and found.boundary == {"default": "neumann"}
    assert (found.grid, found.domain.extent, found.time.end) == (24, 2, 5)
    assert entry("mine", str(tmp_path)).boundary == {"default": "neumann"}
    assert composed(tmp_path, FLAT, "boundary=dirichlet").settings.boundary["default"] != "periodic"


def test_both_forms_are_equal(tmp_path):
    flat = composed(tmp_path, FLAT)
    values = load_yaml(FLAT)
    own = {key: values.pop(key) for key in ("fields", "D", "rhs")}
    complete = f"# @package _global_\n{ {'equation': own, **values} }"
    assert composed(tmp_path, complete).values == flat.values
    without_header = f"{ {'equation': own, **values} }"
    assert composed(tmp_path, without_header).values == flat.values


@pytest.mark.parametrize("name", ["seed", "grid", "boundary"])
def test_a_name_that_occurs_in_a_formula_is_a_parameter(name, tmp_path):
    text = f"{name}: '2.5'\nrhs: {{u: '{name}*u'}}\ntime: {{end: 3}}\n"
    found = composed(tmp_path, text, *(["grid=16"] if name == "grid" else []))
    assert found.settings.equation[name] == "2.5" and found.settings.time.end == 3


def test_a_condition_or_a_formula_applies_to_all_sides_and_fields(tmp_path):
    text = "rhs: {u: laplacian(u)}\ninitial: exp(-r**2)\nboundary: {dirichlet: 1}\n"
    found = composed(tmp_path, text).settings
    assert found.initial == {"default": "exp(-r**2)"}
    assert found.boundary == {"default": {"dirichlet": 1}}


def test_a_file_of_an_equation_alone_is_unchanged(tmp_path):
    found = composed(tmp_path, "D: 1\nrhs: {u: D*laplacian(u)}\n").settings
    assert found.equation["D"] == 1 and found.boundary == {"default": "periodic"}


def test_names_of_sections_are_suggested(tmp_path):
    found = composed(tmp_path, "rhs: {u: '0'}\ntimes: {end: 1}\n")
    with pytest.raises(PdesimError, match="did you mean 'time'"):
        build_plan(found.settings, found.equation)


def test_flat_files_may_not_set_guarded_settings(tmp_path):
    text = "rhs: {u: '0'}\ntime: {end: 3}\nhydra: {job: {chdir: true}}\n"
    with pytest.raises(PdesimError, match="chdir"):
        composed(tmp_path, text).check_trust()
