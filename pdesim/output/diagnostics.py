"""Numbers per frame: what a field does as a whole, in float64."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

QUANTITIES = ("min", "max", "mean", "integral", "l2")


def diagnose(values: np.ndarray, cell_volume: float) -> dict[str, float]:
    """Minimum, maximum, mean, integral over the domain, and ``sqrt(integral of u**2)``."""
    values = values.astype(np.float64, copy=False)
    mean = float(values.mean())
    return {
        "min": float(values.min()),
        "max": float(values.max()),
        "mean": mean,
        "integral": mean * values.size * cell_volume,
        "l2": float(np.sqrt(np.square(values).mean() * values.size * cell_volume)),
    }


class DiagnosticsFile:
    """``diagnostics.csv``: one row per frame, flushed at once."""

    def __init__(self, path: Path, fields: tuple[str, ...], cell_volume: float) -> None:
        self.fields, self.cell_volume = fields, cell_volume
        self._file = path.open("w", newline="")
        self._writer = csv.writer(self._file)
        columns = [f"{field}_{quantity}" for field in fields for quantity in QUANTITIES]
        self._writer.writerow(["frame", "time", *columns])

    def write(self, index: int, time: float, state: np.ndarray) -> None:
        rows = (diagnose(values, self.cell_volume) for values in state)
        numbers = [f"{row[quantity]:.10g}" for row in rows for quantity in QUANTITIES]
        self._writer.writerow([index, f"{time:.12g}", *numbers])
        self._file.flush()

    def close(self) -> None:
        self._file.close()
