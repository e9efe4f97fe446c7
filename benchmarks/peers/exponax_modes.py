"""Exponax's ETDRK4, all steps in Fourier space, every mode kept as in the others."""

from __future__ import annotations

import os

import numpy as np

from peers import problems
from peers.problems import DU, DV, FEED, KILL, Problem

os.environ["JAX_PLATFORMS"] = "cpu"


def build(problem: Problem, n: int) -> dict:
    import exponax
    import jax
    import jax.numpy as jnp

    stepper = exponax.stepper.reaction.GrayScott(
        2, n * problems.SPACING, n, problem.dt, diffusivity_1=DU, diffusivity_2=DV,
        feed_rate=FEED, kill_rate=KILL, order=4, dealiasing_fraction=2.0,
    )  # fmt: skip
    first = jnp.asarray(problem.state(n))

    @jax.jit
    def march(steps):
        modes = exponax.fft(first, num_spatial_dims=2)
        modes = jax.lax.fori_loop(0, steps, lambda _, m: stepper.step_fourier(m), modes)
        return exponax.ifft(modes, num_spatial_dims=2, num_points=n)

    return {"fourier": lambda steps: np.asarray(march(jnp.asarray(steps)))}
