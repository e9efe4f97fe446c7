"""Explicit steps beside other ways of writing them, turn by turn in one process tree.

    python benchmarks/peers.py [--quick] [--sizes 512 2048] [--json FILE] [--plot FILE.png]

Gray-Scott (Euler), heat (Euler) and the wave (leapfrog) with the five-point Laplacian on periodic
squares of float32, and Gray-Scott with ETDRK4 over all Fourier modes as a kind of its own. Beside
pdesim's compiled block run C with OpenMP (``peers/loops.c``, built here), NumPy, Numba, JAX,
PyTorch's compiler, py-pde (in float64, as it comes) and Exponax. Of several forms that a library
has, the fastest is taken. Every contestant works in a process of its own, one at a time; all
states are compared with NumPy's before anything is timed.

Cell updates per second are medians with the least and the largest; ratios are taken between
neighbouring turns. A rate means something only beside the others of the same run: quote none alone,
and none of ``--quick``, whose turns are too short. Whatever is not installed is left out, and said;
versions are in ``requirements.txt``.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import sys
from pathlib import Path

from peers.contestants import CONTESTANTS, missing
from peers.measure import measure
from peers.problems import PROBLEMS
from peers.report import as_json, draw, markdown
from peers.workers import started, tell


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="64 x 64 cells, short turns")
    parser.add_argument("--sizes", nargs="+", type=int, default=[512, 2048])
    parser.add_argument("--problems", nargs="+", choices=PROBLEMS, default=list(PROBLEMS))
    parser.add_argument("--contestants", nargs="+", choices=CONTESTANTS, default=list(CONTESTANTS))
    parser.add_argument("--repeats", type=int, default=5, help="turns for everybody")
    parser.add_argument("--turn", type=float, default=0.3, help="seconds a turn, about")
    parser.add_argument("--json", type=Path, metavar="FILE", help="everything measured")
    parser.add_argument("--plot", type=Path, metavar="FILE.png", help="bars of the medians")
    return parser.parse_args()


def describe(names: list[str]) -> dict:
    """The machine, the versions, and how busy it was at the start."""
    packages = dict.fromkeys(p for name in names for p in CONTESTANTS[name][1])
    return {
        "python": platform.python_version(),
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "versions": {package: importlib.metadata.version(package) for package in packages},
    }


def main() -> None:
    options = read_options()
    sizes, repeats, turn = options.sizes, options.repeats, options.turn
    if options.quick:
        sizes, repeats, turn = [64], 1, 0.02
    elif repeats < 3:
        sys.exit("fewer than 3 repeats say nothing about the spread")
    names = []
    for name in CONTESTANTS:
        if name != "NumPy" and name not in options.contestants:
            continue
        lacking = missing(name)
        if lacking:
            tell(f"{name} is left out: {lacking}; see benchmarks/requirements.txt")
        else:
            names.append(name)  # NumPy always: it is the check
    about = describe(names)
    cases = [(name, n) for name in options.problems for n in sizes if n <= PROBLEMS[name].largest]
    results = []
    for case in cases:  # anew each time, as the compiler's options depend on the case
        with started(names, [case]) as workers:
            results += measure(workers, case, repeats, turn)
    told = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    print(f"{told}; {about['cores']} cores, load {about['load']} at the start\n")
    print(markdown(results))
    if options.json:
        options.json.write_text(json.dumps(as_json(results, about), indent=1) + "\n")
    if options.plot:
        draw(results, about, options.plot)


if __name__ == "__main__":
    main()
