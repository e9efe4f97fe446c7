"""Data sets: their files beside single runs and NumPy, splits, failures, and refused input."""

from __future__ import annotations

import csv
import json
import tracemalloc
from pathlib import Path

import h5py
import numpy as np
import pytest
import yaml
from made_runs import make_run
from rich.console import Console
from well_format import check_well_format

import pdesim
from pdesim.datasets import compute
from pdesim.datasets.command import make_dataset
from pdesim.datasets.design import assign
from pdesim.datasets.statistics import Moments, summarise, total
from pdesim.errors import PdesimError
from pdesim.export.source import read_source

HEAT = (
    "equation=heat", "grid=[12,8]", "time.end=0.1", "output.frames=4",
    "equation.D=interval(0.01,0.1)", "sweep=random", "sweep.n=10", "device=cpu",
)  # fmt: skip
QUIET = Console(quiet=True)


def make(folder: Path, *words: str, to: str = "well") -> int:
    return make_dataset(words, to, folder, console=QUIET)


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "trajectories.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def heat(tmp_path_factory):
    """A data set in the layout of The Well: 8, 1 and 1 trajectories in shards of at most 3."""
    folder = tmp_path_factory.mktemp("data") / "heat"
    assert make(folder, *HEAT, "shard=3") == 0
    return folder


def test_files_have_the_format_of_the_well(heat):
    files = sorted(path.relative_to(heat).as_posix() for path in heat.rglob("*.hdf5"))
    assert files == ["data/test/heat_000.hdf5", *(f"data/train/heat_00{n}.hdf5" for n in range(3)),
                     "data/valid/heat_000.hdf5"]  # fmt: skip
    for path in files:
        check_well_format(heat / path)
    assert sorted(p.name for p in heat.iterdir()) == [
        "README.md", "data", "dataset.yaml", "stats.yaml", "trajectories.csv",
    ]  # fmt: skip


def test_trajectories_equal_single_runs(heat, tmp_path):
    rows = rows_of(heat)
    assert [int(row["number"]) for row in rows] == list(range(10))
    assert [row["seed"] for row in rows] == [row["number"] for row in rows]
    row = next(row for row in rows if row["split"] == "valid")
    run = pdesim.simulate(
        "heat", grid=[12, 8], time={"end": 0.1}, output={"frames": 4}, animation="none",
        equation={"D": float(row["equation.D"])}, seed=int(row["seed"]), device="cpu",
        folder=tmp_path / "run",
    )  # fmt: skip
    with run.snapshots as single, h5py.File(heat / row["file"]) as file:
        stored = file["t0_fields/u"][int(row["key"])]
        assert file["scalars/D"][()] == np.float32(row["equation.D"])
        # a batch may round differently: the float32 rounding of a few hundred operations
        np.testing.assert_allclose(stored, single["u"][:].swapaxes(1, 2), atol=2e-6)


def test_statistics_equal_those_of_numpy_over_the_files(heat):
    arrays = []
    for path in sorted((heat / "data" / "train").iterdir()):
        with h5py.File(path) as file:
            arrays.append(file["t0_fields/u"][:].astype(np.float64))
    u = np.concatenate(arrays)
    assert len(u) == 8
    delta = np.diff(u, axis=1)
    expected = {
        "mean": u.mean(), "std": u.std(), "rms": np.sqrt((u**2).mean()),
        "mean_delta": delta.mean(), "std_delta": delta.std(),
        "rms_delta": np.sqrt((delta**2).mean()),
    }  # fmt: skip
    stats = yaml.safe_load((heat / "stats.yaml").read_text())
    assert list(stats) == ["mean", "std", "rms", "mean_delta", "std_delta", "rms_delta"]
    for name, value in expected.items():
        # both add 4000 numbers in float64, in different orders
        assert stats[name]["u"] == pytest.approx(value, rel=1e-12)
    about = yaml.safe_load((heat / "dataset.yaml").read_text())
    assert about["statistics"]["train"] == stats
    assert about["statistics"]["test"] != stats


