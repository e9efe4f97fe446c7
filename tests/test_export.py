"""Exports, read back as the tools read them that they are made for."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import tracemalloc
import zlib
from xml.etree import ElementTree as Xml

import h5py
import numpy as np
import pytest
import yaml
from made_runs import EXTENT, ORIGIN, coordinates, make_run, values

from pdesim.errors import OutputError, PdesimError
from pdesim.export import FORMATS, export, write_xdmf
from pdesim.export.source import Source

SHAPES = [(5,), (6, 4), (3, 6, 4)]
SOLID = np.zeros((6, 4))
SOLID[1:3, 2] = 1


def spacing(shape):
    points = dict(zip(("z", "y", "x")[-len(shape) :], shape, strict=True))
    return {axis: EXTENT[axis] / n for axis, n in points.items()}


# --- XDMF


def slab(item: Xml.Element, folder) -> np.ndarray:
    """What the XML says, followed by hand into the HDF5 file."""
    rows, data = item
    start, stride, count = np.array(rows.text.split(), int).reshape(3, -1)
    file, _, place = data.text.partition(":")
    with h5py.File(folder / file) as opened:
        assert tuple(map(int, data.get("Dimensions").split())) == opened[place].shape
        where = tuple(slice(a, a + s * n, s) for a, s, n in zip(start, stride, count, strict=True))
        return opened[place][where].reshape(tuple(map(int, item.get("Dimensions").split())))


@pytest.mark.parametrize("shape", SHAPES)
def test_xdmf_points_at_every_frame(tmp_path, shape):
    make_run(tmp_path / "run", shape)
    target = write_xdmf(tmp_path / "run")
    assert target == tmp_path / "run" / "snapshots.xdmf"
    grids = Xml.parse(target).findall("./Domain/Grid/Grid")
    assert [float(g.find("Time").get("Value")) for g in grids] == [0, 0.5, 1]
    thick = min(spacing(shape).values())
    steps = [spacing(shape).get(axis, thick) for axis in "zyx"]
    lower = [ORIGIN[a] if a in coordinates(shape) else -thick / 2 for a in "zyx"]
    for frame, grid in enumerate(grids):
        nodes = np.array(grid.find("Topology").get("Dimensions").split(), int)
        np.testing.assert_array_equal(nodes, [n + 1 for n in (1, 1, *shape)[-3:]])
        origin, step = (np.array(i.text.split(), float) for i in grid.findall("Geometry/DataItem"))
        np.testing.assert_allclose(origin, lower, atol=1e-14)
        np.testing.assert_allclose(step, steps)
        for number, field in enumerate("ua"):
            item = grid.find(f"Attribute[@Name='{field}']/DataItem")
            stored = slab(item, target.parent)
            expected = values(shape, 3)[frame] * (number + 1)
            np.testing.assert_array_equal(stored.reshape(shape), expected.astype("f4"))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("shape", SHAPES)
def test_xdmf_is_read_by_vtk(tmp_path, shape, dtype):
    pytest.importorskip("vtkmodules", reason='needs the extra "vtk"')
    from vtkmodules.util.numpy_support import vtk_to_numpy
    from vtkmodules.vtkCommonExecutionModel import vtkStreamingDemandDrivenPipeline
    from vtkmodules.vtkIOXdmf2 import vtkXdmfReader

    make_run(tmp_path, shape, dtype=dtype, compression="gzip" if dtype == "float64" else None)
    reader = vtkXdmfReader()
    reader.SetFileName(str(export(tmp_path, "xdmf")))
    reader.UpdateInformation()
    key = vtkStreamingDemandDrivenPipeline.TIME_STEPS()
    times = reader.GetOutputInformation(0).Get(key)
    assert times == (0, 0.5, 1)
    for frame, time in enumerate(times):
        reader.UpdateTimeStep(time)
        image = reader.GetOutputDataObject(0)
        check_image(image, shape)
        cells = image.GetCellData()
        assert [cells.GetArrayName(n) for n in range(cells.GetNumberOfArrays())] == ["u", "a"]
        for number, field in enumerate("ua"):
            found = vtk_to_numpy(cells.GetArray(field)).reshape(shape)
            expected = (values(shape, 3)[frame] * (number + 1)).astype(dtype)
            np.testing.assert_array_equal(found, expected)
        check_places(image, shape, frame, dtype)


def check_image(image, shape):
    """x along x, y along y: the x-y plane lies as it should, its faces on the walls."""
    assert image.GetClassName() == "vtkImageData"
    bounds = np.reshape(image.GetBounds(), (3, 2))
    for axis, (lower, upper) in zip("xyz", bounds, strict=True):
        if axis in coordinates(shape):
            walls = [ORIGIN[axis], ORIGIN[axis] + EXTENT[axis]]
            np.testing.assert_allclose([lower, upper], walls, atol=1e-14)


def check_places(image, shape, frame, dtype):
    """Each cell's value belongs to its own middle."""
    array = image.GetCellData().GetArray("u")
    weights = {"x": 1, "y": 10, "z": 100}
    for cell in (0, 1, array.GetNumberOfTuples() - 2, array.GetNumberOfTuples() - 1):
        middle = np.reshape(image.GetCell(cell).GetBounds(), (3, 2)).mean(axis=1)
        place = dict(zip("xyz", middle, strict=True))
        expected = sum(weights[a] * place[a] for a in coordinates(shape)) + 1000 * frame
        rounding = {"rtol": 2 * np.finfo(dtype).eps, "atol": 1e-14}
        np.testing.assert_allclose(array.GetValue(cell), expected, **rounding)


