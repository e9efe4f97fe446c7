"""Waves on water, in elastic bodies and of light, against other programs and exact solutions."""

from __future__ import annotations

import numpy as np
import pytest

import pdesim


@pytest.fixture
def simulate(tmp_path):
    """Compute an equation of the library in float64: times and all frames of some fields."""

    def run(name, fields, /, *overrides, **settings):
        settings = {"device": {"precision": "float64"}, "animation": "none"} | settings
        done = pdesim.simulate(name, *overrides, folder=tmp_path / "run", **settings)
        with done.snapshots as snapshots:
            return np.array(snapshots.times), *(np.array(snapshots[field]) for field in fields)

    return run


def test_raindrops_are_those_of_the_tutorial(simulate):
    """The update of TensorFlow's tutorial in NumPy gives the same field, up to the sides.

    Per step: U + eps*Ut, Ut + eps*(laplace(U) - damping*Ut), with a convolution with a kernel of
    3 x 3 weights that takes the array to be surrounded by zeros.
    """
    n, eps, damping, steps = 48, 0.03, 0.04, 600
    kernel = np.array([[0.5, 1, 0.5], [1, -6, 1], [0.5, 1, 0.5]])
    _, u, w = simulate(
        "raindrops", ("u", "w"), grid=n, domain={"extent": float(n)}, stepper="euler",
        boundary={"default": {"robin": {"a": 1, "b": 0.5, "value": 0}}},
        time={"end": steps * eps, "dt": eps, "unsafe": True}, output={"frames": 1},
    )  # fmt: skip
    height, rate = u[0], np.zeros((n, n))
    # about 40 single cells; the standard deviation of their number is 6
    assert 20 < (height > 0).sum() < 60
    for _ in range(steps):
        padded = np.pad(height, 1)
        laplace = sum(
            kernel[i, j] * padded[i : i + n, j : j + n] for i in range(3) for j in range(3)
        )
        height, rate = height + eps * rate, rate + eps * (laplace - damping * rate)
    # rounding, which grows with the unstable steps: exp(600*(eps^2*8 - eps*damping)/2) = 6
    np.testing.assert_allclose(u[1], height, atol=1e-13)
    np.testing.assert_allclose(w[1], rate, atol=1e-13)
