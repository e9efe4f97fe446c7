"""Repair of the snapshot file of a run whose writer was killed."""

from __future__ import annotations

from pathlib import Path

from pdesim.output.find import find_snapshots
from pdesim.output.repair import Recovered, repair


def recover(path: str | Path) -> Recovered:
    """Repair a snapshot file whose writer was killed, without losing a complete frame.

    Args:
        path: the folder of a run, or a snapshot file.

    Raises:
        OutputError: see :func:`pdesim.output.repair.repair`.
    """
    return repair(find_snapshots(path))