def test_the_package_of_the_well_reads_the_data_set(heat):
    data = pytest.importorskip("the_well.data")
    normalization = pytest.importorskip("the_well.data.normalization")
    stats = yaml.safe_load((heat / "stats.yaml").read_text())
    plain = data.WellDataset(path=str(heat), well_split_name="train")
    normal = data.WellDataset(
        path=str(heat), well_split_name="train", use_normalization=True,
        normalization_type=normalization.ZScoreNormalization,
    )  # fmt: skip
    assert len(plain) == 8 * 4 and plain.metadata.field_names[0] == ["u"]
    raw, scaled = plain[5]["input_fields"].numpy(), normal[5]["input_fields"].numpy()
    expected = (raw - stats["mean"]["u"]) / stats["std"]["u"]
    np.testing.assert_allclose(scaled, expected, rtol=1e-5, atol=1e-6)  # of float32
    rms = data.WellDataset(
        path=str(heat), well_split_name="test", use_normalization=True,
        normalization_type=normalization.RMSNormalization,
    )  # fmt: skip
    assert len(rms) == 4


def test_the_card_names_what_a_user_has_to_know(heat):
    text = (heat / "README.md").read_text()
    for part in ("du/dt = D*laplacian(u)", "| D | 0.01 to 0.1 |", "random, seed 0", "stepper",
                 "[0.8, 0.1, 0.1], seed 0", "12 x 8 cells", "8 train, 1 valid"):  # fmt: skip
        assert part in text, part
    about = yaml.safe_load((heat / "dataset.yaml").read_text())
    assert about["request"]["swept"]["equation.D"] == {
        "low": 0.01, "high": 0.1, "scale": "linear", "integers": False,
    }  # fmt: skip
    assert about["time"] == {"start": 0.0, "end": 0.1, "frames": 5, "interval": 0.025}


def test_groups_of_pdebench(heat, tmp_path):
    folder = tmp_path / "groups"
    assert make(folder, *HEAT, "shard=3", to="pdebench") == 0
    assert sorted(p.name for p in (folder / "data").iterdir()) == [
        "test.h5",
        "train.h5",
        "valid.h5",
    ]
    rows = [row for row in rows_of(folder) if row["split"] == "train"]
    with h5py.File(folder / "data" / "train.h5") as file:
        # FNODatasetMult takes every key of the file as a trajectory
        assert sorted(file) == [f"{n:04}" for n in range(8)] == [row["key"] for row in rows]
        for row in rows:
            group = file[row["key"]]
            data = np.array(group["data"], dtype="f")
            assert data.shape == (5, 8, 12, 1)
            assert group["grid/x"].shape == (12,) and group["grid/t"].shape == (5,)
            assert yaml.safe_load(group.attrs["config"])["seed"] == int(row["seed"])
        first = file["0000/data"][..., 0].swapaxes(1, 2)
    with h5py.File(heat / rows_of(heat)[int(rows[0]["number"])]["file"]) as file:
        assert np.array_equal(first, file["t0_fields/u"][0])


def test_the_tensor_of_pdebench(tmp_path):
    folder = tmp_path / "tensor"
    words = [word for word in HEAT if not word.startswith("grid")]
    assert make(folder, *words, "grid=[16]", "shard=3", to="pdebench") == 0
    with h5py.File(folder / "data" / "train.hdf5") as file:
        assert file["tensor"].shape == (8, 5, 16) and file["tensor"].dtype == np.float32
        assert file["x-coordinate"].shape == (16,) and file["t-coordinate"].shape == (5,)
        seeds = [yaml.safe_load(text)["seed"] for text in file["config"].asstr()]
        assert len({row.tobytes() for row in file["tensor"][:]}) == 8
    rows = [row for row in rows_of(folder) if row["split"] == "train"]
    assert seeds == [int(row["seed"]) for row in rows]
    assert [row["key"] for row in rows] == [str(n) for n in range(8)]


def test_npz_has_a_file_per_trajectory(heat, tmp_path):
    folder = tmp_path / "npz"
    assert make(folder, *HEAT, "shard=3", to="npz") == 0
    rows = rows_of(folder)
    assert len(list((folder / "data").rglob("*.npz"))) == 10
    for row, other in zip(rows, rows_of(heat), strict=True):
        with np.load(folder / row["file"], allow_pickle=False) as arrays:
            assert arrays["u"].shape == (5, 8, 12) and row["split"] == other["split"]
            with h5py.File(heat / other["file"]) as file:
                well = file["t0_fields/u"][int(other["key"])]
            assert np.array_equal(arrays["u"].swapaxes(1, 2), well)


