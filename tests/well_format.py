"""What The Well asks of a file."""

from __future__ import annotations

import h5py
import numpy as np


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
