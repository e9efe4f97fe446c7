"""Exports to the layouts of data sets: The Well's and PDEBench's."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
import yaml
from made_runs import SHAPES, coordinates, make_run, values
from well_format import check_well_format

from pdesim.errors import OutputError
from pdesim.export import export

SOLID = np.zeros((6, 4))
SOLID[1:3, 2] = 1


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
    make_run(tmp_path, boundary=boundary, kinds=kinds, mask=SOLID)
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
    kinds = {f"{field}.{axis}": ["dirichlet"] * 2 for field in "ua" for axis in "xy"}
    for number, decay in enumerate((0.1, 0.2)):
        options = {"parameters": {"D": decay}, "boundary": boundary, "kinds": kinds}
        make_run(tmp_path / str(number), **options)
    target = export(tmp_path, "well")
    check_well_format(target)
    with h5py.File(target) as file:
        np.testing.assert_array_equal(file["boundary_conditions/x_wall/values"], [np.nan, np.nan])
        np.testing.assert_array_equal(file["boundary_conditions/y_wall/values"], [3, 3])


def test_well_sides_inside_the_domain_are_open(tmp_path):
    path = make_run(
        tmp_path, (6, 4), kinds={f"{f}.{a}": ["neumann"] * 2 for f in "ua" for a in "xy"}
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
        ({"kinds": {"u.x": ["neumann", "neumann"]}}, "boundary"),
        ({"mask": SOLID}, "obstacles"),
    ],
)
def test_runs_that_do_not_fit_are_refused(tmp_path, change, told):
    make_run(tmp_path / "0")
    make_run(tmp_path / "1", **change)
    with pytest.raises(OutputError, match=told):
        export(tmp_path, "well")
    assert {path.name for path in tmp_path.iterdir()} == {"0", "1"}


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
