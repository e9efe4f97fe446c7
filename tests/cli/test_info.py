"""What ``pdesim info`` says of runs, sweeps, damaged and foreign files."""

from __future__ import annotations

import json

import h5py
import numpy as np
import pytest
from made_runs import make_run, values

from pdesim.cli.main import main
from pdesim.errors import OutputError
from pdesim.output.find import find_runs
from pdesim.output.status import speed
from pdesim.output.summary import summarize


def strict(text: str):
    """JSON without NaN and Infinity, which Python would let through."""

    def refuse(word):
        raise AssertionError(f"{word} is no JSON")

    return json.loads(text, parse_constant=refuse)


def test_facts_of_a_run(tmp_path):
    status = {"state": "failed", "error": "u stopped", "steps": 9, "steps_per_second": 1e3}
    path = make_run(tmp_path, status=status, dtype="float64", parameters={"D": 0.25, "c": "x*D"})
    run = summarize(tmp_path)
    assert (run.path, run.state, run.error) == (str(path), "failed", "u stopped")
    assert run.equation == "made" and run.formulas == ("du/dt = 0", "da/dt = 0")
    assert run.parameters == {"D": 0.25, "c": "x*D"} and run.seed == 7
    assert list(run.grid) == ["x", "y"] and run.grid["x"].points == 4
    assert (run.grid["x"].lower, run.grid["x"].upper) == pytest.approx((-1, 1))
    assert run.boundary["a"]["y"] == ("periodic", "periodic")
    assert run.operators == "stencil of order 2" and run.precision == "float32"
    assert (run.frames, run.first_time, run.last_time) == (3, 0, 1)
    assert list(run.fields) == ["u", "a"]  # the equation's order
    last = 2 * values((6, 4), 3)[-1]
    found = run.fields["a"]
    assert (found.min, found.max) == (last.min(), last.max())
    assert found.mean == pytest.approx(last.mean()) and found.drift == pytest.approx(4000)
    assert (found.units, found.long_name, found.dtype) == ("K", "field a", "float64")
    assert run.progress == {"steps": 9, "steps_per_second": 1e3}
    assert run.versions == {"pdesim": "0.1.0"}
    assert run.file_bytes == path.stat().st_size and run.data_bytes == 2 * 3 * 24 * 8
    assert run.compression == run.data_bytes / run.stored_bytes


def test_obstacles_and_the_frame_that_is_being_written_do_not_count(tmp_path):
    mask = np.zeros((6, 4))
    mask[0] = 1
    with h5py.File(make_run(tmp_path, mask=mask, dtype="float64"), "r+") as file:
        file["u"][:, 0] = np.nan
        file["u"].resize(4, axis=0)
    run = summarize(tmp_path)
    assert run.frames == 3
    assert run.fields["u"].mean == pytest.approx(values((6, 4), 3)[-1, 1:].mean())


def test_numbers_that_are_not_finite(command, tmp_path):
    with h5py.File(make_run(tmp_path), "r+") as file:
        file["u"][-1, 2, 2] = np.nan
    told = strict(command("info", ".", "--json").stdout)
    assert told["fields"]["u"]["mean"] is None and told["fields"]["a"]["mean"] > 0
    assert told["state"] == "unknown" and told["frames"] == 3
    assert "not finite" in command("info", "snapshots.h5").stdout


def test_damaged_and_foreign_files(command, tmp_path):
    path = make_run(tmp_path / "sweep" / "0", status={"state": "finished"})
    damaged = make_run(tmp_path / "sweep" / "1")
    damaged.write_bytes(damaged.read_bytes()[:3000])
    with h5py.File(tmp_path / "foreign.h5", "w") as file:
        file["time"], file["x"] = [0.0, 1.0], [0.25, 0.75]
        file["T"] = [[1.0, 2.0], [3.0, 4.0]]
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["data"] = np.zeros(3)
    (tmp_path / "text.h5").write_text("no HDF5")
    for name in ("sweep/1", "other.h5", "text.h5", "none", "."):
        done = command("info", name, check=2)
        assert name.removeprefix("sweep/") in done.stderr and "Traceback" not in done.stderr
        assert len(done.stderr.splitlines()) <= 4 and done.stdout == ""
    assert summarize(tmp_path / "foreign.h5").fields["T"].drift == 2
    assert "T" in command("info", "foreign.h5").stdout
    # one damaged run does not hide the others
    told = strict(command("info", "sweep", "--json").stdout)
    assert [run["state"] for run in told] == ["finished", "unreadable"]
    table = command("info", "sweep").stdout
    assert "unreadable" in table and "2 runs of made" in table
    with pytest.raises(OutputError, match="frame 2 of a"):
        data = bytearray(path.read_bytes())
        with h5py.File(path) as file:
            chunk = file["a"].id.get_chunk_info(2)
        data[chunk.byte_offset : chunk.byte_offset + chunk.size] = bytes(chunk.size)
        path.write_bytes(data)
        summarize(path)


