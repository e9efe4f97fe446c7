"""Steps of chosen size: which is tried next, and whether it is accepted.

``progress`` is (time, dt, accepted, tried): where the solution stands, what is to be tried, and how
many steps were. Numbers are of one run, or of several members.
"""

from __future__ import annotations

import tensorflow as tf

#: a step grows or shrinks by these factors at most; the middle one is for safety
SHRINK, SAFETY, GROW = 0.2, 0.9, 5.0
#: the part of a cell's own value that is added to the scale of its field: values that grow by
#: orders of magnitude between two looks at that scale must not be held to what they were
LOCAL = 0.02
#: a step below this fraction of the interval means that the solution cannot be followed
VANISHING = 1e-12


def active(progress, max_trials, end, start):
    """Whether there is a step to try on the way from ``start`` to ``end``."""
    time, dt, _, tried = progress
    return (time < end) & (tried < max_trials) & (dt > VANISHING * (end - start))


def next_step(progress, end):
    """The step to try: what was chosen, or up to the end of the interval."""
    time, dt, *_ = progress
    return tf.where(_is_last(progress, end), end - time, dt)


def _is_last(progress, end):
    time, dt, *_ = progress
    return time + dt * (1 + 1e-12) >= end


def squared_errors(new, error, tolerance, scale):
    """Of ``error / (tolerance * (scale + 0.02 |u|))``, cell by cell.

    Args:
        scale: of each field, a number that broadcasts against it: what is small beside the field.
    """
    allowed = tf.cast(tolerance, new.dtype) * (scale + LOCAL * tf.abs(new))
    return tf.square(error / allowed)


def error_size(sums, cells: int):
    """The root mean square of what was allowed, of the field where it is largest."""
    return tf.cast(tf.sqrt(tf.reduce_max(sums / cells, axis=-1)), tf.float64)


def judge_step(size, is_active, progress, end, order: int):
    """Whether a step is taken, which it is where ``size`` is at most 1; and the progress then.

    Args:
        order: the power of dt in the local error.
    """
    (time, dt, accepted, tried), last = progress, _is_last(progress, end)
    taken = next_step(progress, end)
    good = (size <= 1.0) & is_active
    factor = SAFETY * tf.maximum(size, 1e-10) ** (-1.0 / order)
    factor = tf.where(tf.math.is_finite(size), factor, SHRINK)
    proposed = taken * tf.clip_by_value(factor, SHRINK, GROW)
    # a step cut short by the interval's end says nothing against the longer one
    proposed = tf.where(good & last, tf.maximum(dt, proposed), proposed)
    return good, (
        tf.where(good, tf.where(last, end, time + taken), time),
        tf.where(is_active, proposed, dt),
        accepted + tf.cast(good, tf.int64),
        tried + tf.cast(is_active, tf.int64),
    )