def test_code_of_the_card_runs(tmp_path, monkeypatch):
    for name, grid in (
        ("pdebench", "grid=[12,8]"),
        ("pdebench", "grid=[16]"),
        ("npz", "grid=[16]"),
    ):
        folder = tmp_path / f"{name}{grid}"
        assert make(folder, *HEAT, grid, "splits=[1,0,0]", "sweep.n=2", to=name) == 0
        code = (folder / "README.md").read_text().split("```python\n")[1].split("```")[0]
        monkeypatch.chdir(folder)
        names: dict = {}
        exec(code, names)
        trajectory = names["trajectory"]
        array = trajectory["u"] if name == "npz" else trajectory
        assert array.shape[0] == 5


@pytest.mark.parametrize(
    "count, fractions, sizes",
    [
        (10, [0.8, 0.1, 0.1], [8, 1, 1]), (1200, [0.8, 0.1, 0.1], [960, 120, 120]),
        (4, [0.8, 0.1, 0.1], [2, 1, 1]), (7, [0.5, 0.25, 0.25], [3, 2, 2]), (5, [1, 0, 0], [5]),
        (3, [0.98, 0.01, 0.01], [1, 1, 1]), (10, [0.7, 0.3, 0.0], [7, 3]),
    ],
)  # fmt: skip
def test_splits(count, fractions, sizes):
    parts = assign(count, fractions, seed=1)
    assert [len(part) for part in parts.values()] == sizes
    assert sorted(n for part in parts.values() for n in part) == list(range(count))
    assert all(part == sorted(part) for part in parts.values())
    assert assign(count, fractions, seed=1) == parts
    if count == 1200:  # random: means of 120 of 1200 numbers lie within 4 deviations (31 each)
        assert assign(count, fractions, seed=2) != parts
        assert abs(np.mean(parts["test"]) - 599.5) < 4 * 31


def test_moments_of_parts_are_those_of_all():
    rng = np.random.default_rng(0)
    values = 1e6 + rng.standard_normal(1000)  # E[x^2] - E[x]^2 would lose ten digits
    parts = total_of([values[:1], values[1:300], values[300:300], values[300:]])
    assert parts.count == 1000 and parts.mean == pytest.approx(values.mean(), rel=1e-15)
    assert parts.std == pytest.approx(values.std(), rel=1e-10)
    assert Moments().std == 0 and (Moments() + Moments()).count == 0


def total_of(parts) -> Moments:
    result = Moments()
    for part in parts:
        result += Moments.of(part) if part.size else Moments()
    return result


def test_failed_trajectories_are_left_out_and_listed(tmp_path):
    folder = tmp_path / "blow_up"
    words = (
        "equation=custom", "equation.rhs={u: 'a*u**2'}", "initial.u=1", "grid=[8]", "time.end=1",
        "equation.a=0.1,0.2,50,0.3,0.4", "output.frames=2", "splits=[1,0,0]", "shard=2",
        "stepper=rk4", "time.dt=0.01", "device=cpu",
    )  # fmt: skip
    assert make(folder, *words) == 3  # u = 1/(1 - a*t) is infinite at t = 0.02 for a = 50
    rows = rows_of(folder)
    assert [row["state"] for row in rows] == ["stored", "stored", "failed", "stored", "stored"]
    assert "NaN" in rows[2]["cause"] or "infinite" in rows[2]["cause"]
    assert rows[2]["file"] == "" and [row["key"] for row in rows] == ["0", "1", "", "0", "0"]
    with h5py.File(folder / rows[3]["file"]) as file:
        assert file.attrs["n_trajectories"] == 1
        # rk4 with 100 steps: error below 1e-8, then the rounding of float32
        assert file["t0_fields/u"][0, -1] == pytest.approx(1 / (1 - 0.3), rel=1e-5)
    about = yaml.safe_load((folder / "dataset.yaml").read_text())
    assert list(about["failed"]) == [2] and f"- 2: {about['failed'][2]}" in (
        folder / "README.md"
    ).read_text().replace("\n  ", " ")
    assert make(folder, *words) == 3  # complete already: the exit code is the same


