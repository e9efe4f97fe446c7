"""Constants of the step loops on CPUs and GPUs.

``benchmarks/NOTES.md`` describes the measurements.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType


def _of_dimensions(one: int, two: int, three: int) -> Mapping[int, int]:
    return MappingProxyType({1: one, 2: two, 3: three})


@dataclass(frozen=True)
class Tuning:
    """Sizes in bytes, and counts of steps, rows and cells.

    Args:
        single_band_bytes: maximum size of a grid that is computed in one band; larger grids are
            computed in two bands if possible.
        two_band_bytes: maximum size of a grid that is computed in two bands; larger grids are
            divided into slabs.
        max_depth: maximum number of chained right-hand sides per exchange of ghost cells.
        max_extrapolated_depth: the same if ghost cells are extrapolated for every right-hand side,
            which takes many small kernels.
        small_grid_depths: the same for small grids, for which compiling many kernels would take
            longer than the run: maximum size in bytes -> number of right-hand sides.
        exchange_cost: the cost of an exchange of ghost cells, which copies all carried arrays, in
            units of a right-hand side.
        ghost_rows: by dimension, the maximum number of ghost rows of a slab, minus one.
        max_ghost_rows: by dimension, the same limit for two steps, if they need more rows.
        tile_bytes: target size of a tile; a tile has at least one row.
        tile_arrays_bytes: target size of all arrays that the steps of a tile use.
        tile_width: number of cells of a tile along a row.
        tile_ghost_bytes: maximum size of the ghost cells of a tile, which limits its number of
            steps.
        slab_bytes: maximum size of a slab.
        min_kernel_bytes, max_kernel_bytes: range of grid sizes for which a step is compiled as one
            kernel; on smaller grids calling a kernel costs more than a second pass over memory.
        cores: number of parallel operations of TensorFlow; 0 to detect it.
        gpu_depths: on GPUs, the maximum number of chained right-hand sides per exchange of ghost
            cells, each of which is compiled: maximum size of a grid in bytes -> number.
        gpu_in_place_bytes: on GPUs, the size of a grid above which ghost cells are written in
            place, by several small kernels; below, one kernel copies the arrays with their ghost
            cells.
    """

    single_band_bytes: int = 2**22
    two_band_bytes: int = 10 * 2**20
    max_depth: int = 8
    max_extrapolated_depth: int = 4
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
    gpu_depths: Mapping[int, int] = field(
        default_factory=lambda: MappingProxyType({2**20: 8, 2**60: 16}), hash=False
    )
    gpu_in_place_bytes: int = 2**25

    def on_gpu(self, size: int) -> Tuning:
        """Return the sizes and counts for a grid of ``size`` bytes on a GPU.

        A copy with new ghost cells takes about as long as 2.5 right-hand sides, ghost cells in
        place much less than one.
        """
        depth = next(deep for most, deep in self.gpu_depths.items() if size <= most)
        in_place = size >= self.gpu_in_place_bytes
        return replace(
            self, max_depth=depth, max_extrapolated_depth=depth,
            small_grid_depths=MappingProxyType({}), exchange_cost=0.3 if in_place else 2.5,
        )  # fmt: skip

    @property
    def threads(self) -> int:
        """The number of operations that TensorFlow computes in parallel."""
        if self.cores:
            return self.cores
        import tensorflow as tf

        known = hasattr(os, "sched_getaffinity")
        cores = len(os.sched_getaffinity(0)) if known else os.cpu_count() or 1
        return min(tf.config.threading.get_inter_op_parallelism_threads() or cores, cores)


TUNING = Tuning()
