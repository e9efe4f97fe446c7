"""The cost of a gradient through a run, beside the run itself, turn by turn.

    python benchmarks/gradients.py [--grid 128] [--steps 2000] [--repeats 3]

Gray-Scott with two parameters, in one process, with programs compiled beforehand. Prints the
median time of a gradient relative to a run without output.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import tensorflow as tf

import pdesim

STEPPERS = ("euler", "rk4", "etdrk4")
#: below the stability limit of Euler on 512 x 512 cells
DT = 0.25


def loss(frames: dict[str, tf.Tensor]) -> tf.Tensor:
    return tf.reduce_mean(frames["v"][-1] ** 2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--grid", type=int, default=128)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    for stepper in STEPPERS:
        model = pdesim.ForwardModel(
            "gray_scott", grid=options.grid, stepper=stepper, output={"frames": 1},
            time={"dt": DT, "end": DT * options.steps},
        )  # fmt: skip
        ratios = []
        for turn in range(options.repeats + 1):
            times = [time.perf_counter()]
            model.frames()
            times.append(time.perf_counter())
            model.gradient(loss, ["equation.F", "equation.k"])
            times.append(time.perf_counter())
            run, gradient = np.diff(times)
            ratios += [gradient / run] if turn else []  # the first turn compiles
        print(f"{stepper:8} gradient / run {np.median(ratios):.1f}")


if __name__ == "__main__":
    main()
