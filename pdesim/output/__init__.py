"""The files of a run: writing and reading them."""

from pdesim.output.checkpoint import fingerprint, read_checkpoint
from pdesim.output.diagnostics import DiagnosticsFile
from pdesim.output.find import find_snapshots
from pdesim.output.reader import Snapshots
from pdesim.output.recorder import Recorder, Worker, frames_waiting
from pdesim.output.recover import recover
from pdesim.output.run_folder import RunFolder
from pdesim.output.series import SeriesWriter, read_series
from pdesim.output.snapshots import Layout, SnapshotWriter, create_snapshots
from pdesim.output.sweep_csv import write_sweep_csv

__all__ = [
    "DiagnosticsFile",
    "Layout",
    "Recorder",
    "RunFolder",
    "SeriesWriter",
    "SnapshotWriter",
    "Snapshots",
    "Worker",
    "create_snapshots",
    "find_snapshots",
    "fingerprint",
    "frames_waiting",
    "read_checkpoint",
    "read_series",
    "recover",
    "write_sweep_csv",
]
