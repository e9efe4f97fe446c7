"""The step loops for stencils on flat arrays.

``layout`` maps a state to a flat array with ghost cells, and ``rhs`` evaluates formulas on it.
``walls`` computes ghost cells beyond boundaries that are not periodic, and ``position_arrays`` the
coefficients and obstacles, which depend on position only. On CPUs, ``flat_loop`` advances grids
that fit the caches. ``tiled_loop`` advances larger grids, which are divided into ``slabs`` (one or
more for each core), and these into ``tiles`` (parts of a slab that fit the cache of a core). The
steps of a tile write to the arrays in ``workspace``. ``gpu_loop`` advances all grids on GPUs.
``eligibility`` determines which problems are supported.
"""
