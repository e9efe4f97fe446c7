"""Error control of adaptive steps: the next step to try, and whether it is accepted.

``progress`` is a tuple (time, dt, accepted, tried): the current time, the next step, the number of
accepted steps and the number of attempted steps. Each is a scalar, or an array with one value for
each member.
"""

from __future__ import annotations

import tensorflow as tf

#: minimum factor, safety factor and maximum factor of a change of the step
SHRINK, SAFETY, GROW = 0.2, 0.9, 5.0
#: the tolerance in a cell is relative to the scale of the field plus this fraction of the value in
#: the cell, so that it is not too strict if values grow by orders of magnitude between two updates
#: of the scale
LOCAL = 0.02
#: smallest step as a fraction of the interval; below it the run is aborted
VANISHING = 1e-12
#: number of bits of the mantissa of a float64, and of those that are used of an error
MANTISSA, BITS = 52, 8


def active(progress, max_trials, end, start):
    """Whether another step must be attempted in the interval from ``start`` to ``end``."""
    time, dt, _, tried = progress
    return (time < end) & (tried < max_trials) & (dt > VANISHING * (end - start))


def next_step(progress, end):
    """Return the step to try, shortened to the end of the interval."""
    time, dt, *_ = progress
    return tf.where(_is_last(progress, end), end - time, dt)


def _is_last(progress, end):
    time, dt, *_ = progress
    return time + dt * (1 + 1e-12) >= end


def squared_errors(new, error, tolerance, scale):
    """Return the squares of ``error / (tolerance * (scale + 0.02 |u|))`` in all cells.

    Args:
        scale: the scale of each field, to which the tolerance is relative; its shape broadcasts
            against the fields.
    """
    allowed = tf.cast(tolerance, new.dtype) * (scale + LOCAL * tf.abs(new))
    return tf.square(error / allowed)


def sum_of(squared_errors, axis):
    """Return sums over cells in float64, whose rounding hardly depends on the order of addition."""
    return tf.reduce_sum(tf.cast(squared_errors, tf.float64), axis=axis)


def error_size(sums, cells: int):
    """Return the root mean square of the scaled error of the field in which it is largest.

    The result has ``BITS`` bits, so that the next step does not depend on rounding errors of the
    sums, which differ between divisions of the grid among devices.

    Args:
        sums: the sums of the squared errors over all cells, ``(..., fields)``, from :func:`sum_of`.
    """
    size = tf.sqrt(tf.reduce_max(sums / cells, axis=-1))
    kept = tf.constant(-(2 ** (MANTISSA - BITS)), tf.int64)
    return tf.bitcast(tf.bitwise.bitwise_and(tf.bitcast(size, tf.int64), kept), tf.float64)


def judge_step(size, is_active, progress, end, order: int):
    """Return whether a step is accepted (``size`` at most 1), and the new progress.

    Args:
        size: the size of the scaled error.
        is_active: whether the step was needed (:func:`active`).
        order: the power of dt with which the error estimate decreases.
    """
    (time, dt, accepted, tried), last = progress, _is_last(progress, end)
    taken = next_step(progress, end)
    good = (size <= 1.0) & is_active
    factor = SAFETY * tf.maximum(size, 1e-10) ** (-1.0 / order)
    factor = tf.where(tf.math.is_finite(size), factor, SHRINK)
    proposed = taken * tf.clip_by_value(factor, SHRINK, GROW)
    # a step that was shortened to the end of the interval does not reduce the next step
    proposed = tf.where(good & last, tf.maximum(dt, proposed), proposed)
    return good, (
        tf.where(good, tf.where(last, end, time + taken), time),
        tf.where(is_active, proposed, dt),
        accepted + tf.cast(good, tf.int64),
        tried + tf.cast(is_active, tf.int64),
    )
