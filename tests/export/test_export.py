"""Exports, read back as the tools read them that they are made for."""

from __future__ import annotations

import json
import subprocess
import sys
import tracemalloc
from xml.etree import ElementTree as Xml

import h5py
import numpy as np
import pytest
import yaml
from made_runs import SHAPES, coordinates, make_run, values
from well_format import check_well_format

from pdesim.errors import OutputError, PdesimError
from pdesim.export import FORMATS, export
from pdesim.export.source import Source


@pytest.mark.parametrize("engine", ["h5netcdf", "netcdf4"])
@pytest.mark.parametrize("shape", SHAPES)
def test_netcdf(tmp_path, shape, engine):
    xarray = pytest.importorskip("xarray")
    pytest.importorskip({"netcdf4": "netCDF4"}.get(engine, engine))
    make_run(tmp_path, shape, dtype="float64", mask=np.ones(shape))
    target = export(tmp_path, "netcdf")
    with xarray.open_dataset(target, engine=engine) as dataset:
        assert dataset["u"].dims == ("time", *coordinates(shape))
        assert dataset["u"].dtype == np.float64
        assert dataset["u"].attrs == {"units": "K", "long_name": "field u"}
        assert dataset["x"].attrs["axis"] == "X" and dataset["time"].attrs["axis"] == "T"
        assert dataset.encoding["unlimited_dims"] == {"time"}
        assert dataset.attrs["Conventions"] == "CF-1.8" and dataset.attrs["fields"] == "u a"
        assert dataset.attrs["seed"] == 7 and dataset["mask"].values.all()
        np.testing.assert_array_equal(dataset["a"], 2 * values(shape, 3))
        # by coordinates, so that a mix-up of axes cannot agree
        point = {axis: points[1] for axis, points in coordinates(shape).items()}
        expected = sum(w * point.get(a, 0) for a, w in zip("xyz", (1, 10, 100), strict=True))
        np.testing.assert_allclose(dataset["u"].sel(point | {"time": 0.5}), 1000 + expected)


def test_netcdf_names_the_extra_that_it_lacks(tmp_path, monkeypatch):
    make_run(tmp_path)
    monkeypatch.setitem(sys.modules, "h5netcdf", None)
    with pytest.raises(PdesimError, match=r"pdesim\[xarray\]"):
        export(tmp_path, "netcdf")
    assert len(list(tmp_path.iterdir())) == 1


def test_half_precision_becomes_single(tmp_path):
    make_run(tmp_path, dtype="float16")
    expected = values((6, 4), 3).astype("f2").astype("f4")
    with h5py.File(export(tmp_path, "netcdf")) as file:
        assert file["u"].dtype == np.float32
        np.testing.assert_array_equal(file["u"][:], expected)
    with np.load(export(tmp_path, "npz")) as file:
        np.testing.assert_array_equal(file["u"], expected)


@pytest.mark.parametrize("shape", SHAPES)
def test_npz(tmp_path, shape):
    make_run(tmp_path, shape, dtype="float64", mask=np.ones(shape))
    with np.load(export(tmp_path, "npz"), allow_pickle=False) as file:
        np.testing.assert_array_equal(file["u"], values(shape, 3))
        np.testing.assert_array_equal(file["a"], 2 * values(shape, 3))
        np.testing.assert_array_equal(file["time"], [0, 0.5, 1])
        np.testing.assert_array_equal(file["x"], coordinates(shape)["x"])
        assert file["mask"].all() and "du/dt" in str(file["equation"])
        assert yaml.safe_load(str(file["config"]))["equation"]["D"] == 0.25


@pytest.mark.parametrize("name", FORMATS)
def test_an_export_appears_whole_or_not_at_all(tmp_path, monkeypatch, name):
    path = make_run(tmp_path)
    before = path.read_bytes()

    def broken(self, *_):
        yield 0, {field: np.zeros(self.shape, self.dtypes[field]) for field in self.fields}
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Source, "frames", broken)
        if name == "xdmf":  # reads no frames; the disk is full instead
            patch.setattr(Xml.ElementTree, "write", lambda *_, **__: (_ for _ in ()).throw(OSError))
        with pytest.raises((KeyboardInterrupt, OutputError)):
            export(tmp_path, name)
    assert [child.name for child in tmp_path.iterdir()] == ["snapshots.h5"]
    target = export(tmp_path, name)
    if name == "xdmf":  # every run writes one itself: it is renewed
        assert export(tmp_path, name) == target
    else:
        with pytest.raises(OutputError, match="already exists"):
            export(tmp_path, name)
    with monkeypatch.context() as patch:
        patch.setattr(Source, "frames", broken)
        patch.setattr(Xml.ElementTree, "write", lambda *_, **__: (_ for _ in ()).throw(OSError))
        with pytest.raises((KeyboardInterrupt, OutputError)):
            export(tmp_path, name, overwrite=True)
    assert target.exists() and len(list(tmp_path.iterdir())) == 2
    assert export(tmp_path, name, overwrite=True) == target
    assert path.read_bytes() == before


