"""``pdesim bench``: as a command, what it refuses, and its row for NumPy."""

from __future__ import annotations

import json
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from conftest import make_plan


def test_a_benchmark_says_everything_as_json(command, tmp_path):
    done = command("bench", "equation=gray_scott", "stepper=rk4", "--sizes", "16,24",
                   "--repeats=3", "--json", "--plot", "speed.png", "device=cpu",
                   fresh=True)  # fmt: skip
    result = json.loads(done.stdout)
    assert (result["equation"], result["stepper"], result["stages"]) == ("gray_scott", "rk4", 4)
    assert set(result["versions"]) == {"pdesim", "tensorflow", "numpy"} and result["repeats"] == 3
    found = [(tuple(row["grid"]), row["device"].split()[0]) for row in result["rows"]]
    assert found == [((n, n), device) for n in (16, 24) for device in ("CPU", "NumPy")]
    for row in result["rows"]:
        cells, state = row["grid"][0] ** 2, 2 * 4 * row["grid"][0] ** 2
        assert len(row["seconds"]) == 3 and min(row["seconds"]) > 0
        assert row["state_bytes"] == state and row["bytes_per_step"] == 2 * 4 * state
        rate, step = row["cell_updates_per_second"], 1 / row["steps_per_second"]
        assert rate["min"] <= rate["median"] <= rate["max"]
        # the median of the rates and the rate of the median time differ by rounding alone
        assert rate["median"] == pytest.approx(cells / step, rel=1e-9)
        assert row["bytes_per_second"] == pytest.approx(row["bytes_per_step"] / step, rel=1e-9)
        assert (row["device"] == "NumPy") == (row["copy_bytes_per_second"] is None)
    assert result["rows"][0]["compile_seconds"] > 0 and result["rows"][1]["vs_numpy"] == 1.0
    assert (tmp_path / "speed.png").stat().st_size > 10_000
    assert [path.name for path in tmp_path.iterdir()] == ["speed.png"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--repeats", "2"], "integers from 3 to 10,000"),
        (["--repeats", "9" * 20], "integers from 3 to 10,000"),
        (["--repeats", "9" * 5000], "--repeats got 999"),
        (["--sizes", "9" * 5000], "--sizes got 999"),
        (["--sizes", str(2**31)], "integers from 4 to 2,147,483,647"),
        (["--sizes", "64,tiny"], "--sizes got tiny"),
        (["--sizes", "64", "grid=32"], "one of them"),
        (["--size", "64"], "does not take --size"),
        (["--plot"], "--plot: expected one argument"),
        (["equation=poisson"], "takes no steps"),
        (["equation=heat", "stepper=euler", "time.dt=99", "grid=64"], "stability limit"),
    ],
)
def test_a_benchmark_that_cannot_be_is_refused_at_once(words, message, capsys):
    from pdesim.cli.main import main

    assert main(["bench", *words]) == 2
    error = capsys.readouterr().err
    assert message in error and "Traceback" not in error and len(error) < 1000


@pytest.mark.parametrize(
    "words",
    [
        ("equation=gray_scott", "stepper=rk4"),
        ("equation=gray_scott", "stepper=rkl2", "operators.order=4", "grid=[12,10,8]"),
        ("equation=wave", "stepper=yoshida4", "equation.damping=0.3", "grid=[40]"),
        ("equation=heat", "equation.D='0.001*(1 + x)'", "stepper=heun", "operators=conv"),
        ("equation=allen_cahn", "stepper=euler", "operators.isotropic=true"),
    ],
)
def test_numpy_takes_the_same_steps(placement, words):
    from pdesim.bench.numpy_reference import NumpyProgram, unsupported_reason
    from pdesim.bench.program import Program

    plan = make_plan("grid=16", "device.precision=float64", *words, "output.frames=50")
    assert unsupported_reason(plan) == ""
    ours, numpy = Program(plan, placement).run(5).numpy(), NumpyProgram(plan).run(5)
    # sums in another order: some units in the last place per step
    np.testing.assert_allclose(ours, numpy, rtol=0, atol=1e-12 * np.abs(numpy).max())
    assert np.abs(numpy - plan.state).max() > 1e-6


def test_an_adaptive_program_takes_all_its_steps(placement):
    from pdesim.bench.program import Program

    plan = make_plan("equation=gray_scott", "grid=16", "stepper=bogacki_shampine")
    assert np.isfinite(Program(plan, placement).run(40)).all()


def test_a_program_with_noise_takes_the_steps_of_a_run(placement):
    from pdesim.bench.program import Program
    from pdesim.engine.simulation import Simulation

    plan = make_plan("equation=kpz", "grid=32", "time.dt=0.01", "time.end=0.05", "output.frames=1")
    measured = Program(plan, placement).run(5).numpy()
    *_, last = Simulation(plan, placement).frames()
    np.testing.assert_array_equal(measured, last.state)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("stepper=etdrk2", "operators=spectral"), "not an explicit stepper"),
        (("stepper=euler", "operators=spectral"), "spectral"),
        (("stepper=euler", "boundary=neumann"), "boundaries"),
    ],
)
def test_why_there_is_no_row_for_numpy(words, why):
    from pdesim.bench.numpy_reference import unsupported_reason

    assert why in unsupported_reason(make_plan("equation=gray_scott", "grid=16", *words))


def test_planning_holds_few_arrays():
    """Two fields in float64, and for one formula its sum and the noise that is being added."""
    words = ("equation=gray_scott", "device=cpu")
    make_plan(*words, "grid=16")  # what SymPy keeps is no part of this
    tracemalloc.start()
    try:
        plan = make_plan(*words, "grid=512")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    field = 8 * 512 * 512
    assert plan.state.dtype == np.float32
    # two fields, the sum, the noise before and after its factor, the new sum
    assert peak < 6.5 * field


def test_frames_are_the_devices_own_arrays_and_stay(placement):
    from pdesim.engine.simulation import Simulation

    plan = make_plan("equation=gray_scott", "grid=16", "time.end=40", "output.frames=4")
    frames, copies = [], []
    for frame in Simulation(plan, placement).frames():
        frames.append(frame.state)
        copies.append(frame.state.copy())
    assert not any(frame.flags.writeable for frame in frames)
    np.testing.assert_array_equal(frames, copies)
    assert len({frame.tobytes() for frame in frames}) == len(frames)


@pytest.mark.slow
@pytest.mark.parametrize("problem", ["gray_scott", "heat", "wave", "gray_scott_etdrk4"])
def test_peers_agree_with_numpy(tmp_path, problem):
    """All installed packages; one with errors above rounding would be excluded with a message."""
    script = Path(__file__).parents[2] / "benchmarks" / "peers.py"
    words = ["--quick", "--problems", problem, "--json", str(tmp_path / "peers.json")]
    done = subprocess.run([sys.executable, script, *words], capture_output=True, text=True)
    assert done.returncode == 0 and "is off by" not in done.stderr, done.stderr
    result = json.loads((tmp_path / "peers.json").read_text())
    assert {"pdesim", "NumPy"} <= {row["package"] for row in result["results"]}