def test_a_data_set_without_any_trajectory(tmp_path):
    words = (
        "equation=custom", "equation.rhs={u: 'a*u**2'}", "initial.u=1", "grid=[8]", "time.end=1",
        "equation.a=50,60", "splits=[1,0,0]", "stepper=rk4", "time.dt=0.01",
    )  # fmt: skip
    with pytest.raises(PdesimError, match="all 2 trajectories have failed, the first one") as error:
        make(tmp_path / "none", *words)
    assert error.value.exit_code == 3


def test_values_beyond_the_stored_type_fail(tmp_path):
    words = (
        "equation=custom", "equation.rhs={u: '0'}", "initial.u=seed*1e39", "grid=[8]", "time.end=1",
        "output.frames=2", "seed=0,1", "splits=[1,0,0]", "device.precision=float64",
    )  # fmt: skip
    words = tuple(w for w in words if not w.startswith(("initial", "seed")))
    words += ("initial.u=a*1e39", "equation.a=0.01,1", "equation.rhs={u: '0*a'}")
    assert make(tmp_path / "well", *words) == 3
    assert "exceeds the range of float32" in rows_of(tmp_path / "well")[1]["cause"]
    assert make(tmp_path / "npz", *words, to="npz") == 0  # in double precision


def test_stationary_trajectories_are_listed(tmp_path):
    folder = tmp_path / "decay"
    # u decays to its mean at the rate (2*pi)**2*D: by exp(-39*D) between the last two frames
    words = ("equation=heat", "grid=[16]", "initial.u='1 + cos(2*pi*x)'", "time.end=2",
             "output.frames=2", "equation.D=0.01,2", "splits=[1,0,0]", "stepper=exact")  # fmt: skip
    assert make(folder, *words) == 0
    assert [row["state"] for row in rows_of(folder)] == ["stored", "stationary"]
    about = yaml.safe_load((folder / "dataset.yaml").read_text())
    assert about["stationary"] == [1] and about["trajectories"] == {"train": 2}


def test_repeats_have_their_own_seeds(tmp_path):
    folder = tmp_path / "repeats"
    words = ("equation=heat", "grid=[8]", "time.end=0.1", "output.frames=1", "seed=5",
             "initial.u='random_normal(1)'", "equation.D=0.1,0.2", "repeats=3",
             "splits=[1,0,0]")  # fmt: skip
    assert make(folder, *words, to="npz") == 0
    rows = rows_of(folder)
    assert [row["equation.D"] for row in rows] == ["0.1"] * 3 + ["0.2"] * 3
    assert [row["seed"] for row in rows] == [str(n) for n in range(5, 11)]
    first = [np.load(folder / row["file"])["u"][0].tobytes() for row in rows]
    assert len(set(first)) == 6


def test_steady_problems(tmp_path):
    words = ("equation=poisson", "grid=16", "equation.width=0.05,0.06", "splits=[1,0,0]")
    assert make(tmp_path / "npz", *words, to="npz") == 0
    (path, _) = sorted((tmp_path / "npz").rglob("*.npz"))
    assert np.load(path)["u"].shape == (1, 16, 16)
    with pytest.raises(PdesimError, match="at least two frames"):
        make(tmp_path / "well", *words)
    assert not (tmp_path / "well").exists()


def test_runs_of_one_shard_are_on_the_disk_at_a_time(tmp_path, monkeypatch):
    folder, counts = tmp_path / "data", []
    write = compute.write_record

    def counted(target, shard, record):
        counts.append(len(list((folder / ".pdesim" / "runs").iterdir())))
        write(target, shard, record)

    monkeypatch.setattr(compute, "write_record", counted)
    assert make(folder, *HEAT, "shard=3") == 0
    assert counts == [3, 3, 2, 1, 1] and not (folder / ".pdesim").exists()


def test_a_run_is_summarised_frame_by_frame(tmp_path):
    path = make_run(tmp_path / "run", frames=40, shape=(64, 64))
    source = read_source(path if path.is_file() else path / "snapshots.h5")
    summarise(source)
    tracemalloc.start()
    summary = summarise(source)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    frame = 64 * 64 * 8 * len(source.fields)
    assert peak < 12 * frame  # of 40 frames
    assert total([summary.statistics]).values == summary.statistics.values


