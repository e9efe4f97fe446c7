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
#: with boundary conditions and obstacles, for packages whose loops are written out
BOUNDED = (*EXPLICIT, "heat_neumann", "heat_disk")
#: an exponential integrator, for packages with Fourier transforms
MODES = "gray_scott_etdrk4"
#: name: (module, required distributions, problems)
PACKAGES = {
    "C + OpenMP": ("c_openmp", (), BOUNDED),
    "pdesim": (
        "pdesim_blocks",
        ("pdesim", "tensorflow"),
        (*BOUNDED, MODES),
    ),
    "NumPy": ("numpy_arrays", ("numpy",), (*BOUNDED, MODES)),
    "Numba": ("numba_loops", ("numba",), BOUNDED),
    "JAX": ("jax_loops", ("jax",), EXPLICIT),
    "PyTorch": ("torch_compiled", ("torch",), EXPLICIT),
    "py-pde": ("py_pde", ("py-pde", "numba"), ("gray_scott", "heat")),
    "Exponax": ("exponax_modes", ("exponax", "jax"), (MODES,)),
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
