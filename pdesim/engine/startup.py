"""Initialisation of TensorFlow for a process that computes given plans and no others."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pdesim.engine.device import Placement, fill_several_arrays, start_tensorflow
from pdesim.engine.flat.eligibility import fuses_to_one_kernel
from pdesim.plan import Plan


def start_for(plans: Sequence[Plan], connect: Callable[[], None] | None = None) -> Placement:
    """Start TensorFlow with the fastest settings for these plans, on the device of the first plan.

    The settings apply to the entire process. They would make other plans slower.

    Args:
        plans: the plans.
        connect: a function that connects this process with others, which is called before the first
            operation of TensorFlow.

    Raises:
        DeviceError: if a GPU is requested but not available.
    """

    def threads() -> int | None:
        # these modules need TensorFlow, which is imported at this point
        from pdesim.engine.compile_cache import uses_slabs
        from pdesim.engine.flat.tuning import TUNING

        count = plans[0].settings.device.count
        if count > 1:  # the parts of the grid are computed in parallel
            return max(1, TUNING.threads // count)
        return 1 if all(uses_slabs(plan) for plan in plans) else None

    if all(map(fuses_to_one_kernel, plans)):
        fill_several_arrays()
    return start_tensorflow(plans[0].settings.device, threads, connect)
