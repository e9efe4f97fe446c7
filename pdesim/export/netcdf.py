"""Export to NetCDF-4 with CF attributes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pdesim.errors import MissingExtraError
from pdesim.export.source import Source

_FILTERS = {"compression": "gzip", "compression_opts": 1, "shuffle": True}


def save_netcdf(sources: Sequence[Source], path: Path) -> None:
    """Write a run as NetCDF-4.

    The dimensions are ``time`` (unlimited) and the axes, each with a coordinate variable. Fields
    have the shape ``(time, ..., x)``, chunks of one frame, and the attributes ``units`` and
    ``long_name``. Scalars have the dimension ``time``. If there are obstacles, the variable
    ``mask`` is 1 inside them. The attributes of the run become global attributes. The file is
    written with h5netcdf, since xarray would keep all frames of a field in memory.

    Source: cfconventions.org, CF-1.8 sections 2 to 4.

    Raises:
        MissingExtraError: if h5netcdf is not installed.
    """
    try:
        import h5netcdf
    except ImportError:
        raise MissingExtraError("--to netcdf", "h5netcdf", "xarray") from None
    (source,) = sources
    dims = ("time", *source.axes)
    with h5netcdf.File(path, "w") as file:
        file.attrs.update(_plain(source.attributes))
        file.dimensions = {"time": None} | {a: len(axis.centres) for a, axis in source.axes.items()}
        file.resize_dimension("time", len(source.times))
        for name, values in (("time", source.times), *source.coordinates.items()):
            variable = file.create_variable(name, (name,), data=np.asarray(values, float))
            axis = "T" if name == "time" else name.upper()
            variable.attrs.update({"units": "1", "long_name": name, "axis": axis})
        for name, (values, labels) in source.scalars.items():
            file.create_variable(name, ("time",), data=values).attrs.update(labels)
        if source.mask is not None:
            variable = file.create_variable("mask", dims[1:], data=source.mask, **_FILTERS)
            variable.attrs.update({"units": "1", "long_name": "1 inside obstacles"})
        variables = {}
        for name in source.fields:
            variables[name] = file.create_variable(
                name, dims, source.dtypes[name], chunks=(1, *source.shape), **_FILTERS
            )
            variables[name].attrs.update(source.labels[name])
        for index, frame in source.frames():
            for name, values in frame.items():
                variables[name][index] = values


def _plain(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes as numbers and texts, which netCDF allows; lists of words are joined."""
    plain: dict[str, Any] = {}
    for name, value in attributes.items():
        if isinstance(value, bytes):
            plain[name] = value.decode("utf-8", "replace")
        elif isinstance(value, np.ndarray) and value.dtype.kind not in "iuf":
            plain[name] = " ".join(str(word) for word in value)
        elif isinstance(value, np.bool_ | bool):
            plain[name] = int(value)
        else:
            plain[name] = value
    return plain | {"Conventions": "CF-1.8"}
