"""The packages that are compared: ``build(problem, n)`` returns functions ``run(steps)``.

A run starts at the initial state of the problem and returns the last state as a NumPy array. If a
package has several forms, each has its own run, and the fastest is used.
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
#: name: (module, required distributions, problems)
PACKAGES = {
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
    """The reason why a package cannot be used here; "" if it can."""
    if name == "C + OpenMP" and not (os.environ.get("CC") or shutil.which("gcc")):
        return "no C compiler: gcc, or another in CC"
    for package in PACKAGES[name][1]:
        try:
            importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            return f"{package} is not installed"
    return ""


def build(name: str, problem: Problem, n: int) -> Forms:
    """All forms of a package, compiled and warmed up."""
    module = importlib.import_module(f"peers.{PACKAGES[name][0]}")
    forms = module.build(problem, n)
    for run in forms.values():
        run(2)
    return forms
