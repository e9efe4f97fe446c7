"""Transforms between a state and its modes, in TensorFlow. Each axis has its own basis."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from pdesim.operators.differentiable import irfft, rfft
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


def of_one(modes: Modes, dtype: tf.DType) -> tf.Tensor:
    """Return the modes of the function that is 1 in all cells; the shape is ``modes.shape``."""
    result = tf.ones((), dtype)
    for axis, (basis, n) in enumerate(zip(modes.bases, modes.grid.points, strict=True)):
        if basis in ("fourier", "cosine"):
            size = n // 2 + 1 if axis == modes.rfft_axis else n
            column = np.eye(1, size)[0] * (n if basis == "fourier" else np.sqrt(n))
        else:
            j, norm = np.arange(n) + 0.5, np.sqrt(2 / n)
            k = j if basis.endswith("half") else np.arange(n) + 1.0
            wave = np.sin if basis.startswith("sine") else np.cos
            column = norm * wave(np.pi * np.outer(k, j) / n).sum(axis=1)
            if basis == "sine":
                column[-1] /= np.sqrt(2)
        result = result * tf.constant(column.reshape(-1, *[1] * axis), dtype)
    return result


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
        return rfft(values, len(periodic))
    first, *others = periodic
    values = _along(values, first, lambda v: rfft(v, 1))
    for axis in others:
        values = _along(values, axis, tf.signal.fft)
    return values


def _inverse_fft(coefficients: tf.Tensor, modes: Modes, periodic: list[int]) -> tf.Tensor:
    if len(periodic) == len(modes.bases):
        return irfft(coefficients, modes.grid.shape)
    first, *others = periodic
    for axis in others:
        coefficients = _along(coefficients, axis, tf.signal.ifft)
    length = (modes.grid.points[first],)
    return _along(coefficients, first, lambda c: irfft(c, length))


def _signs(values: tf.Tensor) -> tf.Tensor:
    return tf.constant((-1.0) ** np.arange(values.shape[-1]), values.dtype)


def _reversed(values: tf.Tensor) -> tf.Tensor:
    return tf.reverse(values, axis=[-1])


def _cosine(values: tf.Tensor) -> tf.Tensor:
    """Return the orthonormal DCT-II along the last axis, ``s_k sum_j v_j cos(k pi (j + 1/2) / n)``.

    It is a real transform of the same length, of the values with even indices followed by those
    with odd indices in reverse (Makhoul, IEEE Trans. ASSP 28 (1980) 27,
    doi:10.1109/TASSP.1980.1163351).
    """
    n = values.shape[-1]
    ordered = tf.concat([values[..., ::2], _reversed(values[..., 1::2])], axis=-1)
    modes = rfft(ordered, 1)
    modes *= tf.constant(_quarter_wave(n) * _norms(n)[: n // 2 + 1], modes.dtype)
    # the coefficient n - k is minus the imaginary part of k
    others = -tf.math.imag(modes[..., 1 : (n + 1) // 2])
    return tf.concat([tf.math.real(modes), _reversed(others)], axis=-1)


def _inverse_cosine(coefficients: tf.Tensor) -> tf.Tensor:
    """Return the inverse of :func:`_cosine`, the orthonormal DCT-III."""
    n = coefficients.shape[-1]
    half = n // 2 + 1
    scaled = coefficients / tf.constant(_norms(n), coefficients.dtype)
    zero = tf.zeros_like(scaled[..., :1])
    others = tf.concat([zero, _reversed(scaled)[..., : half - 1]], axis=-1)
    modes = tf.complex(scaled[..., :half], -others)
    modes *= tf.constant(np.conj(_quarter_wave(n)), modes.dtype)
    ordered = irfft(modes, (n,))
    even, odd = ordered[..., : n - n // 2], _reversed(ordered[..., n - n // 2 :])
    pairs = tf.stack([even[..., : n // 2], odd], axis=-1)
    values = tf.reshape(pairs, (*pairs.shape[:-2], 2 * (n // 2)))
    return tf.concat([values, even[..., n // 2 :]], axis=-1) if n % 2 else values


def _half_cosine(values: tf.Tensor) -> tf.Tensor:
    """Return the orthonormal DCT-IV, ``sqrt(2/n) sum_j v_j cos((k + 1/2) pi (j + 1/2) / n)``.

    It is its own inverse. For even n, it is a complex transform of half the length, of pairs of
    values from both ends.
    """
    n = values.shape[-1]
    if n % 2:
        return tf.signal.dct(values, type=4, norm="ortho")
    pairs = tf.complex(values[..., ::2], _reversed(values)[..., ::2])
    turn = tf.constant(np.exp(-1j * np.pi * (np.arange(n // 2) + 0.125) / n), pairs.dtype)
    modes = tf.signal.fft(pairs * turn) * turn
    modes *= tf.constant(np.sqrt(2 / n), modes.dtype)
    pairs = tf.stack([tf.math.real(modes), -_reversed(tf.math.imag(modes))], axis=-1)
    return tf.reshape(pairs, values.shape)


def _quarter_wave(n: int) -> np.ndarray:
    return np.exp(-0.5j * np.pi * np.arange(n // 2 + 1) / n)


def _norms(n: int) -> np.ndarray:
    """Return the norms of the cosines: ``sqrt(1/n)`` for the constant, ``sqrt(2/n)`` for others."""
    return np.sqrt(np.where(np.arange(n) == 0, 1, 2) / n)


def _sine(values: tf.Tensor) -> tf.Tensor:
    """Return the DST-II, ``sum_j v_j sin((k + 1) pi (j + 1/2) / n)``.

    It is computed as the DCT-II of the values with alternating signs.
    """
    return _reversed(_cosine(values * _signs(values)))


def _inverse_sine(coefficients: tf.Tensor) -> tf.Tensor:
    values = _inverse_cosine(_reversed(coefficients))
    return values * _signs(values)


def _half_sine(values: tf.Tensor) -> tf.Tensor:
    """Return the DST-IV, which is its own inverse, as the DCT-IV of the reversed values."""
    result = _half_cosine(_reversed(values))
    return result * _signs(result)


def _shift(coefficients: tf.Tensor, by: int) -> tf.Tensor:
    """Shift coefficients by one index: sin(k x) has index k - 1, cos(k x) has index k."""
    zero = tf.zeros_like(coefficients[..., :1])
    if by > 0:  # sines to cosines; the highest sine has no cosine on this grid
        return tf.concat([zero, coefficients[..., :-1]], axis=-1)
    return tf.concat([coefficients[..., 1:], zero], axis=-1)


_REAL = {
    "cosine": _cosine,
    "sine": _sine,
    "cosine-half": _half_cosine,
    "sine-half": _half_sine,
}
_REAL_INVERSE = {
    "cosine": _inverse_cosine,
    "sine": _inverse_sine,
    "cosine-half": _half_cosine,
    "sine-half": _half_sine,
}
_DERIVED_INVERSE = {
    "sine": lambda c: _inverse_cosine(_shift(c, 1)),
    "cosine": lambda c: _inverse_sine(_shift(c, -1)),
    "sine-half": _half_cosine,
    "cosine-half": _half_sine,
}
