"""The number of mantissa bits that halves a file."""

from __future__ import annotations

import numpy as np
import pytest

from pdesim.output.deflate import deflate
from pdesim.output.filters import round_mantissa
from pdesim.output.rounding import rounding_to_half

X = np.linspace(0, 2 * np.pi, 128)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_one_bit_more_takes_more_than_half(dtype):
    frame = (2 + np.sin(X) * np.cos(3 * X)[:, None]).astype(dtype)
    found = rounding_to_half([frame])
    sizes = {
        keep: len(deflate(round_mantissa(frame, keep))) / len(deflate(frame))
        for keep in (found.keep_bits, found.keep_bits + 1)
    }
    assert sizes[found.keep_bits] == found.size <= 0.5 < sizes[found.keep_bits + 1]
    rounded = round_mantissa(frame, found.keep_bits)
    error = np.abs(rounded.astype(float) - frame)
    assert (error <= found.relative_error * frame).all()
    assert found.error == (pytest.approx(error.max() / np.ptp(frame)),)


def test_frames_that_cannot_be_rounded():
    assert rounding_to_half([np.arange(100)]) is None
    # rounding does not change zeros, so that they are compressed to the same size
    assert rounding_to_half([np.zeros((64, 64), np.float32)]) is None
