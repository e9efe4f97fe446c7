"""Preconditioned solves of implicit steps: how many iterations they take, and which is chosen."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import make_plan

JUMP = "where(r<0.2,1,0)"


@pytest.mark.parametrize(
    ("formula", "boundary", "most"),
    [
        # in float32, which stops earlier, the diagonal alone takes 331, 215 and 207 iterations of
        # the first, second and fourth on 32 x 32 cells, and twice as many on 64 x 64
        (f"divergence((1+1000*{JUMP})*gradient(u)) + x*y", "periodic", 75),
        ("divergence(exp(1.15*sin(2*pi*x)*cos(2*pi*y))*gradient(u)) + x*y", "neumann", 60),
        ("laplacian(u) - 1e3*(1+sin(2*pi*x))*u + x*y", "dirichlet", 60),
        ("(1+t)*laplacian(u) + x*y", "neumann", 5),
        ("-laplacian(laplacian(u)*(1+x)) + x*y", "dirichlet", 60),
    ],
)
def test_iterations_hardly_depend_on_the_grid(placement, monkeypatch, formula, boundary, most):
    """One step far beyond the explicit limit, in float64, within so many iterations."""
    from functools import partial

    import tensorflow as tf

    from pdesim.operators import krylov
    from pdesim.operators.method_of_lines import MethodOfLines

    monkeypatch.setattr(krylov, "most_iterations", lambda points: most)
    for points in (16, 32):
        plan = make_plan("equation=custom", f"equation.rhs={{u: '{formula}'}}", f"grid={points}",
                         f"boundary={boundary}", "stepper=implicit_euler", "time.dt=1",
                         "time.end=1", "output.frames=1", "initial=zero")  # fmt: skip
        solve = MethodOfLines(plan.problem, tf.float64, False).solve_shifted
        rhs = MethodOfLines(plan.problem, tf.float64, False).rhs
        one, zero = tf.constant(1.0, tf.float64), tf.zeros((1, *plan.grid.shape), tf.float64)
        known = zero + 1 + plan.grid.coordinates()["x"]
        u = tf.function(partial(solve, known, one, one, zero), autograph=False)()
        assert np.isfinite(u).all(), "it did not converge"
        # what is accepted is a residual of 1e-10 of the right-hand side
        np.testing.assert_allclose(u - (rhs(u, one) - rhs(zero, one)), known, atol=1e-8)


def test_preconditioners_follow_from_the_equation():
    from pdesim.operators.preconditioner import choose

    def chosen(formula, *more):
        words = ("equation=custom", f"equation.rhs={{u: '{formula}'}}", "grid=16", *more)
        choice = choose(make_plan(*words).problem)
        return choice.averaged is not None, choice.diagonal

    assert chosen("divergence((1+x)*gradient(u))", "boundary=neumann") == (True, True)
    assert chosen(f"divergence((1+{JUMP})*gradient(u))", "boundary=neumann") == (True, False)
    assert chosen(f"laplacian(u) - {JUMP}*u") == (True, True)
    assert chosen("(1+t)*laplacian(u)") == (True, False)
    robin = "boundary.default={robin: {a: 1, b: 1, value: 0}}"
    assert chosen("divergence((1+x)*gradient(u))", robin) == (False, True)
    assert chosen("laplacian(u)", robin) == (False, False)
    assert chosen("-x*u") == (False, True)
