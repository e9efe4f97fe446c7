"""The Gray-Scott data set of The Well: speed and statistics beside those that its makers publish.

    python benchmarks/well_recipe.py --repeats 1

computes 12 trajectories for each of ``--repeats``: six pairs of F and k, each with two kinds of
initial states, for 10,000 steps on 128 x 128 cells (``experiment=well_gray_scott``). Published are
5.5 hours on 40 cores for 200 trajectories, and the statistics of the training data:
github.com/PolymathicAI/the_well, ``datasets/gray_scott_reaction_diffusion``, README.md and
stats.yaml. A part of the trajectories, drawn with other random numbers, has other statistics.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

#: cell updates per second: 200 trajectories of 10,000 steps on 128 x 128 cells in 5.5 hours
PUBLISHED_SPEED, PUBLISHED_CORES = 200 * 10_000 * 128**2 / (5.5 * 3600), 40
#: statistic -> field -> published value; A is u, B is v
PUBLISHED = {
    "mean": {"u": 0.7292278, "v": 0.0965873},
    "std": {"u": 0.2398877, "v": 0.1236644},
    "rms": {"u": 0.7676714, "v": 0.1569140},
    "mean_delta": {"u": -0.00020054, "v": 0.00003190},
    "std_delta": {"u": 0.0184913, "v": 0.0112798},
}


def compute(folder: Path, repeats: int, words: list[str]) -> None:
    """Compute the data set, or continue it."""
    command = [sys.executable, "-m", "pdesim", "dataset", "experiment=well_gray_scott"]
    command += [f"repeats={repeats}", "splits=[1,0,0]", *words]
    done = subprocess.run([*command, "--to", "well", "--output", str(folder)])
    if done.returncode not in (0, 3):  # 3: trajectories that became infinite are listed
        sys.exit(done.returncode)


def report(folder: Path) -> None:
    """Print the speed and the statistics."""
    about = yaml.safe_load((folder / "dataset.yaml").read_text())
    work, count = about["computation"], about["trajectories"]["train"]
    speed = work["cell_updates"] / work["seconds"]
    print(f"{count} trajectories, {len(about['failed'])} failed, {len(about['stationary'])} "
          f"stationary, {work['seconds']:.0f} s on {work['device']}, files included")  # fmt: skip
    print(f"{speed / 1e6:.2f} million cell updates/s; published: {PUBLISHED_SPEED / 1e6:.2f} "
          f"million on {PUBLISHED_CORES} cores")  # fmt: skip
    stats = about["statistics"]["train"]
    print(f"{'':12}{'here':>24}{'published':>24}")
    for name, fields in PUBLISHED.items():
        here = " ".join(f"{stats[name][field]:11.5g}" for field in fields)
        there = " ".join(f"{value:11.5g}" for value in fields.values())
        print(f"{name:12}{here:>24}{there:>24}")


def main() -> None:
    """Read the arguments, compute, and report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=1, help="12 trajectories each")
    parser.add_argument("--folder", type=Path, help="keep the data set in this folder")
    parser.add_argument("settings", nargs="*", help="such as time.end=1000 output.frames=100")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary, "well")
        compute(folder, options.repeats, options.settings)
        report(folder)


if __name__ == "__main__":
    main()
