"""The memory of the device: what a run needs, checked before the run, and its exhaustion."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence

from pdesim.engine import gpu
from pdesim.engine.device import Placement
from pdesim.engine.distributed.eligibility import devices_for, divides_members
from pdesim.errors import DeviceError, PdesimError, is_out_of_memory, out_of_memory
from pdesim.files import memory
from pdesim.operators.steady import DENSE, TRANSFORM, chosen_solver
from pdesim.plan import Plan

#: arrays as large as the state that every loop over steps needs: its argument, which remains in
#: memory, the states before and after a step, and its result
LOOP_ARRAYS = 4
#: the same for a solution by transforms: the right-hand side, its modes, and the solution
TRANSFORM_ARRAYS = 3
#: the same for iterations, in double precision: the initial state, the solution, the right-hand
#: side, the residual, a direction, its image, and the preconditioned residual
ITERATION_ARRAYS = 7
#: dense matrices in double precision: the matrix, its factor, and a copy of the factor for the
#: solution with one of its triangles; on the host also the array from which it was copied
DENSE_ON_DEVICE, DENSE_ON_HOST = 3, 4


def least_arrays(plan: Plan) -> int:
    """Return the smallest number of arrays as large as the state that a run needs on its device.

    These are the arrays of the loop, and those in which a step stores its stages
    (:mod:`pdesim.steppers.cost`). Programs may use further arrays. On a GPU (H100, Gray-Scott on
    4096 x 4096 cells in float32), the largest amounts of memory in use were 4.5 (Euler), 7.6 (RK4),
    5.0 (Euler with convolutions) and 17 arrays (ETDRK4); this function returns 4, 7, 4 and 9.
    """
    if plan.is_steady:
        return _solver_arrays(plan)
    fields = len(plan.equation.fields)
    return LOOP_ARRAYS + sum(size == fields for size in plan.cost.buffers)


def _solver_arrays(plan: Plan) -> int:
    """Return the smallest number of arrays as large as the state that the solver needs."""
    if chosen_solver(plan.problem, plan.settings.solver) == TRANSFORM:
        return TRANSFORM_ARRAYS
    cycle = 2 * plan.grid.dimensions + 2  # the diagonal, its inverse, and the neighbours
    number_bytes = 8 * ITERATION_ARRAYS + 4 * cycle  # the cycle is in single precision
    return math.ceil(number_bytes * plan.grid.cells * len(plan.equation.fields) / plan.state_bytes)


def least_bytes(plan: Plan) -> int:
    """Return the smallest number of bytes that a run needs on its device."""
    return least_arrays(plan) * plan.state_bytes


def device_memory(placement: Placement) -> float:
    """Return the memory of a device in bytes, or infinity if it is unknown."""
    if not placement.is_gpu:
        return memory()
    size = gpu.total_memory()
    return float("inf") if size is None else float(size)


def check_device_memory(plans: Sequence[Plan], placement: Placement) -> None:
    """Check that the arrays of plans that are computed together fit into the device's memory.

    Raises:
        DeviceError: if even the smallest number of arrays does not fit.
    """
    needed, present = sum(map(least_bytes, plans)), device_memory(placement)
    for plan in plans:
        _check_matrix(plan, placement, present)
    if needed <= present:
        return
    plan = plans[0]
    cells = " x ".join(str(n) for n in plan.grid.points)
    members = f"{len(plans)} runs of " if len(plans) > 1 else ""
    raise DeviceError(
        f"{members}{plan.equation.name} on {cells} cells needs at least {_gib(needed)} of memory: "
        f"{least_arrays(plan)} arrays of {_gib(plan.state_bytes * len(plans))}",
        f"at most the {_gib(present)} of {placement.about}",
        "a smaller grid, device.precision=float32, a stepper with fewer stages, or another device",
    )


def check_batch_memory(plans: Sequence[Plan], placement: Placement) -> None:
    """Check that the arrays of a batch fit into the memory of each of its devices.

    Several GPUs divide the members of a batch, while the parts of a CPU share its memory.

    Raises:
        DeviceError: if even the smallest number of arrays does not fit.
    """
    if placement.is_gpu and divides_members(plans[0], len(plans)):
        plans = plans[: -(-len(plans) // devices_for(plans[0], len(plans)))]
    check_device_memory(plans, placement)


def _check_matrix(plan: Plan, placement: Placement, present: float) -> None:
    """Check that the matrices of the dense solver fit into the memory.

    Raises:
        DeviceError: if they do not.
    """
    if not plan.is_steady or chosen_solver(plan.problem, plan.settings.solver) != DENSE:
        return
    unknowns = plan.grid.cells * len(plan.equation.fields)
    matrix, count = 8 * unknowns**2, DENSE_ON_DEVICE if placement.is_gpu else DENSE_ON_HOST
    if count * matrix <= present:
        return
    cells = " x ".join(str(n) for n in plan.grid.points)
    most = math.isqrt(int(present / (8 * count)))
    raise DeviceError(
        f"solver=dense needs about {_gib(count * matrix)} of memory for {plan.equation.name} on "
        f"{cells} cells: {count} matrices of {unknowns:,} x {unknowns:,} numbers, each of "
        f"{_gib(matrix)}",
        f"at most {most:,} unknowns (cells times fields) in the {_gib(present)} of "
        f"{placement.about}",
        "solver=cg or multigrid, or a smaller grid",
    )


@contextlib.contextmanager
def enough_memory(cells: int) -> Iterator[None]:
    """Translate out-of-memory exceptions of the host or a GPU into a ``DeviceError``.

    Raises:
        DeviceError: with the number of cells.
    """
    try:
        yield
    except PdesimError:
        raise
    except Exception as error:
        if is_out_of_memory(error):
            raise out_of_memory(cells) from None
        raise


def _gib(size: float) -> str:
    return f"{size / 2**30:.3g} GiB"
