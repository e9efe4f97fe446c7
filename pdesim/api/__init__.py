"""The Python interface. Settings are text as on the command line, or Python values."""

from pdesim.api.dataset import dataset
from pdesim.api.fit import Fit, fit
from pdesim.api.gradient import ForwardModel, Gradient, gradient
from pdesim.api.run import Run
from pdesim.api.simulate import analyze, branch, open_snapshots, resume, simulate
from pdesim.api.sweep import sweep

__all__ = [
    "Fit",
    "ForwardModel",
    "Gradient",
    "Run",
    "analyze",
    "branch",
    "dataset",
    "fit",
    "gradient",
    "open_snapshots",
    "resume",
    "simulate",
    "sweep",
]
