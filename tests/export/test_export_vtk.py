"""XDMF descriptions and VTK image data, read back as ParaView reads them."""

from __future__ import annotations

import itertools
import zlib
from xml.etree import ElementTree as Xml

import h5py
import numpy as np
import pytest
from made_runs import EXTENT, ORIGIN, SHAPES, coordinates, make_run, values

from pdesim.export import export, write_xdmf


def spacing(shape):
    points = dict(zip(("z", "y", "x")[-len(shape) :], shape, strict=True))
    return {axis: EXTENT[axis] / n for axis, n in points.items()}


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
