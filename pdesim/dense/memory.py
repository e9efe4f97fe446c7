"""The memory that the solution of a linear system needs, checked before it starts."""

from __future__ import annotations

from pdesim.dense.inputs import Shapes
from pdesim.engine.device import Placement
from pdesim.engine.memory import device_memory
from pdesim.errors import DeviceError
from pdesim.files import memory

#: matrices that are in memory at the same time: A, its factor, and a copy of the factor for the
#: solution with one of its triangles; on the host also the array from which A was copied
ON_DEVICE, ON_HOST = 3, 4
#: fraction of the memory above which a note is printed: other programs need memory, too
NOTABLE = 0.75


def needed_bytes(shapes: Shapes, matrices: int = ON_HOST) -> int:
    """Return the approximate number of bytes that a solution needs.

    Args:
        shapes: the size of the system.
        matrices: the number of matrices, :data:`ON_DEVICE` or :data:`ON_HOST`.
    """
    return shapes.itemsize * shapes.n * (matrices * shapes.n + 4 * shapes.columns)


def check_host(shapes: Shapes) -> None:
    """Check that A fits into the memory of the machine, before it is read or drawn.

    Raises:
        DeviceError: if it does not.
    """
    _check(shapes, needed_bytes(shapes, 1), memory(), "this machine")


def check_device(shapes: Shapes, placement: Placement) -> str:
    """Check that a system can be solved on a device.

    Returns:
        A note if most of the memory is needed, otherwise empty text.

    Raises:
        DeviceError: if there is not enough memory.
    """
    needed = needed_bytes(shapes, ON_DEVICE if placement.is_gpu else ON_HOST)
    present = device_memory(placement)
    _check(shapes, needed, present, placement.about)
    if needed < NOTABLE * present:
        return ""
    return (
        f"note: the solution needs about {_gib(needed)} of the {_gib(present)} of memory of "
        f"{placement.about}, and may fail if other programs use much"
    )


def _check(shapes: Shapes, needed: int, present: float, where: str) -> None:
    if needed <= present:
        return
    raise DeviceError(
        f"a system of {shapes.n:,} unknowns needs about {_gib(needed)} of memory: the matrix alone "
        f"has {_gib(shapes.itemsize * shapes.n**2)}",
        f"at most the {_gib(present)} of {where}",
        "fewer unknowns, device.precision=float32, or another device",
    )


def _gib(size: float) -> str:
    return f"{size / 2**30:.3g} GiB"
