"""The Python interface. Settings are text as on the command line, or Python values."""

from pdesim.api.dataset import dataset
from pdesim.api.run import Run
from pdesim.api.simulate import analyze, branch, open_snapshots, resume, simulate
from pdesim.api.sweep import sweep

__all__ = [
    "Run",
    "analyze",
    "branch",
    "dataset",
    "open_snapshots",
    "resume",
    "simulate",
    "sweep",
]
