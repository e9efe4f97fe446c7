"""``status.json``: how a run stands, replaced as a whole at every change."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

FILE = "status.json"


def write_status(folder: Path, **values: Any) -> None:
    """Write the file under a temporary name and rename it, so no reader sees half of it."""
    temporary = folder / f".{FILE}.tmp"
    temporary.write_text(json.dumps(values, indent=2, allow_nan=False) + "\n")
    os.replace(temporary, folder / FILE)
