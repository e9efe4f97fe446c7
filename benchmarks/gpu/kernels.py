"""The number of kernels per step, from the text of a compiled program."""

from __future__ import annotations

import re

#: the operations of a compiled program that are kernels, or calls of library kernels
KERNELS = "fusion|convolution|custom-call|fft|copy|reduce|scatter|gather|sort"
KERNEL = re.compile(rf" = .*? (?:{KERNELS})\(")
#: computations that an operation executes
CALLED = re.compile(r"(?:to_apply|calls|branch_computations|called_computations)=\{?%?([\w.\-]+)")


def kernels_per_step(text: str) -> int:
    """Return the largest number of kernels in the body of a loop; 0 if there is no loop.

    XLA fuses several operations into a kernel. The computations inside a fusion are not counted,
    those that are called, such as the command buffers of GPUs, are. The condition of a loop is
    not counted.

    Args:
        text: the optimised program in the text form of HLO.
    """
    bodies = dict(re.findall(r"^(?:ENTRY )?%?([\w.\-]+)[^\n]*\{\n(.*?)^\}", text, re.S | re.M))
    return max((_count(bodies, name) for name in re.findall(r"body=%?([\w.\-]+)", text)), default=0)


def _count(bodies: dict[str, str], name: str) -> int:
    total = 0
    for line in bodies.get(name, "").splitlines():
        if KERNEL.search(line):
            total += 1
        elif re.search(r" (?:call|async-start|conditional)\(", line):
            total += sum(_count(bodies, other) for other in CALLED.findall(line))
    return total
