"""Initialisation of TensorFlow for a process that computes given plans and no others."""

from __future__ import annotations

from collections.abc import Sequence

from pdesim.engine.device import Placement, fill_several_arrays, start_tensorflow
from pdesim.engine.flat.eligibility import fuses_to_one_kernel
from pdesim.plan import Plan


def start_for(plans: Sequence[Plan]) -> Placement:
    """Start TensorFlow with the fastest settings for these plans, on the device of the first plan.

    The settings apply to the entire process. They would make other plans slower.

    Raises:
        DeviceError: if a GPU is requested but not available.
    """

    def one_thread() -> bool:
        from pdesim.engine.compile_cache import (
            uses_slabs,  # needs TensorFlow, which is imported at this point
        )

        return all(uses_slabs(plan) for plan in plans)

    if all(map(fuses_to_one_kernel, plans)):
        fill_several_arrays()
    return start_tensorflow(plans[0].settings.device, one_thread)
