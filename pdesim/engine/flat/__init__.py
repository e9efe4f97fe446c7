"""The step loop on CPUs for periodic grids, on flat arrays that are read without selects.

``layout`` maps a state to one flat array with ghost cells, and ``rhs`` evaluates formulas on it.
``flat_loop`` advances grids that fit the caches, ``tiled_loop`` larger ones in ``slabs`` (one or
more for each core) and ``tiles`` (parts of a slab that fit the cache of a core), with arrays from
``workspace``. ``eligibility`` determines which problems are supported.
"""
