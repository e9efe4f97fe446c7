"""The structure of the package: the direction of imports, the size and the cost of modules."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest
import update_thorough

import pdesim

PACKAGE = Path(pdesim.__file__).parent
#: a module may import from packages earlier in this list, and from its own package
ORDER = (
    "errors",
    "tables",
    "formula",
    "constants",
    "keys",
    "settings",
    "files",
    "model",
    "operators",
    "steppers",
    "output",
    "export",
    "comparison",
    "render",
    "page",
    "problem",
    "plan",
    "play",
    "analysis",
    "engine",
    "solvers",
    "run",
    "config",
    "schema",
    "completion",
    "sweeps",
    "fitting",
    "datasets",
    "dense",
    "verify",
    "bench",
    "converge",
    "api",
    "cli",
    "__main__",
)
#: what may be imported before TensorFlow is started
LIGHT = (
    "pdesim",
    "pdesim.cli.main",
    "pdesim.api",
    "pdesim.plan",
    "pdesim.analysis",
    "pdesim.cli.analyze",
    "pdesim.cli.play",
    "pdesim.play",
    "pdesim.render",
    "pdesim.page",
    "pdesim.output",
    "pdesim.export",
    "pdesim.cli.info",
    "pdesim.fitting.folder",
    "pdesim.dense.result",
)
#: modules that take long to import and that most commands do not need at once
HEAVY = {"tensorflow", "matplotlib.figure"}
TESTS = Path(__file__).parent


def modules():
    return sorted(PACKAGE.rglob("*.py"))


def package_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_packages(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: relative import"
            if node.module == "pdesim":
                names = [f"pdesim.{alias.name}" for alias in node.names]
            else:
                names = [node.module]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        found |= {name.split(".")[1] for name in names if name.startswith("pdesim.")}
    return found


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_point_downwards(path):
    here = package_of(path)
    if here == "__init__":
        return
    assert here in ORDER, f"{here} is not in ORDER"
    for other in imported_packages(path) - {here, "__init__"}:
        assert ORDER.index(other) < ORDER.index(here), f"{here} imports {other}"


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_modules_stay_readable(path):
    assert len(path.read_text().splitlines()) <= 400


def test_the_root_is_small():
    assert len(list(PACKAGE.glob("*.py"))) <= 8


def test_hydra_lives_only_at_the_top():
    for path in modules():
        text = path.read_text()
        if package_of(path) not in ("config", "cli", "sweeps"):
            assert "import hydra" not in text and "from hydra" not in text, path


def test_light_modules_load_no_heavy_packages():
    code = f"import sys, {', '.join(LIGHT)}; print('loaded', *sys.modules.keys() & {HEAVY})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "loaded\n", done.stdout + done.stderr


def test_no_equation_in_python():
    for path in modules():
        for name in ("gray_scott", "heat", "poisson"):
            assert f'"{name}"' not in path.read_text(), f"{path} names {name}"


def test_listed_functions_exist():
    listed = [line.split() for line in (TESTS / "thorough.txt").read_text().splitlines()]
    assert all(number.isdecimal() for _, number in listed)
    missing = {name for name, _ in listed} | set(update_thorough.ALWAYS)
    for path in TESTS.rglob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef):
                missing.discard(f"{path.relative_to(TESTS).as_posix()}::{node.name}")
    assert not missing


def test_the_benchmark_beside_numpy_runs():
    script = PACKAGE.parent / "benchmarks" / "compare_numpy.py"
    if not script.exists():
        pytest.skip("installed without the repository")
    done = subprocess.run(
        [sys.executable, script, "--grid", "32", "--repeats", "1", "--json"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0 and '"ratio"' in done.stdout, done.stderr
