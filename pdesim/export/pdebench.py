"""Export to the two layouts of PDEBench.

Source: github.com/pdebench/PDEBench, ``pdebench/data_gen/gen_diff_react.py`` (groups) and the
loaders in ``pdebench/models/fno/utils.py``: ``FNODatasetSingle`` reads ``tensor``,
``FNODatasetMult`` reads groups in one, two and three dimensions.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np

from pdesim.export.source import Source, check_compatible
from pdesim.files import creating, write_chunk
from pdesim.output.deflate import Deflater

_FILTERS = {"compression": "gzip", "compression_opts": 1, "shuffle": True}


def pdebench_suffix(sources: Sequence[Source]) -> str:
    """The end of the file's name, as PDEBench's loader requires it for this layout."""
    return "_pdebench.hdf5" if _is_tensor(sources[0]) else "_pdebench.h5"


def save_pdebench(sources: Sequence[Source], path: Path) -> None:
    """Write runs as trajectories in single precision.

    A single field in 1-D is written in the layout of PDEBench's Burgers and advection files:
    ``tensor (trajectory, t, x)``, ``x-coordinate``, ``t-coordinate``, and ``config (trajectory,)``
    (YAML). All other runs are written in the layout of its diffusion-reaction files, with a group
    per trajectory: ``0000/data (t, [[z,] y,] x, channel)`` with the fields in the order of the
    equation, ``0000/grid/{x,y,z,t}``, and the attributes ``config`` and ``fields``. (PDEBench's
    loader assigns the x coordinates to the first space axis, which makes no difference on square
    grids.)

    Raises:
        OutputError: if runs that are written to a ``tensor`` differ in their grids or times.
    """
    with creating(path) as file:
        if _is_tensor(sources[0]):
            check_compatible(sources)
            _write_tensor(file, sources)
        else:
            digits = max(4, len(str(len(sources) - 1)))
            for number, source in enumerate(sources):
                _write_group(file.create_group(f"{number:0{digits}}"), source)


def _is_tensor(source: Source) -> bool:
    return len(source.axes) == 1 and len(source.fields) == 1


def _write_tensor(file: h5py.File, sources: Sequence[Source]) -> None:
    first = sources[0]
    (field,) = first.fields
    shape = (len(sources), len(first.times), *first.shape)
    tensor = file.create_dataset("tensor", shape, "f4", chunks=(1, *shape[1:]), **_FILTERS)
    file["x-coordinate"] = first.axes["x"].centres.astype(np.float32)
    file["t-coordinate"] = first.times.astype(np.float32)
    file["config"] = [_config(source) for source in sources]
    for number, source in enumerate(sources):
        # each trajectory is one chunk, which is written at once so that it is compressed only once
        tensor[number] = np.stack([frame[field] for _, frame in source.frames()])


def _write_group(group: h5py.Group, source: Source) -> None:
    shape = (len(source.times), *source.shape, len(source.fields))
    data = group.create_dataset("data", shape, "f4", chunks=(1, *shape[1:]), **_FILTERS)
    # a frame is a chunk, which is compressed here, since the filters of HDF5 are ten times slower
    deflater, inside = Deflater(), (0,) * (len(shape) - 1)
    for index, frame in source.frames():
        with np.errstate(over="ignore"):
            values = np.stack([frame[name] for name in source.fields], axis=-1).astype("<f4")
        write_chunk(data, (index, *inside), deflater(values))
    group["grid/t"] = source.times.astype(np.float32)
    for name, axis in source.axes.items():
        group[f"grid/{name}"] = axis.centres.astype(np.float32)
    group.attrs["config"] = _config(source)
    group.attrs["fields"] = list(source.fields)


def _config(source: Source) -> str:
    return str(source.attributes.get("config", ""))
