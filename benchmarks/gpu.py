"""All that is to be known about pdesim on a GPU, in one command.

    python benchmarks/gpu.py [--parts speed kernels ...] [--json FILE]
    python benchmarks/gpu.py --device cpu --quick
    python benchmarks/gpu.py --export DIR
    python benchmarks/gpu.py --run DIR [--json FILE]

The parts: throughput and the fraction of the copy bandwidth (speed), kernels per step (kernels),
fields beside those of the CPU (agreement), resumed runs bit by bit (resume), sweeps of 64 and 1024
members (sweep), peak memory (memory), whole commands (default), linear systems beside NumPy
(linear), gradients beside runs (gradients), the Mandelbrot set (maps), fits (fits), the data set of
The Well (dataset), and Gray-Scott beside JAX, CuPy and PyTorch (beside). Each part has a process,
so that the failure of one leaves the others; a row that fails contains the error. The results are
printed as tables and written as JSON after every part.
--device cpu --quick only shows that the parts work: its numbers mean nothing.

--export writes compiled programs as HLO, with inputs and results, on any machine with pdesim.
--run checks and times them with JAX, and measures ``beside`` for the packages that are installed.
It needs this folder (``benchmarks/``), NumPy and JAX, but neither TensorFlow nor pdesim.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from gpu.common import Row, Scale, as_json, first_line, table

PARTS = ("speed", "kernels", "agreement", "resume", "sweep", "memory", "default")
#: parts of what is built on runs
USES = ("linear", "gradients", "maps", "fits", "dataset")
BESIDE = ("pdesim", "JAX", "CuPy", "PyTorch")
PACKAGES = ("pdesim", "tensorflow", "numpy", "jax", "cupy-cuda12x", "cupy-cuda13x", "torch")
#: name of the part that runs exported programs
HLO = "hlo"


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", choices=("gpu", "cpu"), default="gpu")
    parser.add_argument("--quick", action="store_true", help="small grids and short rounds")
    parser.add_argument("--repeats", type=int, default=5, help="number of rounds")
    parser.add_argument(
        "--parts", nargs="+", choices=(*PARTS, *USES, "beside"), default=[*PARTS, *USES, "beside"]
    )
    parser.add_argument("--timeout", type=float, default=900, help="seconds for each part")
    parser.add_argument("--json", type=Path, default=Path("gpu.json"), metavar="FILE")
    parser.add_argument("--export", type=Path, metavar="DIR", help="write programs as HLO")
    parser.add_argument("--programs", nargs="+", default=(), help="programs to export; default all")
    parser.add_argument("--run", type=Path, metavar="DIR", help="run exported programs with JAX")
    # the process of a part: its name, and the file for its rows
    parser.add_argument("--one", nargs=2, metavar=("PART", "FILE"), help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    options = read_options()
    scale = Scale(options.device, options.quick, 1 if options.quick else options.repeats)
    if options.one:
        compute_part(options.one[0], Path(options.one[1]), scale, options.run)
        return
    if options.export:
        from gpu.programs import export_all

        print(table(export_all(options.export, options.quick, options.programs)))
        return
    names = list(options.parts)
    if options.run:
        names = [HLO, "beside"]
    parts = [p for name in names for p in (_beside() if name == "beside" else [name])]
    results: dict[str, list[Row]] = {}
    about = {"device": options.device, "quick": options.quick, "versions": versions()}
    for name in parts:
        print(f"{name} ...", file=sys.stderr, flush=True)
        rows = run_part(name, options)
        results.setdefault(name.partition(":")[0], []).extend(rows)
        options.json.write_text(as_json({**about, "parts": results}))
        print(f"## {name}\n\n{table(rows)}\n", flush=True)


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that are installed."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[package] = importlib.metadata.version(package)
    return found


def _beside() -> list[str]:
    return [f"beside:{package}" for package in BESIDE]


def run_part(name: str, options: argparse.Namespace) -> list[Row]:
    """Run a part in a process, and return its rows and, if it fails, a row with the error."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.jsonl"
        path.touch()
        words = [sys.executable, __file__, "--one", name, str(path), "--device", options.device]
        words += ["--repeats", str(options.repeats)] + ["--quick"] * options.quick
        words += ["--run", str(options.run)] if options.run else []
        error = ""
        # a group of processes, since parts start commands
        process = subprocess.Popen(
            words, stdout=sys.stderr, stderr=subprocess.PIPE, text=True, start_new_session=True
        )
        try:
            _, messages = process.communicate(timeout=options.timeout)
            if process.returncode:
                lines = messages.strip().splitlines() or ["no message"]
                error = f"exit code {process.returncode}: {lines[-1][:200]}"
        except subprocess.TimeoutExpired:
            error = f"not finished after {options.timeout:g} s"
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        rows: list[Row] = [json.loads(line) for line in path.read_text().splitlines()]
    if error:
        rows.append({"error": error})
    return rows or [{"error": "no rows"}]


def compute_part(name: str, path: Path, scale: Scale, folder: Path | None) -> None:
    """Write the rows of a part into a file, one JSON value a line, as soon as each is measured."""
    with path.open("a") as file:
        try:
            for row in rows_of(name, scale, folder):
                print(json.dumps(row), file=file, flush=True)
        except Exception as error:
            print(json.dumps({"error": first_line(error)}), file=file, flush=True)


def rows_of(name: str, scale: Scale, folder: Path | None):
    if name == HLO:
        from gpu.hlo import run_all

        return run_all(folder or Path(), scale.repeats, scale.quick)
    kind, _, package = name.partition(":")
    if kind == "beside":
        from gpu.beside import measure

        return measure(package, scale)
    if kind in USES:
        from gpu.uses import PARTS as uses

        return uses[kind](scale)
    from gpu.parts import PARTS as parts

    return parts[kind](scale)


if __name__ == "__main__":
    main()
