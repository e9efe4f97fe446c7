"""Compare the results of two versions of pdesim bit for bit.

    python benchmarks/compare_results.py BEFORE AFTER

BEFORE and AFTER are checkouts (folders that contain ``pdesim/``). Each run is computed with both,
and the fields of every frame are compared; the exit code is 1 if any bit differs.
"""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

import h5py
import numpy as np

#: equations, steppers, boundary conditions, precisions and sweeps
RUNS = (
    "equation=gray_scott grid=64 time.end=200 stepper=euler",
    "equation=gray_scott grid=512 time.end=60 stepper=rk4",
    "equation=gray_scott grid=1200 time.end=20 stepper=euler",
    "equation=gray_scott grid=96 time.end=200",
    "equation=gray_scott grid=64 time.end=100 stepper=etdrk4 operators=spectral",
    "equation=heat grid=[96,64] time.end=0.5 stepper=rkl2",
    "equation=heat grid=1600 time.end=0.001 stepper=rkl2",
    "equation=heat grid=64 boundary=neumann time.end=0.5 stepper=crank_nicolson",
    "equation=heat grid=64 boundary=dirichlet time.end=0.5 device.precision=float64",
    "equation=heat grid=[24,20,16] time.end=0.1 stepper=heun",
    "equation=wave grid=512 time.end=0.1 stepper=verlet",
    "equation=wave grid=[96,160] time.end=0.5 stepper=yoshida4 device.precision=float64",
    "equation=burgers grid=128 time.end=0.3",
    "equation=allen_cahn grid=256 time.end=2 stepper=dormand_prince",
    "equation=allen_cahn grid=1300 time.end=0.2 stepper=bogacki_shampine",
    "equation=swift_hohenberg grid=64 time.end=5",
    "equation=kuramoto_sivashinsky grid=128 domain.dimensions=1 time.end=10 stepper=cnab2",
    "equation=gray_scott grid=64 time.end=50 stepper=sbdf2 operators=spectral",
    "equation=heat grid=48 \"domain.mask='where(r < 0.2, 1, 0)'\" time.end=0.2",
    "-m equation=gray_scott grid=96 time.end=100 stepper=euler equation.F=0.03,0.035,0.04",
    "-m equation=allen_cahn grid=64 time.end=1 seed=range(4)",
)


def compute(checkout: Path, words: str, folder: Path) -> None:
    """One run or sweep with the version in ``checkout``."""
    place = "hydra.sweep.dir" if "-m" in words.split() else "hydra.run.dir"
    command = [
        sys.executable, "-m", "pdesim", *shlex.split(words), f"{place}={folder}",
        "output.frames=4", "animation=none",
    ]  # fmt: skip
    environment = os.environ | {"PYTHONPATH": str(checkout.resolve())}
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, cwd=folder.parent
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\n{done.stderr}")


def largest_difference(one: Path, other: Path) -> float:
    """Over all fields and frames, relative to the field's largest value; 0 for equal bits."""
    worst = 0.0
    files = sorted(path.relative_to(one) for path in one.rglob("snapshots.h5"))
    if not files:
        raise SystemExit(f"{one} contains no run")
    for name in files:
        with h5py.File(one / name) as a, h5py.File(other / name) as b:
            for field in [key for key in a if a[key].ndim > 1]:
                if a[field].shape != b[field].shape:
                    return np.inf
                x, y = a[field][:], b[field][:]
                if not np.array_equal(x, y):
                    worst = max(worst, float(np.abs(x - y).max() / np.abs(x).max()))
    return worst


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    given = parser.parse_args()
    different = 0
    for words in RUNS:
        with tempfile.TemporaryDirectory() as place:
            folders = Path(place) / "before", Path(place) / "after"
            for checkout, folder in zip((given.before, given.after), folders, strict=True):
                compute(checkout, words, folder)
            difference = largest_difference(*folders)
        different += difference > 0
        print(
            f"{'equal bits' if difference == 0 else f'{difference:.1e}':>12}  {words}", flush=True
        )
    print(f"{len(RUNS) - different} of {len(RUNS)} with equal bits")
    return min(different, 1)


if __name__ == "__main__":
    raise SystemExit(main())
