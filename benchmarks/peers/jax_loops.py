"""JAX: all steps in one ``fori_loop``, in three forms."""

from __future__ import annotations

import os

import numpy as np

from peers import problems
from peers.problems import Problem

os.environ["JAX_PLATFORMS"] = "cpu"


def build(problem: Problem, n: int) -> dict:
    import jax
    import jax.numpy as jnp

    first = [jnp.asarray(f, jnp.float32) for f in problem.ahead(problem.state(n))]

    def padded(f):
        return problems.around(jax.lax.optimization_barrier(jnp.pad(f, 1, mode="wrap")))

    def wrapped(f):
        """The interior with its ghost cells made anew."""
        f = jnp.concatenate([f[:, -1:], f, f[:, :1]], axis=1)
        return jnp.concatenate([f[-1:], f, f[:1]], axis=0)

    def plain(laplacian):
        def body(_, fields):
            return tuple(problem.step(laplacian, *fields))

        return lambda steps: jax.lax.fori_loop(0, steps, body, tuple(first))

    def carried(steps):
        """The state keeps its ghost cells from step to step."""

        def body(_, fields):
            inner = [f[1:-1, 1:-1] for f in fields]
            whole = {id(i): f for i, f in zip(inner, fields, strict=True)}
            new = problem.step(lambda f: problems.around(whole[id(f)]), *inner)
            return tuple(wrapped(f) for f in jax.lax.optimization_barrier(tuple(new)))

        final = jax.lax.fori_loop(0, steps, body, tuple(wrapped(f) for f in first))
        return tuple(f[1:-1, 1:-1] for f in final)

    forms = {"roll": plain(problems.roll(jnp)), "pad": plain(padded), "carried": carried}

    def runner(march):
        compiled = jax.jit(march)

        def run(steps: int) -> np.ndarray:
            fields = compiled(jnp.asarray(steps))
            return np.stack(problem.back([np.asarray(f) for f in fields]))

        return run

    return {name: runner(march) for name, march in forms.items()}
