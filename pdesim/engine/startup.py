"""TensorFlow's start for a process that computes nothing but some plans."""

from __future__ import annotations

from collections.abc import Sequence

from pdesim.engine.device import Placement, fill_several_arrays, start_tensorflow
from pdesim.engine.flat.eligibility import fuses_to_one_kernel
from pdesim.plan import Plan


def start_for(plans: Sequence[Plan]) -> Placement:
    """TensorFlow as these plans are computed fastest, on the device that the first asks for.

    What is set up holds for the whole process, and makes other plans slower.

    Raises:
        DeviceError: if a GPU is asked for where there is none.
    """

    def one_thread() -> bool:
        from pdesim.engine.compile_cache import (
            uses_slabs,  # needs TensorFlow, which is imported by then
        )

        return all(uses_slabs(plan) for plan in plans)

    if all(map(fuses_to_one_kernel, plans)):
        fill_several_arrays()
    return start_tensorflow(plans[0].settings.device, one_thread)