def test_a_single_row_of_cells_has_the_thickness_of_the_computation(tmp_path):
    path = make_run(tmp_path)
    with h5py.File(path, "r+") as file:  # as a stored region would be
        row, centre = file["u"][:, 2:3], file["y"][2:3]
        for name in ("u", "a", "y"):
            del file[name]
        file["y"], file["u"] = centre, row
    grid = Xml.parse(write_xdmf(path)).find("./Domain/Grid/Grid")
    _, step = (np.array(i.text.split(), float) for i in grid.findall("Geometry/DataItem"))
    np.testing.assert_allclose(step, [0.5, 0.5, 0.5])


def test_xdmf_elsewhere_and_while_a_run_goes_on(tmp_path):
    path = make_run(tmp_path / "run")
    with h5py.File(path, "r+") as file:
        file["u"].resize(4, axis=0)  # a frame whose time is not yet written
    (tmp_path / "other").mkdir()
    target = export(path, "xdmf", tmp_path / "other" / "all.xdmf")
    grids = Xml.parse(target).findall("./Domain/Grid/Grid")
    assert len(grids) == 3
    item = grids[2].find("Attribute[@Name='u']/DataItem")
    assert item[1].text == "../run/snapshots.h5:/u"
    np.testing.assert_array_equal(slab(item, target.parent)[0], values((6, 4), 3)[2].astype("f4"))


# --- The Well


def check_well_format(path):
    """The demands of The Well's own check of its format, restated."""
    with h5py.File(path) as file:
        root, dims = file.attrs, file["dimensions"]
        assert isinstance(root["dataset_name"], str) and root["grid_type"] == "cartesian"
        count, steps = root["n_trajectories"], dims["time"].shape[-1]
        axes = list(dims.attrs["spatial_dims"])
        assert len(axes) == root["n_spatial_dims"] and all(isinstance(a, str) for a in axes)
        assert set(root["simulation_parameters"]) <= set(root) & set(file["scalars"])
        for item in (dims["time"], *(dims[axis] for axis in axes)):
            check_flags(item)
            assert item.dtype == np.float32 and item.ndim == 1
        for order in range(3):
            group = file[f"t{order}_fields"]
            assert set(group.attrs["field_names"]) == set(group)
            for data in group.values():
                sample, time = check_flags(data)
                assert [type(flag) for flag in data.attrs["dim_varying"]] == [np.bool_] * len(axes)
                expected = (count,) * sample + (steps,) * time
                assert data.shape == expected + tuple(dims[axis].size for axis in axes)
                assert data.dtype == np.float32
        for name in file["scalars"].attrs["field_names"]:
            sample, time = check_flags(file["scalars"][name])
            assert file["scalars"][name].shape == (count,) * sample + (steps,) * time
        for name, group in file["boundary_conditions"].items():
            assert check_flags(group) == (False, False)
            (axis,) = group.attrs["associated_dims"]
            assert axis in axes and name.startswith(f"{axis}_{group.attrs['bc_type']}")
            assert group.attrs["bc_type"] in ("periodic", "wall", "open")
            assert set(group.attrs["associated_fields"]) <= set(file["t0_fields"])
            assert group["mask"].shape == dims[axis].shape and group["mask"].dtype == bool
            assert group["values"].shape == (group["mask"][:].sum(),)
            assert group["values"].dtype == np.float32


def check_flags(item) -> tuple[bool, bool]:
    flags = tuple(item.attrs[f"{name}_varying"] for name in ("sample", "time"))
    assert all(isinstance(flag, np.bool_) for flag in flags)
    return bool(flags[0]), bool(flags[1])


