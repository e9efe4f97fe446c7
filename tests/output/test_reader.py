"""The reader of snapshot files: axes, grids, frames of a file that grows."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
from made_runs import EXTENT, ORIGIN, coordinates, make_run, values

from pdesim.errors import OutputError
from pdesim.model.grid import Grid
from pdesim.output import Layout, Snapshots, SnapshotWriter, create_snapshots
from pdesim.output.selection import Selection
from pdesim.render.field_reader import open_field


def test_axes_have_units_spacings_and_faces(tmp_path):
    path = make_run(tmp_path, (6, 1))
    with h5py.File(path, "r+") as file:
        file["y"].attrs["units"], file["x"].attrs["units"] = np.bytes_(b"mm"), "1"
    with Snapshots(tmp_path) as snapshots:
        y, x = snapshots.axes_of("u")
        assert (y.name, y.unit, x.name, x.unit) == ("y", "mm", "x", "")
        assert (y.spacing, y.lower, y.upper) == pytest.approx((0.5, 0.0, 3.0))
        np.testing.assert_array_equal(y.centres, coordinates((6, 1))["y"])
        assert (x.spacing, snapshots.axis("x", 2.0).lower) == (1.0, ORIGIN["x"])


def test_the_computed_grid_is_that_of_the_settings(tmp_path):
    path = make_run(tmp_path, (6, 4))
    with Snapshots(path) as snapshots:
        expected = Grid((4, 6), (EXTENT["x"], EXTENT["y"]), (ORIGIN["x"], ORIGIN["y"]))
        assert snapshots.computed_grid == expected
    with h5py.File(path, "r+") as file:
        file.attrs["config"] = "grid: [4]\n"
    with Snapshots(path) as snapshots:
        assert snapshots.computed_grid is None and snapshots.config == {"grid": [4]}


def test_fields_are_listed_in_the_order_of_the_equation(tmp_path):
    make_run(tmp_path, fields=("u", "a"))
    with Snapshots(tmp_path) as snapshots:
        assert snapshots.fields == ("a", "u")
        assert snapshots.ordered_fields == snapshots.checked_fields() == ("u", "a")
        np.testing.assert_array_equal(snapshots.read_frame("a", 2), 2 * values((6, 4), 3)[2])
        with pytest.raises(OutputError, match="frame 3 of a"):
            snapshots.read_frame("a", 3)


def test_frames_that_a_run_adds_are_read(tmp_path):
    grid = Grid((4, 3), (1.0, 1.0), (0.0, 0.0))
    selection = Selection((0,), (slice(None), slice(None)))
    layout, path = Layout(grid, ("u",), selection, np.dtype("f4")), tmp_path / "snapshots.h5"
    frames = np.random.default_rng(0).normal(size=(4, 1, 3, 4)).astype("f4")
    create_snapshots(path, layout, {"fields": ["u"]})
    writer = SnapshotWriter(path, layout)
    writer.write(0.0, frames[0])
    with open_field(path, None, 0.5) as reader:
        for number in range(1, 4):
            writer.write(float(number), frames[number])
            assert len(reader.times) == number
            reader = reader.refreshed()
            assert reader.times[-1] == number
            for frame in range(number + 1):
                np.testing.assert_array_equal(reader.values(frame), frames[frame, 0])
    writer.close()
