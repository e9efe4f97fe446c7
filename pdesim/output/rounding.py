"""The number of mantissa bits with which the frames of a file would take half the space."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pdesim.output.deflate import deflate
from pdesim.output.filters import round_mantissa

#: largest number of cells of a frame that are compressed for the estimate
MOST_CELLS = 2**20


@dataclass(frozen=True)
class Rounding:
    """A setting of ``output.keep_bits`` and its cost.

    Attributes:
        keep_bits: the number of mantissa bits.
        relative_error: the largest relative error of a value, ``2**-(keep_bits + 1)``.
        error: for each frame, the largest error divided by the range of the frame.
        size: the size of the compressed frames, relative to that without rounding.
    """

    keep_bits: int
    relative_error: float
    error: tuple[float, ...]
    size: float


def rounding_to_half(frames: Sequence[np.ndarray]) -> Rounding | None:
    """Return the largest number of mantissa bits with which frames take at most half the space.

    It is found by compressing the frames as in snapshot files. Of large frames, the first
    ``MOST_CELLS`` cells are used. The result is None if one bit is too many, or if the frames
    contain no floating point numbers.

    Args:
        frames: arrays of any shape.
    """
    parts = [f.ravel()[:MOST_CELLS] for f in frames if f.dtype.kind == "f"]
    if not parts:
        return None

    def size(arrays: Sequence[np.ndarray]) -> int:
        return sum(len(deflate(array)) for array in arrays)

    whole, fewest, most = size(parts), 0, max(np.finfo(part.dtype).nmant for part in parts)
    while most - fewest > 1:  # with ``fewest`` bits, frames take half the space or less
        middle = (fewest + most) // 2
        small = 2 * size([round_mantissa(part, middle) for part in parts]) <= whole
        fewest, most = (middle, most) if small else (fewest, middle)
    if fewest == 0:
        return None
    rounded = [round_mantissa(part, fewest) for part in parts]
    pairs = zip(rounded, parts, strict=True)
    return Rounding(
        fewest,
        2.0 ** -(fewest + 1),
        tuple(_relative(new.astype(float) - old, np.ptp(old)) for new, old in pairs),
        size(rounded) / whole,
    )


def _relative(errors: np.ndarray, extent: float) -> float:
    return float(np.abs(errors).max()) / float(extent) if extent > 0 else 0.0
