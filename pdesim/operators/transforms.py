"""Transforms between a state and its modes, in TensorFlow. Each axis has its own basis."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from pdesim.operators.modes import Modes


def forward(values: tf.Tensor, modes: Modes) -> tf.Tensor:
    """Return the modes, ``(..., *modes.shape)``, of values of shape ``(..., *grid.shape)``."""
    walled, periodic = _axes(modes)
    for axis in walled:
        values = _along(values, axis, lambda v, b=modes.bases[axis]: _REAL[b](v))
    return _fft(values, modes, periodic) if periodic else values


def backward(coefficients: tf.Tensor, modes: Modes, derived: Sequence[int] = ()) -> tf.Tensor:
    """Return the values on the grid that correspond to modes: the inverse of :func:`forward`.

    Args:
        derived: the non-periodic axes along which the coefficients belong to an odd derivative:
            cosines are summed in place of sines, and sines in place of cosines.
    """
    walled, periodic = _axes(modes)
    values = _inverse_fft(coefficients, modes, periodic) if periodic else coefficients
    for axis in walled:
        basis = modes.bases[axis]
        sum_up = _DERIVED_INVERSE[basis] if axis in derived else _REAL_INVERSE[basis]
        values = _along(values, axis, sum_up)
    return values


def enforce_hermitian(coefficients: tf.Tensor, modes: Modes) -> tf.Tensor:
    """Return modes with the Hermitian symmetry of the spectrum of a real state.

    Along the axis with a real-to-complex transform, only non-negative wave numbers are stored. In
    the planes in which this wave number is 0, or the highest on a grid of even size, opposite wave
    vectors are both stored, and their coefficients must be complex conjugates. Rounding breaks this
    symmetry. The inverse transform ignores the asymmetric part. This part would therefore grow
    unnoticed in modes that a stepper carries from step to step, if the equation is linearly
    unstable.
    """
    axis = modes.rfft_axis
    if axis is None:
        return coefficients
    where, points = -1 - axis, modes.grid.points[axis]
    others = [-1 - a for a, basis in enumerate(modes.bases) if basis == "fourier" and a != axis]

    def part(start: int | None, stop: int | None) -> tf.Tensor:
        index = [slice(None)] * (-where)
        index[0] = slice(start, stop)
        return coefficients[(..., *index)]

    def mended(plane: tf.Tensor) -> tf.Tensor:
        mirror = tf.math.conj(plane)
        if others:
            mirror = tf.roll(tf.reverse(mirror, others), [1] * len(others), others)
        return 0.5 * (plane + mirror)

    size = points // 2 + 1
    if points % 2:
        return tf.concat([mended(part(0, 1)), part(1, size)], axis=where)
    planes = [mended(part(0, 1)), part(1, size - 1), mended(part(size - 1, size))]
    return tf.concat(planes, axis=where)


def multiply(symbol: tf.Tensor, coefficients: tf.Tensor) -> tf.Tensor:
    """Return ``symbol * coefficients``; a real symbol is not converted to a complex one."""
    if not coefficients.dtype.is_complex or symbol.dtype.is_complex:
        return symbol * coefficients
    return tf.complex(symbol * tf.math.real(coefficients), symbol * tf.math.imag(coefficients))


def _axes(modes: Modes) -> tuple[list[int], list[int]]:
    walled = [axis for axis, basis in enumerate(modes.bases) if basis != "fourier"]
    return walled, [axis for axis, basis in enumerate(modes.bases) if basis == "fourier"]


def _along(values: tf.Tensor, axis: int, transform: Callable) -> tf.Tensor:
    """Apply ``transform``, which acts on the last array axis, along a coordinate axis (0 is x)."""
    if axis == 0:
        return transform(values)
    return _swap(transform(_swap(values, axis)), axis)


def _swap(values: tf.Tensor, axis: int) -> tf.Tensor:
    order = list(range(values.shape.rank))
    order[-1], order[-1 - axis] = order[-1 - axis], order[-1]
    return tf.transpose(values, order)


def _fft(values: tf.Tensor, modes: Modes, periodic: list[int]) -> tf.Tensor:
    if len(periodic) == len(modes.bases):
        transform = {1: tf.signal.rfft, 2: tf.signal.rfft2d, 3: tf.signal.rfft3d}
        return transform[len(periodic)](values)
    first, *others = periodic
    values = _along(values, first, tf.signal.rfft)
    for axis in others:
        values = _along(values, axis, tf.signal.fft)
    return values


def _inverse_fft(coefficients: tf.Tensor, modes: Modes, periodic: list[int]) -> tf.Tensor:
    if len(periodic) == len(modes.bases):
        transform = {1: tf.signal.irfft, 2: tf.signal.irfft2d, 3: tf.signal.irfft3d}
        return transform[len(periodic)](coefficients, fft_length=list(modes.grid.shape))
    first, *others = periodic
    for axis in others:
        coefficients = _along(coefficients, axis, tf.signal.ifft)
    length = [modes.grid.points[first]]
    return _along(coefficients, first, lambda c: tf.signal.irfft(c, fft_length=length))


def _signs(values: tf.Tensor) -> tf.Tensor:
    return tf.constant((-1.0) ** np.arange(values.shape[-1]), values.dtype)


def _reversed(values: tf.Tensor) -> tf.Tensor:
    return tf.reverse(values, axis=[-1])


def _cosine(values: tf.Tensor, kind: int) -> tf.Tensor:
    return tf.signal.dct(values, type=kind, norm="ortho")


def _idct(values: tf.Tensor) -> tf.Tensor:
    return tf.signal.idct(values, type=2, norm="ortho")


def _sine(values: tf.Tensor) -> tf.Tensor:
    """Return the DST-II, ``sum_j v_j sin((k + 1) pi (j + 1/2) / n)``.

    It is computed as the DCT-II of the values with alternating signs.
    """
    return _reversed(_cosine(values * _signs(values), 2))


def _inverse_sine(coefficients: tf.Tensor) -> tf.Tensor:
    values = _idct(_reversed(coefficients))
    return values * _signs(values)


def _half_sine(values: tf.Tensor) -> tf.Tensor:
    """Return the DST-IV, which is its own inverse, as the DCT-IV of the reversed values."""
    result = _cosine(_reversed(values), 4)
    return result * _signs(result)


def _shift(coefficients: tf.Tensor, by: int) -> tf.Tensor:
    """Shift coefficients by one index: sin(k x) has index k - 1, cos(k x) has index k."""
    zero = tf.zeros_like(coefficients[..., :1])
    if by > 0:  # sines to cosines; the highest sine has no cosine on this grid
        return tf.concat([zero, coefficients[..., :-1]], axis=-1)
    return tf.concat([coefficients[..., 1:], zero], axis=-1)


_REAL = {
    "cosine": lambda v: _cosine(v, 2),
    "sine": _sine,
    "cosine-half": lambda v: _cosine(v, 4),
    "sine-half": _half_sine,
}
_REAL_INVERSE = {
    "cosine": _idct,
    "sine": _inverse_sine,
    "cosine-half": lambda c: _cosine(c, 4),
    "sine-half": _half_sine,
}
_DERIVED_INVERSE = {
    "sine": lambda c: _idct(_shift(c, 1)),
    "cosine": lambda c: _inverse_sine(_shift(c, -1)),
    "sine-half": lambda c: _cosine(c, 4),
    "cosine-half": _half_sine,
}