REFUSED = [
    (("splits=[0.5,0.5]",), "splits is"),
    (("splits=[0.5,0.4,0.2]",), "sum 1"),
    (("splits=[0,0.5,0.5]",), "the first one above 0"),
    (("splits=0.8",), "three fractions"),
    (("split_seed=-1",), "split_seed is -1"),
    (("shard=0",), "shard is 0"),
    (("repeats=0",), "repeats is 0"),
    (("sweep.n=2",), "2 trajectories cannot be divided into 3 splits"),
    (("grid=8,16", "sweep=grid", "sweep.n=null", "equation.D=0.1"), "grid cannot vary"),
    (("time.end=0.1,0.2", "sweep=grid", "sweep.n=null", "equation.D=1"), "time.end cannot vary"),
    (("hydra.run.dir=x",), "hydra.run.dir has no effect"),
    (("animation=gif",), "animation has no effect"),
    (("stop.frames=3",), "stop.frames has no effect"),
    (("seed=range(4)", "repeats=2", "sweep=grid", "sweep.n=null", "equation.D=1"), "swept setting"),
    (("equation.d=1",), "equation.d is unknown"),
    (("stepper=euler", "time.dt=10"), "above"),
]


@pytest.mark.parametrize("words, message", REFUSED, ids=lambda value: str(value)[:40])
def test_refused_settings(tmp_path, words, message):
    kept = {word.partition("=")[0] for word in words}
    given = [word for word in HEAT if word.partition("=")[0] not in kept]
    with pytest.raises(PdesimError, match=message.replace("[", r"\[")):
        make(tmp_path / "data", *given, *(w for w in words if w != "sweep.n=null"))
    assert not (tmp_path / "data").exists()


def test_refused_formats_and_folders(tmp_path, heat):
    with pytest.raises(PdesimError, match="did you mean 'well'"):
        make(tmp_path / "data", *HEAT, to="wel")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("important")
    with pytest.raises(PdesimError, match="is not empty"):
        make(tmp_path / "mine", *HEAT)
    assert [p.name for p in (tmp_path / "mine").iterdir()] == ["thesis.txt"]
    before = {p: p.read_bytes() for p in heat.rglob("*") if p.is_file()}
    with pytest.raises(PdesimError, match=r"other settings: shard was 3, now 4"):
        make(heat, *HEAT, "shard=4")
    with pytest.raises(PdesimError, match=r"equation.D.low was 0.01, now 0.02"):
        make(heat, *(w.replace("0.01,", "0.02,") for w in HEAT), "shard=3")
    assert make(heat, *HEAT, "shard=3", "time.wall_limit=1000") == 0  # has no effect on the values
    assert {p: p.read_bytes() for p in heat.rglob("*") if p.is_file()} == before


def test_damaged_records_are_reported(tmp_path, monkeypatch):
    folder = tmp_path / "data"

    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("pdesim.datasets.command.write_card", stop)
    with pytest.raises(KeyboardInterrupt):
        make(folder, *HEAT, "shard=3")
    monkeypatch.undo()
    path = folder / ".pdesim" / "records" / "train_001.json"
    record = json.loads(path.read_text())
    path.write_text("{")
    with pytest.raises(PdesimError, match=r"train_001\.json cannot be read"):
        make(folder, *HEAT, "shard=3")
    path.write_text(json.dumps(record))
    (folder / "data" / "train" / "heat_001.hdf5").unlink()  # computed again
    assert make(folder, *HEAT, "shard=3") == 0
    assert (folder / "data" / "train" / "heat_001.hdf5").is_file()


def test_from_python(tmp_path, heat):
    words = [word for word in HEAT[1:] if not word.startswith("grid")]
    folder = pdesim.dataset(
        "heat", *words, grid=[12, 8], to="well", folder=tmp_path / "data", shard=3,
        splits=np.array([0.8, 0.1, 0.1]),
    )  # fmt: skip
    assert (folder / "trajectories.csv").read_text() == (heat / "trajectories.csv").read_text()
    assert (folder / "stats.yaml").read_text() == (heat / "stats.yaml").read_text()
    with pytest.raises(PdesimError, match="splits is"):
        pdesim.dataset("heat", to="well", folder=tmp_path / "other", splits=(1, 2, 3))
    with pytest.raises(PdesimError, match="is not a setting"):
        pdesim.dataset("heat", to="well", folder=tmp_path / "other", spllits=(1, 0, 0))
