"""Export to the layout of The Well, a collection of simulations for machine learning.

Source: polymathic-ai.org/the_well/data_format, and the checks in
github.com/PolymathicAI/the_well, ``scripts/check_thewell_formatting.py``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import h5py
import numpy as np
import sympy

from pdesim.errors import PdesimError
from pdesim.export.source import Source, check_compatible
from pdesim.files import creating, write_chunk
from pdesim.formula.language import AXES
from pdesim.model.boundary_settings import build_boundary
from pdesim.output.deflate import Deflater

_FILTERS = {"compression": "gzip", "compression_opts": 1, "shuffle": True}
_WORDS = h5py.string_dtype()


def save_well(sources: Sequence[Source], path: Path) -> None:
    """Write runs with the same grid and times as trajectories of one file in single precision.

    Fields are in ``t0_fields`` with the shape ``(trajectory, time, x[, y[, z]])``, x first.
    Parameters are scalars; those that differ between the runs have a value per trajectory. If there
    are obstacles, they are described by a field ``mask`` without a time axis.

    Raises:
        OutputError: if the runs have different equations, grids or times.
    """
    check_compatible(sources)
    first = sources[0]
    axes = tuple(axis for axis in AXES if axis in first.axes)
    # the format of HDF5 1.10 allows attributes over 64 kB: the settings of many runs are that long
    with creating(path, libver=("v110", "v110")) as file:
        file.attrs["dataset_name"] = first.name
        file.attrs["grid_type"] = "cartesian"
        file.attrs["n_spatial_dims"] = len(axes)
        file.attrs["n_trajectories"] = len(sources)
        file.attrs["config"] = [str(source.attributes.get("config", "")) for source in sources]
        file.attrs["equation"] = str(first.attributes.get("equation", ""))
        _write_dimensions(file.create_group("dimensions"), first, axes)
        _write_scalars(file, sources)
        _write_boundaries(file.create_group("boundary_conditions"), sources, axes)
        for order in (0, 1, 2):
            file.create_group(f"t{order}_fields").attrs["field_names"] = np.array([], _WORDS)
        _write_fields(file["t0_fields"], sources, axes)


def _write_dimensions(group: h5py.Group, source: Source, axes: tuple[str, ...]) -> None:
    group.attrs["spatial_dims"] = list(axes)
    for name, values in (("time", source.times), *((a, source.axes[a].centres) for a in axes)):
        data = group.create_dataset(name, data=values.astype(np.float32))
        data.attrs.update({"sample_varying": False, "time_varying": name == "time"})


def _write_scalars(file: h5py.File, sources: Sequence[Source]) -> None:
    each = [source.parameters for source in sources]
    names = [name for name in each[0] if all(name in parameters for parameters in each)]
    file.attrs["simulation_parameters"] = np.array(names, _WORDS)
    group = file.create_group("scalars")
    group.attrs["field_names"] = np.array(names, _WORDS)
    for name in names:
        values = np.array([parameters[name] for parameters in each], dtype=np.float64)
        varies = bool((values != values[0]).any())
        file.attrs[name] = values if varies else values[0]
        with np.errstate(over="ignore"):  # values outside the range of float32 become infinite
            single = (values if varies else values[0]).astype("f4")
        data = group.create_dataset(name, data=single)
        data.attrs.update({"sample_varying": varies, "time_varying": False})


def _write_fields(group: h5py.Group, sources: Sequence[Source], axes: tuple[str, ...]) -> None:
    first = sources[0]
    shape = first.shape[::-1]
    names = list(first.fields)
    for name in names:
        full = (len(sources), len(first.times), *shape)
        data = group.create_dataset(name, full, "f4", chunks=(1, 1, *shape), **_FILTERS)
        data.attrs.update({"sample_varying": True, "time_varying": True})
        data.attrs["dim_varying"] = [True] * len(axes)
    # a frame is a chunk, which is compressed here, since the filters of HDF5 are ten times slower
    deflaters = {name: Deflater() for name in names}
    inside = (0,) * len(shape)
    for number, source in enumerate(sources):
        for index, frame in source.frames():
            for name, values in frame.items():
                with np.errstate(over="ignore"):
                    chunk = deflaters[name](values.T.astype("<f4"))
                write_chunk(group[name], (number, index, *inside), chunk)
    if first.mask is not None:
        data = group.create_dataset("mask", data=first.mask.T.astype(np.float32), **_FILTERS)
        data.attrs.update({"sample_varying": False, "time_varying": False})
        data.attrs["dim_varying"] = [True] * len(axes)
        names.append("mask")
    group.attrs["field_names"] = np.array(names, _WORDS)


def _write_boundaries(group: h5py.Group, sources: Sequence[Source], axes: tuple[str, ...]) -> None:
    """Write the conditions: a group per axis, per type, and per set of fields that share them."""
    first, values = sources[0], _common(_boundary_values(source) for source in sources)
    for axis in axes:
        # conditions are compared as texts, since NaN is not equal to itself
        by_condition: dict[str, list[str]] = {}
        for field in first.fields:
            key = (_sides(first, field, axis), _kinds(first, field, axis), values[field, axis])
            by_condition.setdefault(repr(key), []).append(field)
        for fields in by_condition.values():
            sides = _sides(first, fields[0], axis)
            for kind in dict.fromkeys(sides):
                name = f"{axis}_{kind}" + (f"_{'_'.join(fields)}" if len(by_condition) > 1 else "")
                entry = group.create_group(name)
                entry.attrs["bc_type"] = kind
                entry.attrs["associated_dims"] = [axis]
                # periodic and open sides do not prescribe the value of any field
                entry.attrs["associated_fields"] = np.array(fields * (kind == "wall"), _WORDS)
                entry.attrs.update({"sample_varying": False, "time_varying": False})
                entry.attrs["pdesim_walls"] = list(_kinds(first, fields[0], axis))
                _write_ends(entry, len(first.axes[axis].centres), sides, values[fields[0], axis])


def _write_ends(
    group: h5py.Group, points: int, sides: tuple[str, str], values: Sequence[float]
) -> None:
    kind = group.attrs["bc_type"]
    ends = {
        index: v for index, s, v in zip((0, points - 1), sides, values, strict=True) if s == kind
    }
    mask = np.zeros(points, dtype=bool)
    mask[list(ends)] = True
    group["mask"] = mask
    stored = [value if kind == "wall" else 0.0 for value in ends.values()]
    group["values"] = np.array(stored, np.float32)


def _common(each: Iterable[dict[tuple[str, str], list[float]]]) -> dict[tuple[str, str], list]:
    """The boundary values that are the same in all runs; NaN where the runs differ."""
    first, *others = each
    return {
        key: [
            v if all(o[key][side] == v for o in others) else np.nan for side, v in enumerate(pair)
        ]
        for key, pair in first.items()
    }


def _kinds(source: Source, field: str, axis: str) -> tuple[str, str]:
    return source.boundary_kinds.get(field, {}).get(axis, ("open", "open"))


def _sides(source: Source, field: str, axis: str) -> tuple[str, str]:
    """The types of both sides, ``periodic``, ``wall`` or ``open``, lower side first.

    A side is open if the stored region ends there inside the domain.
    """
    kinds = _kinds(source, field, axis)
    known = {"periodic": "periodic", "open": "open", "outflow": "open", "antiperiodic": "open"}
    types = [known.get(kind, "wall") for kind in kinds]
    inside = _ends_inside(source, axis)
    if any(inside):
        types = ["open" if t == "periodic" or i else t for t, i in zip(types, inside, strict=True)]
    return types[0], types[1]


def _ends_inside(source: Source, axis: str) -> tuple[bool, bool]:
    """Whether the stored region ends inside the domain at the lower and at the upper side."""
    grid = source.computed_grid
    if grid is None:
        return False, False
    number, centres = grid.axes.index(axis), source.axes[axis].centres
    # a subsampled axis starts less than one of its own spacings from the boundary
    step = max(source.axes[axis].spacing, grid.spacing[number])
    lower = centres[0] - grid.origin[number]
    upper = grid.origin[number] + grid.extent[number] - centres[-1]
    return bool(lower > 1.01 * step), bool(upper > 1.01 * step)


def _boundary_values(source: Source) -> dict[tuple[str, str], list[float]]:
    """(field, axis) -> the prescribed values of both sides; NaN if they vary in space or time."""
    prescribed = {(field, a): [np.nan, np.nan] for field in source.fields for a in source.axes}
    grid, given = source.computed_grid, source.parameters
    if grid is None:
        return prescribed
    symbols = {name: sympy.Symbol(name, real=True) for name in given}
    try:
        fields = [str(name) for name in source.attributes["fields"]]
        boundary = build_boundary(source.config["boundary"], fields, grid, symbols)
    except (PdesimError, KeyError, TypeError, AttributeError, IndexError):
        return prescribed
    numbers = {symbols[name]: value for name, value in given.items()}
    for field, per_axis in zip(fields, boundary.walls, strict=True):
        for axis, pair in zip(grid.axes, per_axis, strict=True):
            values = [condition.value.subs(numbers) for condition in pair]
            prescribed[field, axis] = [float(v) if v.is_number else np.nan for v in values]
    return prescribed