def test_compression_by_a_plugin(command, tmp_path):
    hdf5plugin = pytest.importorskip("hdf5plugin")
    make_run(tmp_path / "run", compression=hdf5plugin.Blosc2())
    told = strict(command("info", "run", "--json").stdout)
    assert told["fields"]["u"]["drift"] == pytest.approx(2000)
    command("export", "run", "--to", "npz")


def test_runs_are_found_in_the_order_of_their_numbers(tmp_path):
    for name in ("10", "9", "b", "a2"):
        make_run(tmp_path / name)
    (tmp_path / "empty").mkdir()
    assert [run.parent.name for run in find_runs(tmp_path)] == ["9", "10", "a2", "b"]
    assert find_runs(tmp_path / "9") == find_runs(tmp_path / "9" / "snapshots.h5")


def test_a_real_sweep(command, tmp_path):
    quick = ("equation=heat", "grid=[24,16]", "output.frames=3", "time.end=0.1", "animation=none")
    command("-m", *quick, "equation.D=1e-3,2e-3", "hydra.sweep.dir=sweep")
    told = strict(command("info", "sweep/1", "--json").stdout)
    assert told["state"] == "finished" and told["parameters"]["D"] == 2e-3
    assert told["grid"]["x"]["points"] == 24 and told["last_time"] == 0.1
    assert told["progress"]["steps_per_second"] > 0 and "tensorflow" in told["versions"]
    rows = np.genfromtxt(tmp_path / "sweep" / "1" / "diagnostics.csv", delimiter=",", names=True)
    assert told["fields"]["u"]["mean"] == pytest.approx(rows["u_mean"][-1])
    assert told["fields"]["u"]["drift"] == pytest.approx(
        rows["u_mean"][-1] - rows["u_mean"][0], abs=1e-8
    )
    page = command("info", "sweep/1", fresh=True).stdout
    for part in (
        "du/dt = D*laplacian(u)",
        "24 x 16",
        "finished",
        "periodic",
        "steps/s",
        "D = 0.002",
    ):
        assert part in page
    table = command("info", "sweep").stdout
    assert "2 runs of heat" in table and "0.001" in table and table.count("finished") == 2
    assert "PATH" in command("info", check=2).stderr


@pytest.mark.parametrize(
    ("rates", "told"),
    [
        ((2558.006, 670566052), "2,558 steps/s  671 Mcells/s"),
        ((13.374, 3.344e3), "13.4 steps/s  3.34 kcells/s"),
        ((0.25, 16.0), "0.25 steps/s  16.0 cells/s"),
        ((9.996, 999.6), "10.0 steps/s  1.00 kcells/s"),
        ((1e3, None), "1,000 steps/s"),
        ((1e4, 2.6e10), "10,000 steps/s  26.0 Gcells/s"),
    ],
)
def test_speeds_are_told_in_units_that_fit(rates, told):
    assert speed(*rates) == told


def test_an_error_in_time_below_rounding_is_said_to_be_that(tmp_path):
    from pdesim.cli.run_table import _time_error

    for errors, told in (
        ({"u": 0.0, "a": 0.0}, "not above the rounding error"),
        ({"u": 0.0, "a": 2e-4}, "about u 0, a 2e-04 of each field's range (estimated)"),
    ):
        make_run(
            tmp_path / told[:5], status={"state": "finished", "steps": 9, "time_error": errors}
        )
        assert _time_error(summarize(tmp_path / told[:5])) == told


def test_info_names_the_rounding_that_halves_the_file(tmp_path, capsys):
    words = ["equation=gray_scott", "grid=32", "time.end=50", "output.frames=3", "animation=none"]
    for name, more in (("all", []), ("rounded", ["output.keep_bits=8"])):
        assert main([*words, *more, f"hydra.run.dir={tmp_path / name}"]) == 0
    capsys.readouterr()
    assert main(["info", str(tmp_path / "all"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["rounding"]
    assert 0.3 < found["size"] <= 0.5 and 4 < found["keep_bits"] < 20
    assert main(["info", str(tmp_path / "all")]) == 0
    assert f"output.keep_bits={found['keep_bits']} would store" in capsys.readouterr().out
    assert main(["info", str(tmp_path / "rounded"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rounding"] is None
