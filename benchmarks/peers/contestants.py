"""Everybody who runs: a builder per name, ``build(problem, n)`` -> ``run(steps)`` -> the state.

Runs begin at the problem's first state and return the last one as a NumPy array. Where a library
has several forms, each is a run of its own; the fastest of them is the contestant.
"""

from __future__ import annotations

import importlib.metadata
import os
import shutil
from collections.abc import Callable, Mapping

import numpy as np

from peers.problems import Problem

Run = Callable[[int], np.ndarray]
Forms = Mapping[str, Run]

EXPLICIT = ("gray_scott", "heat", "wave")
#: name: (module, what must be installed, the problems it takes part in)
CONTESTANTS = {
    "C + OpenMP": ("c_openmp", (), EXPLICIT),
    "pdesim": ("pdesim_blocks", ("pdesim", "tensorflow"), (*EXPLICIT, "gray_scott_etdrk4")),
    "NumPy": ("numpy_arrays", ("numpy",), (*EXPLICIT, "gray_scott_etdrk4")),
    "Numba": ("numba_loops", ("numba",), EXPLICIT),
    "JAX": ("jax_loops", ("jax",), EXPLICIT),
    "PyTorch": ("torch_compiled", ("torch",), EXPLICIT),
    "py-pde": ("py_pde", ("py-pde", "numba"), ("gray_scott", "heat")),
    "Exponax": ("exponax_modes", ("exponax", "jax"), ("gray_scott_etdrk4",)),
}


def missing(name: str) -> str:
    """What a contestant lacks here, or nothing."""
    if name == "C + OpenMP" and not (os.environ.get("CC") or shutil.which("gcc")):
        return "no C compiler: gcc, or another in CC"
    for package in CONTESTANTS[name][1]:
        try:
            importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            return f"{package} is not installed"
    return ""


def build(name: str, problem: Problem, n: int) -> Forms:
    """All forms of a contestant, compiled and warm."""
    module = importlib.import_module(f"peers.{CONTESTANTS[name][0]}")
    forms = module.build(problem, n)
    for run in forms.values():
        run(2)
    return forms