@pytest.mark.parametrize("shape", SHAPES)
def test_well_layout(tmp_path, shape):
    make_run(tmp_path, shape)
    target = export(tmp_path, "well")
    assert target.name == "snapshots_well.hdf5"
    check_well_format(target)
    with h5py.File(target) as file:
        axes = ["x", "y", "z"][: len(shape)]
        assert list(file["dimensions"].attrs["spatial_dims"]) == axes
        assert file["t0_fields/a"].shape == (1, 3, *shape[::-1])
        for number, field in enumerate("ua"):
            expected = np.moveaxis(values(shape, 3) * (number + 1), 0, -1).T
            np.testing.assert_array_equal(file["t0_fields"][field][0], expected.astype("f4"))
        np.testing.assert_allclose(file["dimensions/x"][:], coordinates(shape)["x"], rtol=1e-6)
        assert list(file["t0_fields"].attrs["field_names"]) == ["u", "a"]
        assert file.attrs["D"] == 0.25 and file["scalars/D"][()] == np.float32(0.25)
        assert yaml.safe_load(file.attrs["config"][0])["grid"] == list(shape[::-1])


def test_well_takes_the_runs_of_a_sweep_as_trajectories(tmp_path):
    for number, decay in enumerate([0.1, 0.2, 0.3, 0.4] + [0.5] * 7):
        make_run(tmp_path / str(number), parameters={"D": decay, "k": 2, "c": "x*D"})
    target = export(tmp_path, "well", tmp_path / "all.hdf5")
    check_well_format(target)
    with h5py.File(target) as file:
        assert file.attrs["n_trajectories"] == 11
        # folder 10 comes after folder 9
        np.testing.assert_allclose(file["scalars/D"][:5], [0.1, 0.2, 0.3, 0.4, 0.5], rtol=1e-6)
        assert file["scalars/D"].attrs["sample_varying"] and file.attrs["D"].shape == (11,)
        assert not file["scalars/k"].attrs["sample_varying"] and file.attrs["k"] == 2
        assert list(file.attrs["simulation_parameters"]) == ["D", "k"]
        assert file["t0_fields/u"].shape == (11, 3, 4, 6)


def test_well_walls(tmp_path):
    boundary = {
        "default": "periodic",
        "x": {"lower": {"dirichlet": "2*D"}, "upper": {"neumann": "y"}},
        "a": {"x": "neumann"},
    }
    kinds = {"u.x": ["dirichlet", "neumann"], "a.x": ["neumann", "neumann"]}
    kinds |= {"u.y": ["periodic"] * 2, "a.y": ["periodic"] * 2}
    make_run(tmp_path, boundary=boundary, walls=kinds, mask=SOLID)
    target = export(tmp_path, "well")
    check_well_format(target)
    with h5py.File(target) as file:
        groups = file["boundary_conditions"]
        assert set(groups) == {"x_wall_u", "x_wall_a", "y_periodic"}
        np.testing.assert_array_equal(groups["x_wall_u/mask"][:], [True, False, False, True])
        # 2*D is a number; y varies along the wall
        np.testing.assert_array_equal(groups["x_wall_u/values"][:], [0.5, np.nan])
        np.testing.assert_array_equal(groups["x_wall_a/values"][:], [0, 0])
        assert list(groups["x_wall_u"].attrs["associated_fields"]) == ["u"]
        assert list(groups["x_wall_u"].attrs["pdesim_walls"]) == ["dirichlet", "neumann"]
        assert list(groups["y_periodic"].attrs["associated_fields"]) == []
        np.testing.assert_array_equal(file["t0_fields/mask"][:], SOLID.T)
        assert not file["t0_fields/mask"].attrs["time_varying"]


def test_well_walls_that_a_sweep_moves_have_no_common_value(tmp_path):
    boundary = {"default": {"dirichlet": "D"}, "y": {"dirichlet": 3}}
    walls = {f"{field}.{axis}": ["dirichlet"] * 2 for field in "ua" for axis in "xy"}
    for number, decay in enumerate((0.1, 0.2)):
        options = {"parameters": {"D": decay}, "boundary": boundary, "walls": walls}
        make_run(tmp_path / str(number), **options)
    target = export(tmp_path, "well")
    check_well_format(target)
    with h5py.File(target) as file:
        np.testing.assert_array_equal(file["boundary_conditions/x_wall/values"], [np.nan, np.nan])
        np.testing.assert_array_equal(file["boundary_conditions/y_wall/values"], [3, 3])


