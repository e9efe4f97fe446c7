"""The size of the default GIF of every shipped equation.

    python benchmarks/gif_sizes.py --grid 512 --folder RUNS

Each equation is computed with default settings, in a folder of its own below ``RUNS``, and drawn.
A run that exists already is only drawn again. Some equations take many minutes on 512 x 512 cells;
``--grid 128`` gives nearly the same pictures, enlarged, in far less time.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from PIL import Image

import pdesim
from pdesim.config.compose import choices, compose_settings
from pdesim.render import render


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--grid", type=int, default=512)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--equations", nargs="*", help="default: all that are shipped")
    options = parser.parse_args()
    names = options.equations or [name for name in choices("equation") if name != "custom"]
    print("| equation | pixels | MB |\n|---|---|---|")
    for name in names:
        folder = options.folder / name
        words = [f"equation={name}", f"grid={options.grid}"]
        if not (folder / "snapshots.h5").exists():
            pdesim.simulate(*words, "animation=none", folder=folder)
        target = render(folder, compose_settings(words).settings.animation, folder / "default.gif")
        with Image.open(target) as image:
            width, height = image.size
        print(f"| {name} | {width} x {height} | {target.stat().st_size / 1e6:.2f} |")


if __name__ == "__main__":
    main()
