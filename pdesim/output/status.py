"""``status.json``: how a run stands, replaced as a whole at every change."""

from __future__ import annotations

import contextlib
import json
import logging
import os
from pathlib import Path
from typing import Any

log = logging.getLogger("pdesim")

FILE = "status.json"


def write_status(folder: Path, **values: Any) -> None:
    """Write the file under a temporary name and rename it, so no reader sees half of it.

    On a full disk the status of before stays; the run tells of the disk itself.
    """
    temporary = folder / f".{FILE}.tmp"
    try:
        temporary.write_text(json.dumps(values, indent=2, allow_nan=False) + "\n")
        os.replace(temporary, folder / FILE)
    except OSError as error:
        log.warning("%s not written: %s", FILE, error)
        with contextlib.suppress(OSError):
            temporary.unlink()
