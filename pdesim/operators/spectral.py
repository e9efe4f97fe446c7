"""Fourier transforms over the grid axes, and derivatives as products with symbols."""

from __future__ import annotations

import tensorflow as tf

from pdesim.grid import Grid


def forward(values: tf.Tensor, grid: Grid) -> tf.Tensor:
    """Real FFT over the grid axes: ``(..., *shape)`` -> ``(..., *shape[:-1], nx // 2 + 1)``."""
    transform = {1: tf.signal.rfft, 2: tf.signal.rfft2d, 3: tf.signal.rfft3d}[grid.dimensions]
    return transform(values)


def backward(modes: tf.Tensor, grid: Grid) -> tf.Tensor:
    """The inverse of :func:`forward`, for even and odd sizes."""
    transform = {1: tf.signal.irfft, 2: tf.signal.irfft2d, 3: tf.signal.irfft3d}[grid.dimensions]
    return transform(modes, fft_length=list(grid.shape))


def multiply(symbol: tf.Tensor, modes: tf.Tensor) -> tf.Tensor:
    """``symbol * modes``; a real symbol scales both parts without complex arithmetic."""
    if symbol.dtype.is_complex:
        return symbol * modes
    return tf.complex(symbol * tf.math.real(modes), symbol * tf.math.imag(modes))