def test_well_sides_inside_the_domain_are_open(tmp_path):
    path = make_run(
        tmp_path, (6, 4), walls={f"{f}.{a}": ["neumann"] * 2 for f in "ua" for a in "xy"}
    )
    with h5py.File(path, "r+") as file:  # as a stored region would be: the upper half in y
        centres = file["y"][3:]
        stored = {field: file[field][:, 3:] for field in "ua"}
        for name in ("u", "a", "y"):
            del file[name]
        file["y"] = centres
        for field, data in stored.items():
            file[field] = data
    target = export(path, "well")
    check_well_format(target)
    with h5py.File(target) as file:
        groups = file["boundary_conditions"]
        assert set(groups) == {"x_wall", "y_open", "y_wall"}
        np.testing.assert_array_equal(groups["y_open/mask"][:], [True, False, False])
        np.testing.assert_array_equal(groups["y_wall/mask"][:], [False, False, True])


def test_well_is_read_by_its_own_package(tmp_path):
    pytest.importorskip("the_well")
    from the_well.data import WellDataset

    for number, decay in enumerate((0.1, 0.2)):
        make_run(tmp_path / str(number), (6, 4), 5, parameters={"D": decay}, mask=SOLID)
    target = export(tmp_path, "well")
    dataset = WellDataset(str(tmp_path), include_filters=["_well"], n_steps_input=2)
    assert len(dataset) == 2 * 3 and dataset.metadata.spatial_resolution == (4, 6)
    assert dataset.metadata.field_names[0] == ["u", "a"]
    sample = dataset[4]  # the second trajectory, from its second frame on
    expected = np.stack([values((6, 4), 5)[1:3] * k for k in (1, 2)], axis=-1)
    found = sample["input_fields"].numpy()
    np.testing.assert_array_equal(found, expected.transpose(0, 2, 1, 3).astype("f4"))
    np.testing.assert_allclose(sample["constant_scalars"].numpy(), [0.2])
    np.testing.assert_array_equal(sample["constant_fields"].numpy()[..., 0], SOLID.T)
    assert (sample["boundary_conditions"].numpy() == 2).all()  # periodic
    assert target.is_file()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"frames": 4}, "number of frames: 3 and 4"),
        ({"shape": (6, 8)}, r"grid: \(6, 4\) and \(6, 8\)"),
        ({"interval": 0.25}, "times: frame 2 at 1 and 0.5"),
        ({"fields": ("u",)}, "fields"),
        ({"walls": {"u.x": ["neumann", "neumann"]}}, "boundary"),
        ({"mask": SOLID}, "obstacles"),
    ],
)
def test_runs_that_do_not_fit_are_refused(tmp_path, change, told):
    make_run(tmp_path / "0")
    make_run(tmp_path / "1", **change)
    with pytest.raises(OutputError, match=told):
        export(tmp_path, "well")
    assert {path.name for path in tmp_path.iterdir()} == {"0", "1"}


# --- PDEBench


@pytest.mark.parametrize("shape", SHAPES)
def test_pdebench_groups(tmp_path, shape):
    for number in range(2):
        make_run(tmp_path / str(number), shape, frames=3 + number)
    target = export(tmp_path, "pdebench")
    assert target.name == "snapshots_pdebench.h5"
    with h5py.File(target) as file:
        assert sorted(file) == ["0000", "0001"]
        for number, group in enumerate(file.values()):
            # as its loader: (t, space.., channel) to (space.., t, channel)
            data = np.array(group["data"], dtype="f")
            data = data.transpose(*range(1, data.ndim - 1), 0, -1)
            for channel in range(2):
                expected = np.moveaxis(values(shape, 3 + number), 0, -1) * (channel + 1)
                np.testing.assert_array_equal(data[..., channel], expected.astype("f4"))
            for axis, points in coordinates(shape).items():
                np.testing.assert_allclose(group["grid"][axis], points, rtol=1e-6)
            assert group["grid/t"].shape == (3 + number,)
            assert yaml.safe_load(group.attrs["config"])["equation"]["name"] == "made"
            assert list(group.attrs["fields"]) == ["u", "a"]


def test_pdebench_tensor(tmp_path):
    for number in range(2):
        make_run(tmp_path / str(number), (5,), fields=("u",))
    target = export(tmp_path, "pdebench")
    assert target.suffix == ".hdf5"  # its loader refuses names that end in h5
    with h5py.File(target) as file:
        assert file["tensor"].shape == (2, 3, 5) and file["tensor"].dtype == np.float32
        np.testing.assert_array_equal(file["tensor"][1], values((5,), 3).astype("f4"))
        np.testing.assert_allclose(file["x-coordinate"][:], coordinates((5,))["x"], rtol=1e-6)
        np.testing.assert_allclose(file["t-coordinate"][:], [0, 0.5, 1])
        assert yaml.safe_load(file["config"].asstr()[1])["equation"]["name"] == "made"


