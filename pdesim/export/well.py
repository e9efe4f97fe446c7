"""The Well's layout, for machine learning on simulations.

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
from pdesim.export.source import Source, check_alike
from pdesim.files import creating
from pdesim.formula.language import AXES
from pdesim.model.boundary_conditions import build_boundary

_FILTERS = {"compression": "gzip", "compression_opts": 1, "shuffle": True}
_WORDS = h5py.string_dtype()


def save_well(sources: Sequence[Source], path: Path) -> None:
    """Runs with one grid and the same times as trajectories of one file, all numbers float32.

    Fields are ``t0_fields``, ``(trajectory, time, x[, y[, z]])``: x first, unlike ours. Parameters
    are scalars, and vary by sample where the runs differ in them. Obstacles are a field ``mask``
    without time.

    Raises:
        OutputError: if the runs do not fit together.
    """
    check_alike(sources)
    first = sources[0]
    axes = tuple(axis for axis in AXES if axis in first.axes)
    # version 1.10 of the format has room for attributes over 64 kB, as many configs are
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
    for name, values in (("time", source.times), *((a, source.coordinates[a]) for a in axes)):
        data = group.create_dataset(name, data=values.astype(np.float32))
        data.attrs.update({"sample_varying": False, "time_varying": name == "time"})


def _write_scalars(file: h5py.File, sources: Sequence[Source]) -> None:
    each = [source.parameters for source in sources]
    names = [name for name in each[0] if all(name in one for one in each)]
    file.attrs["simulation_parameters"] = np.array(names, _WORDS)
    group = file.create_group("scalars")
    group.attrs["field_names"] = np.array(names, _WORDS)
    for name in names:
        values = np.array([one[name] for one in each], dtype=np.float64)
        varies = bool((values != values[0]).any())
        file.attrs[name] = values if varies else values[0]
        with np.errstate(over="ignore"):  # infinity, where float32 ends
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
    for number, source in enumerate(sources):
        for index, frame in source.frames():
            for name, values in frame.items():
                group[name][number, index] = values.T
    if first.mask is not None:
        data = group.create_dataset("mask", data=first.mask.T.astype(np.float32), **_FILTERS)
        data.attrs.update({"sample_varying": False, "time_varying": False})
        data.attrs["dim_varying"] = [True] * len(axes)
        names.append("mask")
    group.attrs["field_names"] = np.array(names, _WORDS)


def _write_boundaries(group: h5py.Group, sources: Sequence[Source], axes: tuple[str, ...]) -> None:
    """A group per axis and type; where fields have different walls, one for each kind of them."""
    first, values = sources[0], _common(_wall_values(source) for source in sources)
    for axis in axes:
        # as text, since a value that is nan differs from itself
        alike: dict[str, list[str]] = {}
        for field in first.fields:
            told = (_sides(first, field, axis), _kinds(first, field, axis), values[field, axis])
            alike.setdefault(repr(told), []).append(field)
        for fields in alike.values():
            sides = _sides(first, fields[0], axis)
            for kind in dict.fromkeys(sides):
                name = f"{axis}_{kind}" + (f"_{'_'.join(fields)}" if len(alike) > 1 else "")
                one = group.create_group(name)
                one.attrs["bc_type"] = kind
                one.attrs["associated_dims"] = [axis]
                # periodic and open ends set no field's value
                one.attrs["associated_fields"] = np.array(fields * (kind == "wall"), _WORDS)
                one.attrs.update({"sample_varying": False, "time_varying": False})
                one.attrs["pdesim_walls"] = list(_kinds(first, fields[0], axis))
                _write_ends(one, len(first.coordinates[axis]), sides, values[fields[0], axis])


def _write_ends(
    group: h5py.Group, points: int, sides: tuple[str, str], values: Sequence[float]
) -> None:
    kind = group.attrs["bc_type"]
    there = {
        place: v for place, s, v in zip((0, points - 1), sides, values, strict=True) if s == kind
    }
    mask = np.zeros(points, dtype=bool)
    mask[list(there)] = True
    group["mask"] = mask
    told = [value if kind == "wall" else 0.0 for value in there.values()]
    group["values"] = np.array(told, np.float32)


def _common(each: Iterable[dict[tuple[str, str], list[float]]]) -> dict[tuple[str, str], list]:
    """The values that all runs share; nan where they differ."""
    first, *others = each
    return {
        key: [
            v if all(o[key][side] == v for o in others) else np.nan for side, v in enumerate(pair)
        ]
        for key, pair in first.items()
    }


def _kinds(source: Source, field: str, axis: str) -> tuple[str, str]:
    return source.walls.get(field, {}).get(axis, ("open", "open"))


def _sides(source: Source, field: str, axis: str) -> tuple[str, str]:
    """``periodic``, ``wall`` or ``open``, lower side first.

    A side is open where the stored region ends inside the domain.
    """
    kinds = _kinds(source, field, axis)
    types = [kind if kind in ("periodic", "open") else "wall" for kind in kinds]
    cut = _cut(source, axis)
    if any(cut):
        types = ["open" if t == "periodic" or c else t for t, c in zip(types, cut, strict=True)]
    return types[0], types[1]


def _cut(source: Source, axis: str) -> tuple[bool, bool]:
    grid = source.grid
    if grid is None:
        return False, False
    number, centres = grid.axes.index(axis), source.coordinates[axis]
    # a sub-sampled axis begins less than one of its own spacings from the wall
    step = max(source.spacing(axis), grid.spacing[number])
    lower = centres[0] - grid.origin[number]
    upper = grid.origin[number] + grid.extent[number] - centres[-1]
    return bool(lower > 1.01 * step), bool(upper > 1.01 * step)


def _wall_values(source: Source) -> dict[tuple[str, str], list[float]]:
    """What the walls prescribe, per field and axis; nan where it varies in space or time."""
    found = {(field, a): [np.nan, np.nan] for field in source.fields for a in source.axes}
    grid, given = source.grid, source.parameters
    symbols = {name: sympy.Symbol(name, real=True) for name in given}
    try:
        fields = [str(name) for name in source.attributes["fields"]]
        boundary = build_boundary(source.config["boundary"], fields, grid, symbols)
    except (PdesimError, KeyError, TypeError, AttributeError, IndexError):
        return found
    numbers = {symbols[name]: value for name, value in given.items()}
    for field, per_axis in zip(fields, boundary.walls, strict=True):
        for axis, pair in zip(grid.axes, per_axis, strict=True):
            values = [wall.value.subs(numbers) for wall in pair]
            found[field, axis] = [float(v) if v.is_number else np.nan for v in values]
    return found
