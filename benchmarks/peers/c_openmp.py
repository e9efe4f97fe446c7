"""``loops.c``, built beside its source and called through ctypes."""

from __future__ import annotations

import ctypes
import os
import subprocess
from ctypes import c_float, c_int, c_long
from functools import cache
from pathlib import Path

import numpy as np

from peers import problems
from peers.problems import Problem

SOURCE = Path(__file__).with_name("loops.c")
FLAGS = ("-O3", "-march=native", "-fopenmp", "-shared", "-fPIC")


@cache
def library() -> ctypes.CDLL:
    built = SOURCE.with_suffix(".so")
    if not built.exists() or built.stat().st_mtime < SOURCE.stat().st_mtime:
        compiler = os.environ.get("CC", "gcc")
        subprocess.run([compiler, *FLAGS, str(SOURCE), "-o", str(built)], check=True)
    return ctypes.CDLL(str(built))


def build(problem: Problem, n: int) -> dict:
    function, dt = getattr(library(), problem.name), problem.dt
    area = problems.SPACING**2
    numbers = {
        "gray_scott": (
            dt * problems.DU / area, dt * problems.DV / area, dt,
            problems.FEED, problems.FEED + problems.KILL,
        ),
        "heat": (dt * problems.HEAT / area,),
        "heat_neumann": (dt * problems.HEAT / area,),
        "heat_disk": (dt * problems.HEAT / area,),
        "wave": (dt * problems.SPEED**2 / area, dt),
    }[problem.name]  # fmt: skip
    # the obstacle is an array after the fields
    fixed = [problems.disk(n).astype(np.float32)] if problem.name == "heat_disk" else []
    array = np.ctypeslib.ndpointer(np.float32, 2, flags="C_CONTIGUOUS")
    function.restype = None
    arrays = [array] * (len(problem.fields) + len(fixed))
    function.argtypes = [*arrays, c_int, c_long, *[c_float] * len(numbers)]
    first = problem.state(n)

    def run(steps: int) -> np.ndarray:
        fields = [np.array(f) for f in problem.ahead(first)]
        function(*fields, *fixed, n, steps, *numbers)
        return np.stack(problem.back(fields))

    return {"loops": run}
