"""Strong and weak scaling of one grid on several devices: measured values, and a model of them.

Strong scaling: the same grid on several devices. Weak scaling: the last axis of the grid grows with
the number of devices, so that each device has as many rows as the whole grid on one device.

This module does not import TensorFlow.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pdesim.bench.timing import Rounds
from pdesim.engine.distributed.link import Link

STRONG, WEAK = "strong", "weak"


@dataclass(frozen=True)
class Load:
    """What a device computes and exchanges.

    Args:
        devices: the number of devices.
        total_rows: the number of rows of the grid.
        rows: the number of rows of the device with the most rows, without ghost rows.
        ghost_rows: the number of its ghost rows, on both sides together.
        steps: the number of steps between two exchanges.
        exchanges: the number of exchanges per step.
        exchanged: the bytes that the device receives per step.
        in_slabs: whether the rows are computed in slabs and tiles, which have as many ghost rows on
            one device.
    """

    devices: int
    total_rows: int
    rows: int
    ghost_rows: int = 0
    steps: int = 1
    exchanges: float = 0.0
    exchanged: float = 0.0
    in_slabs: bool = False

    @property
    def additional_rows(self) -> int:
        """The number of ghost rows that the device computes in addition to its own rows."""
        return 0 if self.in_slabs else self.ghost_rows


def single(rows: int) -> Load:
    """Return the load of one device that has all rows and exchanges nothing."""
    return Load(1, rows, rows)


def predict_step_seconds(load: Load, one: Load, seconds: float, parallel: int, link: Link) -> float:
    """Return the time per step in seconds that a model predicts for several devices.

    The model is ::

        T = T1 * (r + g) / R * max(1, N / P) + m * L + b / B

    with the time per step ``T1`` of one device that has ``R`` rows; ``r`` rows and ``g`` additional
    ghost rows of each of ``N`` devices, of which ``P`` compute at the same time; ``m`` exchanges
    and ``b`` bytes per step and device; the latency ``L`` and the bandwidth ``B``. It assumes that
    the time of a right-hand side is proportional to the number of rows, and that a device waits in
    an exchange.

    Args:
        load: the rows, ghost rows and exchanges of the devices (``r``, ``g``, ``N``, ``m``, ``b``).
        one: the load of one device (``R``).
        seconds: its measured time per step in seconds (``T1``).
        parallel: the number of devices that compute at the same time (``P``): the number of GPUs,
            or the number of cores divided by the threads of a device.
        link: the latency in seconds and the bandwidth in bytes per second (``L``, ``B``).
    """
    computed = seconds * (load.rows + load.additional_rows) / one.rows
    shared = max(1.0, load.devices / parallel)
    return computed * shared + load.exchanges * link.latency + load.exchanged / link.bandwidth


def predict_speed_up(load: Load, one: Load, seconds: float, parallel: int, link: Link) -> float:
    """Return the predicted ratio of the cell updates per second to those of one device.

    It is ``(rows of the grid / R) * T1 / T``; :func:`predict_step_seconds` describes the arguments
    and ``T``. Without a cost of exchanges and ghost rows, and with ``P >= N`` and equal parts, it
    is ``N``.
    """
    predicted = predict_step_seconds(load, one, seconds, parallel, link)
    return load.total_rows / one.total_rows * seconds / predicted


@dataclass(frozen=True)
class ScalingRow(Rounds):
    """The measurement of one number of devices on one grid.

    Args:
        scaling: ``strong`` or ``weak``.
        points: the number of cells per axis.
        load: what each device computes and exchanges.
        steps: the number of steps per round.
        seconds: the duration of every round in seconds.
        exchange_seconds: the seconds of every round that the first device spends in exchanges,
            which includes waiting for other devices.
        link: the measured cost of exchanges; None for one device.
        predicted: the predicted speed-up.
        one: the measurement of one device; None if it is this one.
    """

    scaling: str
    points: tuple[int, ...]
    load: Load
    steps: int
    seconds: tuple[float, ...]
    exchange_seconds: tuple[float, ...]
    link: Link | None = None
    predicted: float = 1.0
    one: ScalingRow | None = None

    @property
    def speed_up(self) -> float:
        """The rate divided by that of one device: the median of this ratio over the rounds."""
        return 1.0 if self.one is None else float(np.median(self.rates / self.one.rates))

    @property
    def efficiency(self) -> float:
        """The speed-up divided by the number of devices."""
        return self.speed_up / self.load.devices

    @property
    def exchange_share(self) -> float:
        """The share of the time that the first device spends in exchanges, a median over rounds."""
        return float(np.median(np.array(self.exchange_seconds) / np.array(self.seconds)))
