"""The time that an exchange between devices takes, and the choices that depend on it.

This module does not import TensorFlow by itself.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pdesim.engine.distributed.communicator import Communicator

#: the bytes of the two arrays that are exchanged to measure a link
LINK_BYTES = (2**12, 2**20)
#: exchanges of each size, of which the first ones are not timed
EXCHANGES, UNTIMED = 7, 2
#: an exchange of slabs that takes longer than this, in seconds, takes place while others are
#: computed; a shorter one would lose more time with threads that wait for a core
#: (``benchmarks/NOTES.md``)
OVERLAP_SECONDS = 0.015
#: gather operations in each block of steps, and the largest share of the time that they may take
DECISIONS, DECISIONS_SHARE = 4, 0.04
#: values per second that a thread of a CPU and a GPU compute in a right-hand side, roughly
VALUES_PER_SECOND = {"CPU": 1e9, "GPU": 2e10}
#: bytes per second at which they copy an array, roughly
COPY_BYTES_PER_SECOND = {"CPU": 4e9, "GPU": 1e12}
#: how many times an exchange of a form with ghost rows copies the rows of a device: with new ghost
#: rows, into the layout of the step loop, and out of it
COPIES = 3


@dataclass(frozen=True)
class Link:
    """The cost of an exchange between devices.

    Args:
        latency: the time of an exchange of no data in seconds.
        bandwidth: the bytes per second that a device receives; infinite if exchanges of large
            arrays were not slower than those of small ones.
    """

    latency: float
    bandwidth: float

    def seconds(self, received: float) -> float:
        """Return the time of an exchange in which a device receives this number of bytes."""
        return self.latency + received / self.bandwidth


def fit_link(sizes: tuple[float, float], seconds: tuple[float, float]) -> Link:
    """Return the line ``seconds = latency + bytes / bandwidth`` through two measurements.

    Args:
        sizes: the bytes that a device receives in one exchange, the smaller number first.
        seconds: the time of one exchange.
    """
    slope = max(0.0, (seconds[1] - seconds[0]) / (sizes[1] - sizes[0]))
    return Link(max(0.0, seconds[0] - slope * sizes[0]), 1 / slope if slope else math.inf)


def measure_link(communicator: Communicator) -> Link:
    """Return the measured cost of exchanges with both neighbours, on which all devices agree."""
    import tensorflow as tf

    from pdesim.engine.distributed.communicator import agreed

    def exchanged(size: int) -> float:
        rows = tf.zeros((1, size // 4), tf.float32)
        # the last number waits for the device
        return _seconds(lambda: communicator.exchange(rows, rows)[1][0, -1].numpy())

    seconds = [exchanged(size) for size in LINK_BYTES]
    small, large = map(float, agreed(communicator, seconds))
    return fit_link((2 * LINK_BYTES[0], 2 * LINK_BYTES[1]), (small, large))


def block_seconds(communicator: Communicator) -> float:
    """Return the shortest duration of a block of steps in seconds.

    In it, decisions on which all devices agree after each block take at most ``DECISIONS_SHARE`` of
    the time.
    """
    from pdesim.engine.distributed.communicator import agreed

    seconds = _seconds(lambda: communicator.gather(np.zeros(1), equal=True))
    return DECISIONS * float(agreed(communicator, [seconds])[0]) / DECISIONS_SHARE


def _seconds(operation: Callable[[], object]) -> float:
    """Return the median of the measured times of an operation."""
    times = []
    for _ in range(EXCHANGES):
        began = time.perf_counter()
        operation()
        times.append(time.perf_counter() - began)
    return float(np.median(times[UNTIMED:]))


@dataclass(frozen=True)
class Rows:
    """The rows of one device, and what its steps cost.

    Args:
        number: the number of rows without ghost rows.
        row_bytes: the bytes of a row of the carried data.
        per_step: the ghost rows on each side that a step makes invalid.
        step_seconds: the estimated time of a step of these rows in seconds.
        copy_seconds: the estimated time of a copy of these rows in seconds.
    """

    number: int
    row_bytes: int
    per_step: int
    step_seconds: float
    copy_seconds: float

    def seconds_per_step(self, steps: int, link: Link) -> float:
        """Return the time per step in seconds if rows are exchanged once in a number of steps.

        It is ``T * (r + 2*k*g) / r + (L + 2*k*g*b / B + c) / k`` with the time ``T`` of a step of
        ``r`` rows, ``k`` steps of which each makes ``g`` ghost rows on each side invalid, ``b``
        bytes per row, the latency ``L``, the bandwidth ``B``, and the time ``c`` of copies.
        """
        ghosts = 2 * steps * self.per_step
        exchange = link.seconds(ghosts * self.row_bytes) + COPIES * self.copy_seconds
        return self.step_seconds * (1 + ghosts / self.number) + exchange / steps

    def best_steps(self, most: int, link: Link) -> int:
        """Return the number of steps between exchanges, up to ``most``, with the least time."""
        return min(range(1, most + 1), key=lambda steps: self.seconds_per_step(steps, link))
