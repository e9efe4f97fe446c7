"""Explicit steps of pdesim compared with those of other packages, timed in turn.

    python benchmarks/peers.py [--quick] [--sizes 512 2048] [--json FILE] [--plot FILE.png]

Gray-Scott (Euler), heat (Euler) and the wave (leapfrog) with the five-point Laplacian on periodic
squares in float32; heat between no-flux sides and around an obstacle, compared with C, NumPy and
Numba; and, as a separate problem, Gray-Scott with ETDRK4 on all Fourier modes.
pdesim's compiled block is compared with C with OpenMP (``peers/loops.c``, built here), NumPy,
Numba, JAX, PyTorch's compiler, py-pde (in its default float64) and Exponax. If a package has
several forms, the fastest is used. Every package has its own process, and only one process runs at
a time. All states are compared with NumPy's before the timing.

Cell updates per second are medians with the minimum and the maximum; ratios are taken within a
round. Rates are comparable only within one invocation: do not quote a rate alone, nor rates of
``--quick``, whose rounds are too short. Packages that are not installed are skipped with a
message; versions are in ``requirements.txt``.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import sys
from pathlib import Path

from peers.measure import measure
from peers.packages import PACKAGES, missing
from peers.problems import PROBLEMS
from peers.report import as_json, draw, markdown
from peers.workers import started, tell


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="64 x 64 cells, short rounds")
    parser.add_argument("--sizes", nargs="+", type=int, default=[512, 2048])
    parser.add_argument("--problems", nargs="+", choices=PROBLEMS, default=list(PROBLEMS))
    parser.add_argument("--packages", nargs="+", choices=PACKAGES, default=list(PACKAGES))
    parser.add_argument("--repeats", type=int, default=5, help="number of rounds")
    parser.add_argument(
        "--round-seconds", type=float, default=0.3, help="seconds of a round of one package"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="all measurements")
    parser.add_argument("--plot", type=Path, metavar="FILE.png", help="bars of the medians")
    return parser.parse_args()


def describe(names: list[str]) -> dict:
    """The machine, its load at the start, and the versions of the packages."""
    packages = dict.fromkeys(p for name in names for p in PACKAGES[name][1])
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
    sizes, repeats, round_seconds = options.sizes, options.repeats, options.round_seconds
    if options.quick:
        sizes, repeats, round_seconds = [64], 1, 0.02
    elif repeats < 3:
        sys.exit("--repeats must be at least 3, since fewer do not show the spread")
    names = []
    for name in PACKAGES:
        if name != "NumPy" and name not in options.packages:
            continue
        reason = missing(name)
        if reason:
            tell(f"{name} is skipped: {reason}; see benchmarks/requirements.txt")
        else:
            names.append(name)  # always includes NumPy, the reference
    about = describe(names)
    cases = [(name, n) for name in options.problems for n in sizes if n <= PROBLEMS[name].largest]
    results = []
    for case in cases:  # new processes, since compiler options depend on the case
        with started(names, [case]) as workers:
            results += measure(workers, case, repeats, round_seconds)
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    print(f"{versions}; {about['cores']} cores, load {about['load']} at the start\n")
    print(markdown(results))
    if options.json:
        options.json.write_text(json.dumps(as_json(results, about), indent=1) + "\n")
    if options.plot:
        draw(results, about, options.plot)


if __name__ == "__main__":
    main()
