"""Work for accuracy, not only steps: the error that pdesim and its peers reach in given seconds.

    python benchmarks/work_precision.py [--quick] [--json FILE] [--plot FILE.png] [--methods ...]

Gray-Scott on Pearson's square (2.5 x 2.5, periodic, F = 0.037, k = 0.06) from three smooth blobs to
t = 1000 on 256 x 256 cells, in float64, with the same numbers at the start for everybody. Every
method is run over a ladder of time steps or tolerances; its error is the largest difference from
a reference solution in u and v at any cell, its seconds are the median of runs taken turn by turn
after compilation and warm-up (coefficients for a time step count as set-up, too).

Errors are those of the time integration alone, so every method has the reference that it converges
to when its step goes to zero:

    spectral   all Fourier modes (pdesim operators=spectral; Exponax keeping all modes)
    stencil    second-order differences (pdesim operators=stencil; py-pde)
    dealiased  Exponax as it comes, which keeps half of the modes along each axis in the reactions

The references use a far smaller step and are checked by another method; how far they are from each
other, which is an error in space, is printed as well. A time means something only beside the
others of the same run: quote none alone, and none of ``--quick``, whose runs are too short to time.
The peers' versions are in ``requirements.txt``; whatever is not installed is left out. Each package
works in a process of its own, and only one at a time; NUMBA_NUM_THREADS=1 gives py-pde one thread,
which is faster where cores are few or busy. With ``--json`` the work can be done in parts: what the
file holds already (results, and the references beside it) is kept, and ``--methods`` are added.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import platform
import sys
from collections.abc import Sequence
from pathlib import Path

from precision.cases import PACKAGES, REFERENCES, Case, ladders
from precision.measure import measure, solve_references
from precision.plot import draw
from precision.record import merge, read, write
from precision.report import markdown, print_tables
from precision.workers import started, tell


def describe(packages: Sequence[str]) -> dict:
    """The machine, the versions, and how busy it was at the start."""
    names = ["numpy"]
    names += ["pdesim", "tensorflow"] if "pdesim" in packages else []
    names += ["exponax", "jax"] if "exponax" in packages else []
    names += ["py-pde", "numba", "scipy"] if "py-pde" in packages else []
    return {
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "versions": {name: importlib.metadata.version(name) for name in names},
    }


def _installed(package: str) -> bool:
    try:
        importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        tell(f"{package} is not installed and left out: see benchmarks/requirements.txt")
        return False
    return True


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="64 x 64 cells to t = 100")
    parser.add_argument("--packages", nargs="+", choices=PACKAGES, default=PACKAGES)
    parser.add_argument(
        "--methods",
        nargs="*",
        help="such as etdrk2 euler (none: references only)",
    )
    parser.add_argument("--repeats", type=int, default=3, help="turns for every rung")
    parser.add_argument(
        "--patience", type=float, default=20.0, help="seconds after which a rung is run no more"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="everything measured, added to")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="seconds to given errors")
    parser.add_argument("--plot", type=Path, metavar="FILE.png", help="error against seconds")
    return parser.parse_args()


def main() -> None:
    options = read_options()
    case = Case(64, 100.0) if options.quick else Case(256, 1000.0)
    packages = [p for p in PACKAGES if p in options.packages and _installed(p)]
    if not packages:
        sys.exit("nothing to measure")
    everything = [rung for rung in ladders(options.quick) if rung.package in packages]
    rungs = [r for r in everything if options.methods is None or r.method in options.methods]
    before, known, references = read(options.json, case)
    spaces = dict.fromkeys(rung.space for rung in rungs or everything)
    spaces = [space for space in spaces if space not in references]
    needed = [rung for space in spaces for rung in REFERENCES[space]]
    about = describe(packages)
    about["versions"] = before.get("versions", {}) | about["versions"]
    about["load"] = max(about["load"] or 0, before.get("load") or 0)
    with started(case, list(dict.fromkeys([*needed, *rungs]))) as workers:
        references |= solve_references(workers, spaces)
        results = measure(workers, rungs, references, options.repeats, options.patience)
    results = merge(known, results, options.quick)
    if options.json:
        write(options.json, results, references, case, about)
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    print(f"Gray-Scott {case.grid} x {case.grid} to t = {case.end:g}, float64, {versions}")
    print(f"{about['cores']} cores, load {about['load']} at the start; quote no time alone")
    print_tables(results, references, case)
    if options.markdown:
        options.markdown.write_text(markdown(results, references))
    if options.plot:
        draw(results, references, case, about, options.plot)


if __name__ == "__main__":
    main()
