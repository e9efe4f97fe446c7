"""The constants that decide how the step loop on CPUs is divided, measured as described in
``benchmarks/NOTES.md``."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType


def _of_dimensions(one: int, two: int, three: int) -> Mapping[int, int]:
    return MappingProxyType({1: one, 2: two, 3: three})


@dataclass(frozen=True)
class Tuning:
    """Sizes in bytes, and counts.

    Args:
        single_band_bytes: grids of more bytes are computed in two pieces if they can be.
        two_band_bytes: grids of more bytes are cut into slabs where two pieces would be possible.
        max_depth: chained right-hand sides that ghosts are made for at most.
        small_grid_depths: the same for grids of few bytes, whose runs would end before many kernels are
            compiled: the largest size in bytes, and the number.
        exchange_cost: the cost of new ghosts, in right-hand sides: all carried arrays are copied.
        ghost_rows: rows of ghosts of a slab in one to three dimensions, less one.
        max_ghost_rows: the same where two steps need more.
        tile_bytes: of a tile, at most where rows allow it.
        tile_arrays_bytes: of all arrays that the steps of a tile use.
        tile_width: cells of a tile along a row.
        tile_ghost_bytes: bytes of ghosts that limit the number of steps of a tile.
        slab_bytes: of a slab, at most.
        min_kernel_bytes, max_kernel_bytes: sizes between which a step is compiled as one kernel; on smaller
            grids calling a kernel costs more than a second pass over memory.
        cores: threads in which TensorFlow runs operations at the same time; 0: those it has.
    """

    single_band_bytes: int = 2**22
    two_band_bytes: int = 10 * 2**20
    max_depth: int = 8
    small_grid_depths: Mapping[int, int] = field(
        default_factory=lambda: MappingProxyType({2**16: 1, 2**18: 2}), hash=False
    )
    exchange_cost: float = 1.0
    ghost_rows: Mapping[int, int] = field(
        default_factory=lambda: _of_dimensions(16, 16, 4), hash=False
    )
    max_ghost_rows: Mapping[int, int] = field(
        default_factory=lambda: _of_dimensions(32, 32, 4), hash=False
    )
    tile_bytes: int = 2**19
    tile_arrays_bytes: int = 5 * 2**18
    tile_width: int = 256
    tile_ghost_bytes: int = 2**23
    slab_bytes: int = 2**24
    min_kernel_bytes: int = 2**20
    max_kernel_bytes: int = 2**22
    cores: int = 0

    @property
    def threads(self) -> int:
        """The number of operations that TensorFlow runs at the same time."""
        if self.cores:
            return self.cores
        import tensorflow as tf

        requested = tf.config.threading.get_inter_op_parallelism_threads()
        if requested or not hasattr(os, "sched_getaffinity"):
            return requested or os.cpu_count() or 1
        return len(os.sched_getaffinity(0))


TUNING = Tuning()
