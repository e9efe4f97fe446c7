"""``benchmarks/gpu.py`` on a machine without a GPU: every part, and exported programs."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"
SCRIPT = FOLDER / "gpu.py"


@pytest.fixture
def parts(monkeypatch):
    """The modules of the benchmark can be imported."""
    monkeypatch.syspath_prepend(str(FOLDER))


def run(*words: str, folder: Path) -> dict[str, list[dict]]:
    """Run the benchmark, and return the rows of each part."""
    command = [sys.executable, str(SCRIPT), *words, "--device", "cpu", "--quick"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "## " in done.stdout and "Traceback" not in done.stderr
    return json.loads((folder / "gpu.json").read_text())["parts"]


def errors(rows: list[dict]) -> list[str]:
    """The errors of rows, without those of packages that are not installed."""
    found = [row["error"] for row in rows if "error" in row]
    return [text for text in found if not text.startswith("skipped: ")]


@pytest.mark.slow
def test_every_part_runs_without_a_gpu(tmp_path):
    results = run(folder=tmp_path)
    names = ["speed", "kernels", "agreement", "resume", "sweep", "memory", "default"]
    names += ["linear", "gradients", "maps", "fits", "dataset", "beside"]
    assert list(results) == names
    for name, rows in results.items():
        assert rows and not errors(rows), (name, rows)
    speeds = results["speed"][1:]
    assert {row["operators"] for row in speeds} == {"stencil", "conv", "spectral"}
    assert all(row["Mcell/s"] > 0 and row["of copy"] > 0 for row in speeds)
    assert all(row["kernels per step"] > 0 for row in results["kernels"])
    assert all(row["agrees"] and row["bound"] < 1e-3 for row in results["agreement"])
    assert all(row["repeated"] and row["resumed"] for row in results["resume"])
    assert all(row["finished"] == row["members"] for row in results["sweep"])
    residuals = [row["residual / rounding"] for row in results["linear"] if "method" in row]
    assert len(residuals) == 4 and max(residuals) < 1.1
    assert all(row["difference from CPU"] < 1e-9 for row in results["gradients"])
    assert all(row["other counts"] == 0 for row in results["maps"])
    packages = {row["package"]: row for row in results["beside"]}
    assert set(packages) == {"pdesim", "JAX", "CuPy", "PyTorch"} and packages["pdesim"]["agrees"]
    assert packages["CuPy"]["error"].startswith("skipped: ")


def test_a_part_that_fails_leaves_the_others(tmp_path):
    """The first part is stopped by the limit of time, which no part can meet."""
    results = run("--parts", "kernels", "memory", "--timeout", "0.01", folder=tmp_path)
    assert [rows[-1]["error"] for rows in results.values()] == ["not finished after 0.01 s"] * 2


def test_exported_programs_agree_where_jax_is_installed(tmp_path):
    folder = tmp_path / "programs"
    command = [sys.executable, str(SCRIPT), "--export", str(folder), "--quick"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0 and "error" not in done.stdout, done.stdout
    names = {path.stem for path in folder.glob("*.hlo")}
    assert names == {"euler_24", "rk4_24", "etdrk4_24"}
    for name in names:
        about = json.loads((folder / f"{name}.json").read_text())
        with np.load(folder / f"{name}.npz") as arrays:
            assert len(arrays.files) == about["inputs"] + 1 and not about["made"]
            assert arrays["expected"].dtype == np.float32 and about["cells"] == 24**2
            assert arrays[f"input_{about['steps_input']}"] == about["checked_steps"]
    if importlib.util.find_spec("jax") is None:
        pytest.skip("JAX is not installed")
    rows = run("--run", str(folder), folder=tmp_path)["hlo"]
    assert not errors(rows) and len(rows) == 4
    assert all(row["agrees"] and row["kernels"] > 0 for row in rows[1:])


def test_running_programs_needs_neither_tensorflow_nor_pdesim():
    """Another machine may have JAX only; the import of everything else is refused."""
    code = (
        "import sys; sys.modules.update(tensorflow=None, pdesim=None)\n"
        f"sys.path.insert(0, {str(FOLDER)!r})\n"
        "import gpu.hlo, gpu.beside, gpu.common, gpu.kernels\n"
        f"exec(compile(open({str(SCRIPT)!r}).read(), 'gpu.py', 'exec'), {{'__name__': 'gpu.py'}})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


PROGRAM = """
%fused (p: f32[4]) -> f32[4] {
  %p = f32[4]{0} parameter(0)
  ROOT %a = f32[4]{0} add(%p, %p)
}

%command_buffer (p: f32[4]) -> f32[4] {
  %p = f32[4]{0} parameter(0)
  %f = f32[4]{0} fusion(%p), kind=kLoop, calls=%fused
  ROOT %g = f32[4]{0} fusion(%f), kind=kLoop, calls=%fused
}

%body (s: (s64[], f32[4])) -> (s64[], f32[4]) {
  %v = f32[4]{0} get-tuple-element(%s), index=1
  %c = f32[4]{0} call(%v), to_apply=%command_buffer
  %k = f32[4]{0} custom-call(%c), custom_call_target="cufft"
  ROOT %t = (s64[], f32[4]{0}) tuple(%i, %k)
}

%condition (s: (s64[], f32[4])) -> pred[] {
  ROOT %f = pred[] fusion(%s), kind=kLoop, calls=%fused
}

ENTRY %main (p: f32[4]) -> f32[4] {
  %f = f32[4]{0} fusion(%p), kind=kLoop, calls=%fused
  ROOT %w = (s64[], f32[4]{0}) while(%t), condition=%condition, body=%body
}
"""


def test_kernels_are_counted_in_the_loop_only(parts):
    from gpu.kernels import kernels_per_step

    assert kernels_per_step(PROGRAM) == 3
    assert kernels_per_step(PROGRAM.replace(", body=%body", "")) == 0


@pytest.mark.parametrize("shape", [(2, 12), (1, 6, 8), (2, 4, 6, 8)])
@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_made_states_are_periodic_and_exact(parts, shape, precision):
    from gpu.hlo import made_state

    state = made_state(shape, precision)
    assert state.shape == shape and state.dtype == precision
    for axis in range(1, len(shape)):
        # symmetric about cell 0, as a periodic triangular wave is
        mirrored = np.roll(np.flip(state, axis), 1, axis)
        np.testing.assert_array_equal(mirrored, state)
    assert state.min() > 0 and state.max() < 1 and state.std() > 0.01


def test_rows_that_fail_contain_the_error(parts):
    from gpu.common import guarded, table

    rows = [
        guarded({"n": 8}, lambda: {"Mcell/s": 12.34567, "agrees": False}),
        guarded({"n": 16}, lambda: {"Mcell/s": 1 / 0}),
    ]
    assert rows[1] == {"n": 16, "error": "ZeroDivisionError: division by zero"}
    lines = table(rows).splitlines()
    assert [cell.strip() for cell in lines[2].split("|")[1:-1]] == ["8", "12.35", "NO", "-"]
    assert "division by zero" in lines[3]
