"""Rounding and compression of stored values."""

from __future__ import annotations

from typing import Any

import numpy as np

from pdesim.errors import MissingExtraError
from pdesim.output.deflate import LEVEL


def filters(compression: str) -> dict[str, Any]:
    """Return the keyword arguments of ``h5py.Group.create_dataset`` for a type of compression.

    Raises:
        MissingExtraError: for blosc2 if hdf5plugin is not installed.
    """
    if compression == "none":
        return {}
    if compression == "gzip":
        return {"compression": "gzip", "compression_opts": LEVEL, "shuffle": True}
    try:
        import hdf5plugin
    except ImportError:
        raise MissingExtraError("output.compression=blosc2", "hdf5plugin", "blosc2") from None
    return dict(hdf5plugin.Blosc2(cname="zstd", clevel=3, filters=hdf5plugin.Blosc2.SHUFFLE))


def round_mantissa(values: np.ndarray, keep: int) -> np.ndarray:
    """Round values to ``keep`` mantissa bits, to the nearest value and ties to even.

    The relative error is at most ``2**-(keep + 1)``. Source ("bit rounding"): Kloewer et al.,
    Nature Computational Science 1 (2021) 713, doi:10.1038/s43588-021-00156-2.
    """
    drop = np.finfo(values.dtype).nmant - keep
    if drop <= 0:
        return values
    word = np.dtype(f"u{values.itemsize}").type
    bits = np.ascontiguousarray(values).view(word)
    odd = (bits >> word(drop)) & word(1)
    rounded = bits + odd + word((1 << (drop - 1)) - 1)
    return (rounded & ~word((1 << drop) - 1)).view(values.dtype)
