"""Communication between the devices of one problem."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import tensorflow as tf


class Communicator(Protocol):
    """Operations in which all devices of a problem take part, in the same order.

    Attributes:
        rank: the number of this device.
        size: the number of devices.
    """

    rank: int
    size: int

    def exchange(self, first: tf.Tensor, last: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Send rows to both neighbours; the device 0 is a neighbour of the last one.

        Args:
            first, last: the first rows, for the device before this one, and the last rows, for the
                device after it.

        Returns:
            The last rows of the device before this one, and the first rows of that after it.
        """

    def gather(self, values: np.ndarray, equal: bool = False) -> list[np.ndarray]:
        """Return the arrays of all devices, in their order.

        Args:
            equal: whether all arrays have the same shape, which makes the operation faster.
        """


class Peers:
    """What devices of one process share: places for their arrays, and barriers.

    A device that fails calls :meth:`abort`; all others then leave their operation with a
    ``BrokenBarrierError``.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._barrier = threading.Barrier(size)
        self._places: list[Any] = [None] * size

    def abort(self) -> None:
        """End the operations of all devices."""
        self._barrier.abort()

    def gather(self, rank: int, values: Any) -> list[Any]:
        """Return the values of all devices."""
        self._places[rank] = values
        self._barrier.wait()
        result = list(self._places)
        self._barrier.wait()  # before a device replaces its values
        return result


class ThreadCommunicator:
    """A device that is advanced by a thread of this process."""

    def __init__(self, peers: Peers, rank: int, device: str) -> None:
        self.peers, self.rank, self.size = peers, rank, peers.size
        self.device = device

    def exchange(self, first: tf.Tensor, last: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        rows = self.peers.gather(self.rank, (first, last))
        before, after = rows[self.rank - 1][1], rows[(self.rank + 1) % self.size][0]
        with tf.device(self.device):
            return tf.identity(before), tf.identity(after)

    def gather(self, values: np.ndarray, equal: bool = False) -> list[np.ndarray]:
        return self.peers.gather(self.rank, values)


def agreed(communicator: Communicator, values: Sequence[float]) -> np.ndarray:
    """Return the numbers of the first device, on all devices."""
    return communicator.gather(np.asarray(values, dtype=np.float64), equal=True)[0]
