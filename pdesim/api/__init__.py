"""The Python interface. Settings are text as on the command line, or Python values."""

from pdesim.api.gradient import ForwardModel, Gradient, gradient
from pdesim.api.run import Run
from pdesim.api.simulate import analyze, branch, open_snapshots, resume, simulate
from pdesim.api.sweep import sweep

__all__ = [
    "ForwardModel", "Gradient", "Run", "analyze", "branch", "gradient", "open_snapshots", "resume",
    "simulate", "sweep",
]  # fmt: skip
