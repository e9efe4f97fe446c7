"""pdesim: equations as text in YAML, run as verified, fast TensorFlow programs.

>>> import pdesim
>>> run = pdesim.simulate("equation=heat", grid=64)  # doctest: +SKIP
>>> run.snapshots["u"].shape  # doctest: +SKIP
(101, 64, 64)
"""

from __future__ import annotations

from typing import Any

__version__ = "0.1.0"
__all__ = [
    "Fit",
    "ForwardModel",
    "Gradient",
    "PdesimError",
    "Run",
    "Snapshots",
    "analyze",
    "branch",
    "compare",
    "dataset",
    "fit",
    "gradient",
    "open",
    "resume",
    "simulate",
    "sweep",
]

_HOMES = {
    "Fit": ("pdesim.api", "Fit"),
    "ForwardModel": ("pdesim.api", "ForwardModel"),
    "Gradient": ("pdesim.api", "Gradient"),
    "PdesimError": ("pdesim.errors", "PdesimError"),
    "Run": ("pdesim.api", "Run"),
    "Snapshots": ("pdesim.output", "Snapshots"),
    "analyze": ("pdesim.api", "analyze"),
    "branch": ("pdesim.api", "branch"),
    "compare": ("pdesim.comparison", "compare"),
    "dataset": ("pdesim.api", "dataset"),
    "fit": ("pdesim.api", "fit"),
    "gradient": ("pdesim.api", "gradient"),
    "open": ("pdesim.api", "open_snapshots"),
    "resume": ("pdesim.api", "resume"),
    "simulate": ("pdesim.api", "simulate"),
    "sweep": ("pdesim.api", "sweep"),
}


#: subpackages with functions for use from Python, such as ``pdesim.export.export``
_PARTS = ("errors", "export", "output", "render")


def __getattr__(name: str) -> Any:
    # imported on first use, which keeps ``pdesim --help`` fast
    from importlib import import_module

    if name in _PARTS:
        return import_module(f"pdesim.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module 'pdesim' has no attribute {name!r}")
    module, attribute = _HOMES[name]
    return getattr(import_module(module), attribute)


def __dir__() -> list[str]:
    return sorted([*__all__, *_PARTS, "__version__"])
