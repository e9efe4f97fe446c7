"""The step loop on CPUs for periodic grids: states as flat arrays, without a choice per neighbour.

``layout`` puts a state on one flat array with ghost cells, ``rhs`` evaluates formulas there,
``array`` lets a stepper compute with it. ``flat_loop`` advances grids that fit the caches,
``tiled_loop`` larger ones in ``slabs`` (one or more for each core) and ``tiles`` (the part that a
core works on), whose arrays ``workspace`` provides. ``eligibility`` says which problems qualify.
"""
