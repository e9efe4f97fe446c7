"""What a run leaves behind, and how to read it back."""

from pdesim.output.diagnostics import DiagnosticsFile
from pdesim.output.reader import Snapshots, find_snapshots, read_status
from pdesim.output.snapshots import SnapshotWriter
from pdesim.output.status import write_status

__all__ = [
    "DiagnosticsFile",
    "SnapshotWriter",
    "Snapshots",
    "find_snapshots",
    "read_status",
    "write_status",
]
