"""The time to draw a GIF, in turn with Pillow writing the same frames.

    python benchmarks/gif_time.py [--grid 512] [--frames 200] [--rounds 3]

A run of Gray-Scott is computed once. In each round, ``pdesim.render.render`` draws its GIF from the
stored frames: reading, limits, colours, labels and compression. Then Pillow writes the frames of
this GIF, which are in memory as palette images. Reported are the medians of the seconds and of the
ratios within a round.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

import pdesim
from pdesim.render import render
from pdesim.settings import Animation


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--grid", type=int, default=512)
    parser.add_argument("--frames", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        run = pdesim.simulate(
            "gray_scott", grid=options.grid, output={"frames": options.frames - 1},
            time={"end": 5.0 * options.frames}, animation="none", folder=Path(folder) / "run",
        )  # fmt: skip
        animation = Animation(**{**run.settings["animation"], "name": "gif", "size": options.grid})
        rounds = [one_round(run, animation, Path(folder)) for _ in range(options.rounds)]
    own, bare = np.array(rounds).T
    print(f"{options.frames} frames of {options.grid}^2 cells, {options.rounds} rounds")
    print(f"pdesim {np.median(own):.2f} s, Pillow {np.median(bare):.2f} s")
    print(f"ratio {np.median(own / bare):.2f} ({min(own / bare):.2f} to {max(own / bare):.2f})")


def one_round(run: pdesim.Run, animation: Animation, folder: Path) -> tuple[float, float]:
    """Return the seconds of pdesim and of Pillow."""
    start = time.perf_counter()
    drawn = render(run.folder, animation, folder / "own.gif")
    own = time.perf_counter() - start
    frames = palette_frames(drawn)
    start = time.perf_counter()
    frames[0].save(folder / "bare.gif", save_all=True, append_images=frames[1:], duration=50)
    return own, time.perf_counter() - start


def palette_frames(path: Path) -> list[Image.Image]:
    """Return the frames of a GIF as palette images with the palette of the first."""
    with Image.open(path) as image:
        first = image.convert("RGB").quantize(256, dither=Image.Dither.NONE)
        frames = []
        for number in range(image.n_frames):  # type: ignore[attr-defined]
            image.seek(number)
            frames.append(image.convert("RGB").quantize(palette=first, dither=Image.Dither.NONE))
    for frame in frames:
        frame.info.clear()  # transparency as a colour, which Pillow cannot write
    return frames


if __name__ == "__main__":
    main()
