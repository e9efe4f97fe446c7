"""The version of a file's layout, which every file of a run carries."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pdesim.errors import OutputError


def check_version(path: Path | str, found: Any, newest: int) -> None:
    """Refuse a file whose ``format_version`` is newer than the newest that is known here.

    Args:
        found: what the file says.
        newest: the version that this pdesim writes; all earlier ones are read.

    Raises:
        OutputError: if ``found`` is no number from 1 to ``newest``.
    """
    try:
        known = 1 <= int(found) <= newest
    except (TypeError, ValueError, OverflowError):
        known = False
    if not known:
        raise OutputError(
            f"{path} has format_version {str(found)[:40]}",
            f"1 to {newest}",
            "a newer version of pdesim reads it",
        )
