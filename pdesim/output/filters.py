"""What is done to numbers on their way into a file: rounding and compression."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np

from pdesim.errors import ConfigError, MissingExtraError

try:  # the same format as zlib's, ten times faster
    from isal import isal_zlib as deflater
except ImportError:
    deflater = zlib

#: mantissa bits that a type stores
MANTISSA_BITS = {"float16": 10, "float32": 23, "float64": 52}
LEVEL = 1


def filters(compression: str) -> dict[str, Any]:
    """Keyword arguments of ``h5py.Group.create_dataset``.

    Raises:
        MissingExtraError: for blosc2 without hdf5plugin.
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


def deflate(values: np.ndarray) -> bytes:
    """A chunk as HDF5's shuffle and deflate filters leave it."""
    octets = np.ascontiguousarray(values).view(np.uint8).reshape(-1, values.itemsize)
    return deflater.compress(np.ascontiguousarray(octets.T), LEVEL)


def check_keep_bits(keep: int | None, dtype: np.dtype) -> None:
    """Raises ConfigError if the type has no more bits than are to be kept."""
    most = MANTISSA_BITS[dtype.name]
    if keep is not None and keep > most:
        raise ConfigError(f"output.keep_bits={keep}, but {dtype.name} has {most} mantissa bits")


def round_mantissa(values: np.ndarray, keep: int) -> np.ndarray:
    """Round to ``keep`` mantissa bits, to nearest, ties to even ("bit rounding").

    The relative error is at most ``2**-(keep + 1)``. Kloewer et al., Nature Computational Science
    1 (2021) 713, doi:10.1038/s43588-021-00156-2.
    """
    drop = MANTISSA_BITS[values.dtype.name] - keep
    if drop <= 0:
        return values
    whole = np.dtype(f"u{values.itemsize}").type
    bits = np.ascontiguousarray(values).view(whole)
    odd = (bits >> whole(drop)) & whole(1)
    rounded = bits + odd + whole((1 << (drop - 1)) - 1)
    return (rounded & ~whole((1 << drop) - 1)).view(values.dtype)
