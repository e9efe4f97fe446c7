"""Dense linear systems beside NumPy, with known solutions, and refused input."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
import yaml

from pdesim.cli.main import main
from pdesim.dense import command, memory
from pdesim.dense.command import run_linear_system
from pdesim.dense.inputs import Shapes
from pdesim.dense.solve import is_symmetric, solve
from pdesim.errors import PdesimError

EPSILON = {"float32": 2.0**-23, "float64": 2.0**-52}


def run(folder: Path, *words: str) -> h5py.File:
    """Solve a system and return its open file."""
    assert (
        run_linear_system("linear_system", [*words, "device=cpu", f"hydra.run.dir={folder}"]) == 0
    )
    return h5py.File(folder / "solution.h5")


def matrices(n: int, dtype: str, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, n)).astype(dtype), rng.standard_normal((n, 3)).astype(dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("n", [1, 7, 300])
def test_residuals_are_those_of_numpy_in_double_precision(placement, n, dtype):
    a, y = matrices(n, dtype)
    found = solve(a, y, "lu", placement)
    exact = a.astype(np.float64)

    def residual(x):
        x = x.astype(np.float64)
        norms = np.linalg.norm(exact, 2) * np.linalg.norm(x, axis=0)
        return (np.linalg.norm(exact @ x - y, axis=0) / norms).max()

    assert found.method == "lu" and found.x.dtype == dtype and found.x.shape == (n, 3)
    # numpy solves in float64 and rounds the result; the norm of A is estimated to a few percent,
    # and the residual is itself evaluated in float64
    assert found.residual <= 1.1 * EPSILON[dtype]
    assert found.residual == pytest.approx(residual(found.x), rel=0.1, abs=2**-52)
    assert residual(found.x) <= 2 * residual(np.linalg.solve(a, y)) + EPSILON[dtype] / 4
    assert found.condition == pytest.approx(np.linalg.cond(exact), rel=0.1)
    error = np.linalg.norm(found.x - np.linalg.solve(exact, y)) / np.linalg.norm(found.x)
    assert error <= 2 * found.condition * EPSILON[dtype]


def test_a_known_solution(placement):
    n = 40  # second differences: x = i*(n + 1 - i)/2 for y = 1
    a = 2 * np.eye(n) - np.eye(n, k=1) - np.eye(n, k=-1)
    i = np.arange(1, n + 1)
    found = solve(a, np.ones((n, 1)), "auto", placement)
    assert found.method == "cholesky"
    np.testing.assert_allclose(found.x[:, 0], i * (n + 1 - i) / 2, rtol=1e-12)
    # eigenvalues 4*sin(k*pi/(2*(n + 1)))**2
    angle = np.pi / (2 * (n + 1))
    assert found.condition == pytest.approx(1 / np.tan(angle) ** 2, rel=0.05)


def test_auto_uses_lu_for_symmetric_indefinite_matrices(placement):
    a = np.array([[0.0, 1.0], [1.0, 0.0]])
    found = solve(a, np.array([[3.0], [5.0]]), "auto", placement)
    assert found.method == "lu" and found.x[:, 0].tolist() == [5.0, 3.0]
    with pytest.raises(PdesimError, match="needs a positive definite matrix"):
        solve(a, np.ones((2, 1)), "cholesky", placement)
    with pytest.raises(PdesimError, match="needs a symmetric matrix"):
        solve(np.array([[1.0, 2.0], [0.0, 1.0]]), np.ones((2, 1)), "cholesky", placement)


def test_symmetry_by_blocks(monkeypatch):
    monkeypatch.setattr("pdesim.dense.solve.BLOCK", 20)
    a = np.arange(49.0).reshape(7, 7)
    assert is_symmetric(a + a.T)
    a = a + a.T
    a[6, 0] += 1
    assert not is_symmetric(a)


@pytest.mark.parametrize(
    "a",
    [np.zeros((3, 3)), np.ones((3, 3)), np.arange(1.0, 10.0).reshape(3, 3),
     np.vander(np.linspace(0, 1, 30))],
    ids=["zeros", "ones", "rank 2", "vandermonde"],
)  # fmt: skip
def test_singular_matrices_have_one_message(placement, a):
    with pytest.raises(PdesimError, match="the matrix A is singular") as error:
        solve(a, np.ones((len(a), 1)), "auto", placement)
    assert error.value.exit_code == 3


def test_a_zero_right_side(placement):
    a, _ = matrices(5, "float64")
    found = solve(a, np.zeros((5, 1)), "auto", placement)
    assert found.residual == 0 and not found.x.any()


@pytest.mark.parametrize("suffix", [".npy", ".h5"])
def test_files_of_the_user(tmp_path, suffix):
    a, y = matrices(20, "float64")
    paths = [tmp_path / f"{name}{suffix}" for name in ("A", "y")]
    for path, array in zip(paths, (a, y), strict=True):
        if suffix == ".npy":
            np.save(path, array)
        else:
            with h5py.File(path, "w") as file:
                file["values"] = array
    words = [f"A={paths[0]}", f"y={paths[1]}", "precision=float64"]
    with run(tmp_path / "run", *words) as file:
        assert file["x"].shape == (20, 3) and file["x"].dtype == np.float64
        np.testing.assert_allclose(file["x"][:], np.linalg.solve(a, y), rtol=1e-9)
        assert file.attrs["A"] == str(paths[0]) and file.attrs["device"].startswith("CPU")
        assert file.attrs["residual"] < 1e-15 and file.attrs["seconds"] > 0
        assert yaml.safe_load(file.attrs["config"])["device"]["precision"] == "float64"
        for name in ("pdesim", "tensorflow", "numpy"):
            assert file.attrs[f"{name}_version"]


def test_random_systems_depend_on_the_seed(tmp_path):
    found = []
    for name, words in (("a", ("seed=1",)), ("b", ("seed=1",)), ("c", ("seed=2",))):
        with run(tmp_path / name, "n=12", *words) as file:
            found.append(file["x"][:])
            assert file["x"].shape == (12,) and file["x"].dtype == np.float32
    assert np.array_equal(found[0], found[1]) and not np.array_equal(found[0], found[2])
    with run(tmp_path / "d", "n=12", "right_hand_sides=4") as file:
        assert file["x"].shape == (12, 4)


def test_info_reads_the_solution(tmp_path, capsys):
    run(tmp_path / "run", "n=9").close()
    capsys.readouterr()
    assert main(["info", str(tmp_path / "run")]) == 0
    text = capsys.readouterr().out
    assert "method" in text and "lu" in text and "residual" in text
    assert main(["info", str(tmp_path / "run" / "solution.h5"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["n"] == 9
    (tmp_path / "run" / "solution.h5").write_bytes(b"no HDF5")
    assert main(["info", str(tmp_path / "run")]) == 2
    assert "cannot be read" in capsys.readouterr().err


def test_the_command_line(command, tmp_path):
    done = command("equation=linear_system", "n=50", "device=cpu")
    folder = tmp_path / done.stdout.strip()
    assert (folder / "solution.h5").is_file() and "relative residual" in done.stderr
    assert folder.parent == tmp_path / "outputs" / "linear_system"
    done = command("-m", "equation=linear_system", "n=5", check=2)
    assert "-m does not apply" in done.stderr


def save(path: Path, array) -> Path:
    np.save(path, array)
    return path


REFUSED = [
    (["n=0"], None, "n is 0"),
    (["n=2.5"], None, "n is 2.5"),
    (["m=5"], None, "unknown setting m"),
    (["methd=lu"], None, "did you mean 'method'"),
    (["method=qr"], None, "method is 'qr'"),
    (["device.jit=true"], None, "device.jit has no effect"),
    (["A=missing.npy"], None, "no such file"),
    (["A={}"], np.zeros((3, 4)), "shape (3, 4)"),
    (["A={}"], np.zeros(3), "shape (3,)"),
    (["A={}", "n=5"], np.eye(4), "the numbers of unknowns differ: 5 of n, 4 of A"),
    (["y={}"], np.zeros((2, 2, 2)), "shape (2, 2, 2)"),
    (["y={}", "right_hand_sides=2"], np.zeros(3), "right_hand_sides=2 has no effect"),
    (["A={}"], np.eye(3) * np.nan, "NaN"),
    (["A={}"], np.eye(3) * 1e300, "beyond float32"),
    (["A={}"], np.eye(3) * 1j, "complex128"),
    (["A={}"], np.array([["a"]]), "real numbers"),
    (["A={}"], np.array([[None]]), "cannot be read"),
    (["n=1000000"], None, "needs about"),
]


@pytest.mark.parametrize("words, array, message", REFUSED, ids=lambda v: str(v)[:30])
def test_refused_input(tmp_path, capsys, words, array, message):
    path = save(tmp_path / "a.npy", array) if array is not None else ""
    given = [word.replace("{}", str(path)) for word in words]
    folder = tmp_path / "run"
    assert main(["equation=linear_system", *given, f"hydra.run.dir={folder}"]) == 2
    error = capsys.readouterr().err
    assert message in error and "Traceback" not in error and len(error.splitlines()) < 8
    assert not folder.exists()


def test_damaged_files(tmp_path):
    for name, content in (("a.npy", b"\x93NUMPY"), ("b.npy", b"text"), ("c.h5", b"text")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(PdesimError, match="cannot be read"):
            run(tmp_path / "run", f"A={tmp_path / name}")


def test_a_solution_is_not_overwritten(tmp_path):
    run(tmp_path / "run", "n=5").close()
    before = (tmp_path / "run" / "solution.h5").read_bytes()
    with pytest.raises(PdesimError, match="already contains a solution"):
        run(tmp_path / "run", "n=6")
    assert (tmp_path / "run" / "solution.h5").read_bytes() == before
    with run(tmp_path / "run", "n=6", "overwrite=true") as file:
        assert file.attrs["n"] == 6


def test_memory_is_checked_before_the_start(tmp_path, monkeypatch, capsys):
    assert memory.needed_bytes(Shapes(1000, (1000,), 4), 3) == 4 * 1000 * (3 * 1000 + 4)
    monkeypatch.setattr(memory, "device_memory", lambda placement: 4e5)
    with pytest.raises(PdesimError, match="200 unknowns needs about"):  # 4 matrices of 160 kB
        run(tmp_path / "run", "n=200")
    monkeypatch.setattr(memory, "device_memory", lambda placement: 8e5)
    run(tmp_path / "run", "n=200").close()
    assert "may fail if other programs use much" in capsys.readouterr().err

    def exhausted(*_):
        raise MemoryError

    monkeypatch.setattr("pdesim.dense.solve._solve", exhausted)
    with pytest.raises(PdesimError, match="not enough memory"):
        run(tmp_path / "more", "n=20")
    assert command.SOLUTION == "solution.h5" and not (tmp_path / "more").exists()


def test_the_benchmark(capsys):
    words = ["bench", "linear_system", "device=cpu", "--sizes", "10,600,100000", "--repeats", "1"]
    assert main([*words, "--json"]) == 0
    seconds = json.loads(capsys.readouterr().out)["seconds"]
    assert list(seconds) == ["10", "600", "100000"]
    assert all(value > 0 for value in (*seconds["10"].values(), *seconds["600"].values()))
    assert set(seconds["100000"].values()) == {None}  # would take hours
    assert main([*words[:2], "--sizes", "0"]) == 2
    assert main([*words[:2], "--plot", "x.png"]) == 2
    assert main(["bench", "equation=heat", "--seconds", "3"]) == 2
    assert main([*words[:2], "A=x.npy"]) == 2
