"""Export to NumPy's ``.npz``: named arrays in a zip file, readable with ``allow_pickle=False``."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pdesim.export.source import Source


def save_npz(sources: Sequence[Source], path: Path) -> None:
    """Write a run as ``numpy.savez_compressed`` does, but with only one frame in memory.

    The arrays are ``time``, ``(T,)``; the coordinates of each axis; each field, ``(T, ..., x)``;
    each scalar, ``(T,)``;
    ``mask`` if there are obstacles; and the texts ``equation`` and ``config`` (YAML).

    Source: the format of .npy files, numpy.org/neps/nep-0001-npy-format.html.
    """
    (source,) = sources
    small = {"time": source.times, **source.coordinates}
    small |= {
        name: np.array(str(source.attributes[name]))
        for name in ("equation", "config")
        if name in source.attributes
    }
    small |= {name: values for name, (values, _) in source.scalars.items()}
    if source.mask is not None:
        small["mask"] = source.mask
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, values in small.items():
            with archive.open(f"{name}.npy", "w") as stream:
                np.lib.format.write_array(stream, np.asarray(values), allow_pickle=False)
        for name in source.fields:
            _stream(archive, source, name)


def _stream(archive: zipfile.ZipFile, source: Source, name: str) -> None:
    header = {
        "descr": np.lib.format.dtype_to_descr(source.dtypes[name]),
        "fortran_order": False,
        "shape": (len(source.times), *source.shape),
    }
    # the arrays in a zip file are written one after the other, so each field is read separately
    with archive.open(f"{name}.npy", "w", force_zip64=True) as stream:
        np.lib.format.write_array_header_2_0(stream, header)
        for _, frame in source.frames((name,)):
            stream.write(np.ascontiguousarray(frame[name]).tobytes())