@pytest.mark.parametrize("name", [name for name in FORMATS if name != "xdmf"])
def test_frames_pass_through_one_at_a_time(tmp_path, name):
    make_run(tmp_path, (64, 64), frames=40, fields=("u", "a"), dtype="float64")
    export(tmp_path, name, tmp_path / "first")  # imports and buffers of the first time
    tracemalloc.start()
    export(tmp_path, name, tmp_path / "second")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    one = 64 * 64 * 8 * 2
    # a few copies of a frame and the compressor's buffers, beside 40 frames in the file
    assert peak < 12 * one, f"{peak / one:.1f} frames in memory"


def test_targets_that_are_refused(tmp_path):
    path = make_run(tmp_path / "run")
    with pytest.raises(OutputError, match="the input file"):
        export(path, "npz", path, overwrite=True)
    with pytest.raises(OutputError, match="no such folder"):
        export(path, "npz", tmp_path / "none" / "a.npz")
    with pytest.raises(OutputError, match="is a folder"):
        export(path, "vti", tmp_path / "run", overwrite=True)
    with pytest.raises(PdesimError, match="did you mean 'netcdf'"):
        export(path, "netcfd")
    make_run(tmp_path / "sweep" / "0")
    make_run(tmp_path / "sweep" / "1")
    with pytest.raises(OutputError, match="contains 2 runs"):
        export(tmp_path / "sweep", "npz")
    assert path.is_file() and len(list((tmp_path / "run").iterdir())) == 1


def test_damaged_and_foreign_files(tmp_path):
    with h5py.File(make_run(tmp_path / "empty"), "r+") as file:
        del file["time"]
        file["time"] = np.zeros(0)
    with pytest.raises(OutputError, match="no frames yet"):
        export(tmp_path / "empty", "npz")
    with h5py.File(make_run(tmp_path / "odd"), "r+") as file:
        file["w"] = np.zeros((3, 5))
    with pytest.raises(OutputError, match=r"w in .* has shape"):
        export(tmp_path / "odd", "npz")
    with h5py.File(tmp_path / "foreign.h5", "w") as file:
        file["time"] = [0.0, 1.0]
        file["x"] = [0.25, 0.75]
        file["u"] = [[1.0, 2.0], [3.0, 4.0]]
    for name in FORMATS:  # no attribute is needed
        export(tmp_path / "foreign.h5", name)
    check_well_format(tmp_path / "foreign_well.hdf5")
    damaged = make_run(tmp_path / "damaged", (64, 64))
    with h5py.File(damaged) as file:
        chunk = file["a"].id.get_chunk_info(1)
    data = bytearray(damaged.read_bytes())
    data[chunk.byte_offset : chunk.byte_offset + chunk.size] = bytes(chunk.size)
    damaged.write_bytes(data)
    with pytest.raises(OutputError, match="frame 1 of a"):
        export(damaged, "npz")


def test_export_needs_neither_tensorflow_nor_hydra(tmp_path):
    make_run(tmp_path)
    code = (
        "import sys; from pdesim.cli.main import main; code = main(sys.argv[1:])\n"
        "sys.exit(code or any(name in sys.modules for name in ('tensorflow', 'hydra')))"
    )
    for words in (["export", str(tmp_path), "--to", "well"], ["info", str(tmp_path)]):
        done = subprocess.run([sys.executable, "-c", code, *words], cwd=tmp_path)
        assert done.returncode == 0, words


def test_the_command(command, tmp_path):
    """A real run through every format; its walls and its seed arrive."""
    quick = ("equation=wave", "grid=[24,16]", "output.frames=3", "time.end=0.1", "animation=none")
    command(*quick, "boundary.x=dirichlet", "hydra.run.dir=out")
    with h5py.File(tmp_path / "out" / "snapshots.h5") as file:
        stored = file["w"][:]
    for name in FORMATS:
        target = tmp_path / command("export", "out", "--to", name).stdout.strip()
        assert target.exists() and target.parent.name == "out"
    check_well_format(tmp_path / "out" / "snapshots_well.hdf5")
    with h5py.File(tmp_path / "out" / "snapshots_well.hdf5") as file:
        np.testing.assert_array_equal(file["t0_fields/w"][0], stored.transpose(0, 2, 1))
        assert set(file["boundary_conditions"]) == {"x_wall", "y_periodic"}
        assert list(file.attrs["simulation_parameters"]) == ["c", "damping"]
    with np.load(tmp_path / "out" / "snapshots.npz") as file:
        np.testing.assert_array_equal(file["w"], stored)
    told = command("export", "out", "--to", "well", check=2).stderr
    assert "--overwrite" in told and "Traceback" not in told
    words = ("export", "out", "--to=well", "--overwrite", "--output", "mine.hdf5")
    command(*words, fresh=True)
    check_well_format(tmp_path / "mine.hdf5")
    for words in (["export", "out"], ["export"], ["export", "out", "--to", "wel"]):
        done = command(*words, check=2)
        assert "Traceback" not in done.stderr and len(done.stderr.splitlines()) <= 4
    assert json.loads((tmp_path / "out" / "status.json").read_text())["state"] == "finished"
