"""The generated pages and the library: they agree with the files from which they are generated."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

from pdesim.config.compose import choices, compose_settings
from pdesim.config.library import TOPICS, digest, entry, measured

DOCS = Path(__file__).parents[2] / "docs"
EQUATIONS = [name for name in choices("equation") if name != "custom"]
#: bytes of all pictures of the repository
MOST = 15_000_000


@pytest.fixture(scope="module")
def generated():
    return runpy.run_path(str(DOCS / "generate_pages.py"))["pages"]()


@pytest.mark.parametrize("name", ["language.md", "gallery.md", "api.md", "llms.txt"])
def test_generated_pages_are_up_to_date(name, generated):
    current = (DOCS / name).read_text()
    assert current == generated[name], f"{name} is out of date; run: python docs/generate_pages.py"


def test_every_equation_was_measured_with_its_present_settings():
    """Otherwise run: python docs/measure_library.py && python docs/generate_pages.py"""
    entries = {name: entry(name) for name in EQUATIONS}
    assert not [name for name, one in entries.items() if one.measured is None]
    assert not [name for name, one in entries.items() if one.topic not in TOPICS]
    assert set(measured()) == set(EQUATIONS)
    # a minute of two cores
    assert not [name for name, one in measured().items() if one.cpu_seconds > 120]


def test_every_equation_has_a_picture():
    pictures = {path.stem for path in (DOCS / "gallery").glob("*.png")}
    assert pictures == set(EQUATIONS)


def test_pictures_stay_small():
    root = DOCS.parent
    kinds = (".png", ".gif", ".jpg", ".svg")
    files = [p for folder in ("docs", "benchmarks") for p in (root / folder).rglob("*")]
    sizes = [path.stat().st_size for path in files if path.suffix in kinds]
    assert sum(sizes) < MOST and max(sizes) < 1_500_000


def test_measured_values_belong_to_settings(tmp_path):
    """Texts do not matter, parameters do; other people's equations have none."""
    given = compose_settings(["equation=heat"]).values
    renamed = compose_settings(["equation=heat", "equation.about=text"]).values
    assert digest(given) == digest(renamed) == measured()["heat"].settings
    assert digest(compose_settings(["equation=heat", "equation.D=2"]).values) != digest(given)
    folder = tmp_path / "equation"
    folder.mkdir()
    (folder / "mine.yaml").write_text("D: 2.0\nrhs:\n  u: D*laplacian(u) - u\n")
    assert entry("mine", str(tmp_path)).measured is None
