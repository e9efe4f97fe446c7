"""Checks that a state fits into memory, and that its values can be stored as requested."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from pdesim.errors import ConfigError
from pdesim.files import memory
from pdesim.formula.language import AXES
from pdesim.model.equation import Equation
from pdesim.model.grid import Grid
from pdesim.settings import Settings

#: approximate number of arrays of the size of the state that a run keeps in memory
STATE_COPIES = 6


def check_bits(settings: Settings) -> None:
    """Check that ``output.keep_bits`` is at most the number of mantissa bits of the stored type."""
    keep, name = settings.output.keep_bits, settings.output.dtype or settings.device.precision
    max_bits = np.finfo(name).nmant
    if keep is not None and keep > max_bits:
        raise ConfigError(f"output.keep_bits={keep}, but {name} has {max_bits} mantissa bits")


def check_stored_range(
    settings: Settings, equation: Equation, largest: Mapping[int, np.floating]
) -> None:
    """Check that ``output.dtype`` can store the initial state without overflow or underflow.

    Args:
        settings: the settings.
        equation: the equation.
        largest: the index of each stored field -> its largest absolute value in the initial state.

    Raises:
        ConfigError: for the first field whose largest magnitude is out of range.
    """
    dtype = np.dtype(settings.output.dtype or settings.device.precision)
    for number, value in largest.items():
        with np.errstate(over="ignore", under="ignore"):
            stored = value.astype(dtype)
        if np.isinf(stored) or (value > 0 and stored == 0):
            about = np.finfo(dtype)
            raise ConfigError(
                f"{equation.fields[number]} has values up to {value:.3g} in the initial state, "
                f"which {dtype} stores as {stored}",
                f"magnitudes from {about.smallest_subnormal:.2g} to {about.max:.6g}",
                "other units of this field"
                + (", or output.dtype=float32" if dtype == np.float16 else ""),
            )


def check_memory(
    grid: Grid, equation: Equation, settings: Settings, rows: slice | None = None
) -> None:
    """Check that :data:`STATE_COPIES` copies of the state fit into the memory of this machine.

    Args:
        rows: the rows of the state that are in memory; None for all.
    """
    size = 4 if settings.device.precision == "float32" else 8
    present_rows = grid.shape[0] if rows is None else rows.stop - rows.start
    cells = grid.cells // grid.shape[0] * present_rows
    needed = STATE_COPIES * size * len(equation.fields) * cells
    present = memory()
    if needed > present:
        part = "" if rows is None else f" divided into parts of {present_rows} rows"
        axes = ", ".join(f"{n} along {a}" for n, a in zip(grid.points, AXES, strict=False))
        raise ConfigError(
            f"this grid ({axes}){part} needs about {needed / 2**30:.3g} GiB of memory",
            f"at most the {present / 2**30:.3g} GiB of this machine",
        )