# --- NetCDF, npz


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


# --- VTK image data


def read_vti(path, field, dtype):
    """The numbers of a field by the definition of the format, without VTK."""
    head, _, rest = path.read_bytes().partition(b'<AppendedData encoding="raw">\n_')
    array = Xml.fromstring(head + b"</VTKFile>").find(f".//CellData/DataArray[@Name='{field}']")
    rest = rest[int(array.get("offset")) :]
    blocks, size, last = np.frombuffer(rest, np.uint64, 3).astype(int)
    sizes = np.frombuffer(rest, np.uint64, blocks, 24).astype(int)
    ends = 24 + 8 * blocks + np.concatenate([[0], np.cumsum(sizes)])
    parts = [zlib.decompress(rest[a:b]) for a, b in itertools.pairwise(ends)]
    assert [len(part) for part in parts[:-1]] == [size] * (blocks - 1)
    assert len(parts[-1]) == (last or size)
    return np.frombuffer(b"".join(parts), dtype)


@pytest.mark.parametrize("shape", [*SHAPES, (512, 512), (700, 600)])
def test_vti(tmp_path, shape):
    make_run(tmp_path, shape, frames=2)
    folder = export(tmp_path, "vti")
    assert sorted(path.name for path in folder.iterdir()) == [
        "frame_0000.vti",
        "frame_0001.vti",
        "snapshots.pvd",
    ]
    listed = Xml.parse(folder / "snapshots.pvd").findall("Collection/DataSet")
    assert [(float(d.get("timestep")), d.get("file")) for d in listed] == [
        (0, "frame_0000.vti"),
        (0.5, "frame_0001.vti"),
    ]
    for frame in range(2):
        for number, field in enumerate("ua"):
            found = read_vti(folder / f"frame_000{frame}.vti", field, "f4").reshape(shape)
            expected = values(shape, 2)[frame] * (number + 1)
            np.testing.assert_array_equal(found, expected.astype("f4"))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [*SHAPES, (700, 600)])
def test_vti_is_read_by_vtk(tmp_path, shape, dtype):
    pytest.importorskip("vtkmodules", reason='needs the extra "vtk"')
    from vtkmodules.util.numpy_support import vtk_to_numpy
    from vtkmodules.vtkIOXML import vtkXMLImageDataReader

    make_run(tmp_path, shape, dtype=dtype)
    folder = export(tmp_path, "vti")
    for frame in range(3):
        reader = vtkXMLImageDataReader()
        reader.SetFileName(str(folder / f"frame_000{frame}.vti"))
        reader.Update()
        image = reader.GetOutput()
        check_image(image, shape)
        check_places(image, shape, frame, dtype)
        assert image.GetFieldData().GetArray("TimeValue").GetValue(0) == 0.5 * frame
        found = vtk_to_numpy(image.GetCellData().GetArray("a")).reshape(shape)
        np.testing.assert_array_equal(found, (values(shape, 3)[frame] * 2).astype(dtype))


# --- targets and errors


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
        with pytest.raises(OutputError, match="exists already"):
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
    with pytest.raises(OutputError, match="the data itself"):
        export(path, "npz", path, overwrite=True)
    with pytest.raises(OutputError, match="no folder"):
        export(path, "npz", tmp_path / "none" / "a.npz")
    with pytest.raises(OutputError, match="is a folder"):
        export(path, "vti", tmp_path / "run", overwrite=True)
    with pytest.raises(PdesimError, match="did you mean 'netcdf'"):
        export(path, "netcfd")
    make_run(tmp_path / "sweep" / "0")
    make_run(tmp_path / "sweep" / "1")
    with pytest.raises(OutputError, match="holds 2 runs"):
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
        "import sys; from pdesim.cli import main; code = main(sys.argv[1:])\n"
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
    command("export", "out", "--to=well", "--overwrite", "--output", "mine.hdf5")
    check_well_format(tmp_path / "mine.hdf5")
    for words in (["export", "out"], ["export"], ["export", "out", "--to", "wel"]):
        done = command(*words, check=2)
        assert "Traceback" not in done.stderr and len(done.stderr.splitlines()) <= 4
    assert json.loads((tmp_path / "out" / "status.json").read_text())["state"] == "finished"
