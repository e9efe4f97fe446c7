"""The cost of a noisy step, beside a step without noise and the normal numbers alone, turn by turn.

    python benchmarks/noise.py [--grid 512] [--steps 200] [--repeats 7]

Gray-Scott with white noise in one field, in one process, with programs compiled beforehand. Prints
the median of (noisy step) / (step without noise + normal numbers) for each stepper.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from pdesim.config.compose import compose_settings
from pdesim.engine.device import start_tensorflow
from pdesim.engine.simulation import Simulation
from pdesim.operators.random_numbers import Key, derived, normals
from pdesim.plan import build_plan

#: stochastic stepper -> the stepper without noise that does the same otherwise
PAIRS = {
    "euler_maruyama": "euler",
    "milstein": "euler",
    "stochastic_heun": "heun",
    "exponential_euler_maruyama": "etdrk1",
}
#: below the stability limit of Euler on 1024 x 1024 cells
DT = 0.05


def runner(grid: int, steps: int, stepper: str, noise: str) -> Callable[[], None]:
    """Return a function that takes so many steps."""
    words = ["equation=gray_scott", f"grid={grid}", f"stepper={stepper}", f"time.dt={DT}",
             f"time.end={DT * steps}", "output.frames=1", f"++equation.noise={noise}"]  # fmt: skip
    composed = compose_settings(words)
    plan = build_plan(composed.settings, composed.equation)
    placement = start_tensorflow(plan.settings.device)
    simulation = Simulation(plan, placement, measures=False)
    simulation.prepare()
    return lambda: simulation._trial(steps)


def drawer(grid: int, steps: int) -> Callable[[], None]:
    """Return a function that draws the normal numbers of so many steps."""

    @tf.function(jit_compile=True)
    def draw(count: tf.Tensor) -> tf.Tensor:
        def one(index: tf.Tensor, total: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            key = derived(Key(*2 * [tf.constant(1, tf.uint32)]), tf.cast(index, tf.int64))
            return index + 1, total + normals(key, (grid, grid), tf.float32)

        start = (tf.constant(0), tf.zeros((grid, grid)))
        return tf.while_loop(lambda index, _: index < count, one, start)[1]

    return lambda: draw(tf.constant(steps)).numpy()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--grid", type=int, default=512)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args()
    size = options.grid, options.steps
    numbers = drawer(*size)
    for stepper, quiet in PAIRS.items():
        noisy, plain = runner(*size, stepper, "{v: '0.001*v'}"), runner(*size, quiet, "null")
        ratios, shares = [], []
        for turn in range(options.repeats + 1):
            times = [time.perf_counter()]
            for part in (noisy, plain, numbers):
                part()
                times.append(time.perf_counter())
            first, second, third = np.diff(times)
            ratios += [first / (second + third)] if turn else []  # the first turn compiles
            shares += [third / second] if turn else []
        print(
            f"{stepper:27} noisy / ({quiet} + numbers) {np.median(ratios):.2f}, "
            f"numbers / {quiet} {np.median(shares):.2f}"
        )


if __name__ == "__main__":
    main()
