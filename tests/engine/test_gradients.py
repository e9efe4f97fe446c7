"""Derivatives of runs, compared with differences of runs and with exact derivatives."""

from __future__ import annotations

import math

import numpy as np
import pytest
import tensorflow as tf

import pdesim
from pdesim.engine import differentiation

GRAY_SCOTT = [
    "equation=gray_scott",
    "grid=16",
    "domain.extent=0.3",
    "time.end=30",
    "output.frames=5",
]
SHORT = ["grid=16", "time.end=0.03", "output.frames=5"]
VARIABLE = "equation.rhs={u: 'divergence(D*(1+0.5*sin(2*pi*x))*gradient(u)) - 0.3*u'}"
ADVECTION = "equation.rhs={u: 'D*laplacian(u) - 3*d_dx(u)'}"
CASES = {
    "euler": ([*GRAY_SCOTT, "stepper=euler", "time.dt=1"], ["F", "k", "Du"]),
    "etdrk4": ([*GRAY_SCOTT, "stepper=etdrk4", "time.dt=1"], ["F", "Du"]),
    "cnab2": ([*GRAY_SCOTT, "stepper=cnab2", "time.dt=1"], ["F", "Dv"]),
    "dormand_prince": (
        [*GRAY_SCOTT, "stepper=dormand_prince", "time.tolerance=1e-11"],
        ["F", "Du"],
    ),
    "verlet": (
        [
            "equation=wave",
            "stepper=verlet",
            "grid=16",
            "time.end=0.2",
            "output.frames=5",
            "time.dt=0.01",
        ],
        ["c"],
    ),
    "transform": (
        ["equation=heat", "stepper=crank_nicolson", "time.dt=0.002", "boundary=dirichlet", *SHORT],
        ["D"],
    ),
    "walls": ([*GRAY_SCOTT, "stepper=euler", "time.dt=1", "boundary=neumann"], ["k", "Dv"]),
}
SLOW = {
    "rk4": ([*GRAY_SCOTT, "stepper=rk4", "time.dt=1"], ["F", "Du"]),
    "heun": ([*GRAY_SCOTT, "stepper=heun", "time.dt=1"], ["F"]),
    "rkl2": (["equation=heat", "stepper=rkl2", "time.dt=0.001", *SHORT], ["D"]),
    "sbdf2": ([*GRAY_SCOTT, "stepper=sbdf2", "time.dt=1"], ["F", "Dv"]),
    "exact": (["equation=heat", "stepper=exact", "time.dt=0.001", *SHORT], ["D"]),
    "implicit_euler": (["equation=heat", "stepper=implicit_euler", "time.dt=0.001", *SHORT], ["D"]),
    "yoshida4": (
        [
            "equation=wave",
            "stepper=yoshida4",
            "grid=16",
            "time.end=0.2",
            "output.frames=5",
            "time.dt=0.01",
        ],
        ["c"],
    ),
    "bogacki_shampine": ([*GRAY_SCOTT, "stepper=bogacki_shampine", "time.tolerance=1e-9"], ["F"]),
    "conjugate gradients": (
        [
            "equation=heat",
            VARIABLE,
            "stepper=crank_nicolson",
            "time.dt=0.002",
            "boundary=neumann",
            *SHORT,
        ],
        ["D"],
    ),
    "bicgstab": (
        [
            "equation=custom",
            ADVECTION,
            "+equation.D=0.1",
            "stepper=implicit_euler",
            "time.dt=0.002",
            "boundary=dirichlet",
            "initial={u: 'sin(pi*x)*sin(pi*y)+0.1'}",
            *SHORT,
        ],
        ["D"],
    ),
    "spectral": ([*GRAY_SCOTT, "operators=spectral", "stepper=etdrk2", "time.dt=1"], ["F", "Du"]),
    "dealiased": (
        [
            *GRAY_SCOTT,
            "operators=spectral",
            "operators.dealias=true",
            "stepper=etdrk2",
            "time.dt=1",
        ],
        ["F"],
    ),
    "conv": ([*GRAY_SCOTT, "operators=conv", "stepper=euler", "time.dt=1"], ["F", "Dv"]),
    "obstacle": (
        [*GRAY_SCOTT, "domain.mask='r<0.1'", "stepper=rk4", "time.dt=1", "boundary=neumann"],
        ["F"],
    ),
    "fourth derivatives": (
        [
            "equation=cahn_hilliard",
            "grid=16",
            "time.end=1",
            "output.frames=5",
            "time.dt=0.05",
            "stepper=sbdf2",
        ],
        [],
    ),
    "products with derivatives": (
        [
            "equation=burgers",
            "grid=16",
            "time.end=0.1",
            "output.frames=5",
            "time.dt=0.005",
            "stepper=rk4",
        ],
        ["nu"],
    ),
    "reduction": (
        [
            "equation=allen_cahn",
            "equation.rhs={u: '1e-3*laplacian(u)+u-u**3-mean(u-u**3)'}",
            "grid=16",
            "time.end=0.5",
            "time.dt=0.05",
            "stepper=euler",
            "output.frames=5",
        ],
        [],
    ),
    "convolution": (
        [
            "equation=custom",
            "equation.rhs={u: 'D*laplacian(u) + convolve(\"exp(-r**2/s**2)\", u**2) - u'}",
            "+equation.D=0.01",
            "+equation.s=0.2",
            "initial={u: '1 + 0.3*cos(2*pi*x)*sin(2*pi*y)'}",
            "operators=spectral",
            "stepper=etdrk2",
            "time.dt=0.005",
            *SHORT,
        ],
        ["s", "D"],
    ),
    "convolution in an implicit step": (
        [
            "equation=custom",
            "equation.rhs={u: 'D*laplacian(u) + 20*convolve(\"exp(-r/s)\", u)'}",
            "+equation.D=0.1",
            "+equation.s=0.2",
            "initial={u: '1 + 0.3*cos(2*pi*x)*sin(2*pi*y)'}",
            "stepper=implicit_euler",
            "time.dt=0.005",
            *SHORT,
        ],
        ["s"],
    ),
    "boundary value": (
        [
            "equation=heat",
            "+equation.T=0.3",
            "boundary={x: {lower: {dirichlet: 'T*sin(pi*y)'}, upper: neumann}, "
            "y: {lower: neumann, upper: {robin: {a: 1, b: 1, value: T}}}}",
            "stepper=euler",
            "time.dt=0.001",
            *SHORT,
        ],
        ["D", "T"],
    ),
    "automatic steps": ([*GRAY_SCOTT, "stepper=rk4"], ["F"]),
    "1-D": (
        [
            "equation=heat",
            "grid=[32]",
            "time.end=0.02",
            "output.frames=5",
            "time.dt=0.0001",
            "stepper=rk4",
            "boundary=dirichlet",
        ],
        ["D"],
    ),
    "3-D": (
        [
            "equation=heat",
            "grid=[8,8,8]",
            "time.end=0.02",
            "output.frames=5",
            "time.dt=0.001",
            "stepper=etdrk2",
        ],
        ["D"],
    ),
}
#: differences of order 4 have relative errors of about 1e-9 here; automatic and adaptive steps are
#: constants in a derivative, but not in a difference
TOLERANCE = {"automatic steps": 1e-4, "bogacki_shampine": 1e-5}


def of_middle_and_end(fields):
    """A loss of two frames that is neither symmetric nor linear in any field."""
    total = 0.0
    for name, values in fields.items():
        if name != "time":
            total += tf.reduce_mean(values[-1] ** 2) + 0.3 * tf.reduce_mean(values[2] ** 3)
    return total


def of_run(model, parameters=None, initial=None) -> float:
    frames = model.frames(parameters, initial)
    return float(of_middle_and_end({name: tf.constant(v) for name, v in frames.items()}))


def central(function, step: float) -> float:
    """A central difference of order 4."""
    near, far = (function(n * step) - function(-n * step) for n in (1, 2))
    return (8 * near - far) / (12 * step)


def check(words, parameters, tolerance):
    model = pdesim.ForwardModel(*words, "device.precision=float64")
    wrt = [f"equation.{name}" for name in parameters]
    wrt += [f"initial.{name}" for name in model.fields]
    result = model.gradient(of_middle_and_end, wrt)
    assert result.value == pytest.approx(of_run(model), rel=1e-12)
    for name in parameters:
        value = model.parameters[name]
        expected = central(lambda d, n=name, v=value: of_run(model, {n: v + d}), 1e-4 * value)
        assert result.gradient[f"equation.{name}"] == pytest.approx(expected, rel=tolerance)
    # one direction in the space of all initial states
    random, start = np.random.default_rng(1), model.initial
    change = {name: random.normal(size=values.shape) for name, values in start.items()}
    size = max(np.abs(values).max() for values in start.values())
    expected = central(
        lambda d: of_run(model, initial={n: start[n] + d * change[n] for n in start}), 1e-4 * size
    )
    computed = sum(np.sum(result.gradient[f"initial.{n}"] * change[n]) for n in start)
    assert computed == pytest.approx(expected, rel=tolerance)


@pytest.mark.parametrize("case", CASES)
def test_gradients_equal_differences(case):
    check(*CASES[case], TOLERANCE.get(case, 1e-6))


@pytest.mark.slow
@pytest.mark.parametrize("case", SLOW)
def test_more_gradients_equal_differences(case):
    check(*SLOW[case], TOLERANCE.get(case, 1e-6))


def test_gradient_of_a_mode_is_exact():
    """A Fourier mode decays as exp(-D k^2 t), so the derivatives are known in closed form."""
    model = pdesim.ForwardModel(
        "equation=heat", "+equation.A=1.5", "initial.u='A**2*sin(2*pi*x)'", "grid=16",
        "operators=spectral", "stepper=exact", "time.end=0.1", "device.precision=float64",
    )  # fmt: skip

    def loss(frames):
        return tf.reduce_mean(frames["u"][-1] ** 2)

    result = model.gradient(loss, ["equation.D", "equation.A"])
    diffusivity, rate = model.parameters["D"], (2 * math.pi) ** 2
    value = 1.5**4 / 2 * math.exp(-2 * diffusivity * rate * 0.1)
    assert result.value == pytest.approx(value, rel=1e-12)
    assert result.gradient["equation.D"] == pytest.approx(-2 * rate * 0.1 * value, rel=1e-9)
    # through the formula of the initial state
    assert result.gradient["equation.A"] == pytest.approx(4 * value / 1.5, rel=1e-10)


def gradient_of(model):
    names = [f"equation.{name}" for name in ("F", "k")] + ["initial.u", "initial.v"]
    return model.gradient(of_middle_and_end, names).gradient


@pytest.mark.parametrize(
    "words",
    [["stepper=cnab2", "time.dt=0.5"], ["stepper=bogacki_shampine", "time.tolerance=1e-5"]],
)
def test_blocks_do_not_change_the_gradient(monkeypatch, words):
    """Several blocks between stored states give the derivative of one block."""
    model = pdesim.ForwardModel(*GRAY_SCOTT, *words, "output.every=13", "device.precision=float64")
    whole = gradient_of(model)
    monkeypatch.setattr(differentiation, "HISTORY_BYTES", 3 * model._plan.state_bytes)
    monkeypatch.setattr(differentiation, "FEWEST_STEPS", 20)
    record = differentiation._Record.of(model._plan, model._device())
    assert len(record.blocks) >= 4 * len(record.stored)
    parts = gradient_of(model)
    for name, value in whole.items():
        np.testing.assert_allclose(parts[name], value, rtol=1e-10)


def test_memory_grows_with_the_square_root_of_the_steps():
    model = pdesim.ForwardModel(
        *[
            "equation=heat",
            "grid=8",
            "time.dt=1e-4",
            "time.end=1",
            "output.frames=2",
            "stepper=euler",
        ]
    )
    record = differentiation._Record.of(model._plan, model._device())
    assert record.simulation.steps == 10_000
    assert len(record.stored) <= 101
    assert max(block.last - block.first for block in record.blocks) <= 100


def test_single_precision():
    model = pdesim.ForwardModel(*CASES["euler"][0])
    double = pdesim.ForwardModel(*CASES["euler"][0], "device.precision=float64")
    for name, value in gradient_of(double).items():
        scale = np.abs(value).max()
        np.testing.assert_allclose(gradient_of(model)[name], value, atol=1e-4 * scale)


@pytest.mark.parametrize(
    ("words", "wrt", "expected"),
    [
        (["equation=poisson"], [], "poisson is a steady problem"),
        (["equation=mandelbrot"], [], "mandelbrot is an iterated map"),
        (["equation=kpz"], [], "kpz has noise"),
        (["equation=heat", "stop.steady=1e-3"], [], "stop.when=null stop.steady=null"),
        (["equation=heat"], ["equation.d"], "did you mean 'equation.D'?"),
        (["equation=heat", "domain.extent=${equation.D}"], ["equation.D"], "domain refers to it"),
        (["equation=heat", "domain.mask='r<D'", "boundary=neumann"], ["equation.D"], "obstacles"),
    ],
)
def test_what_has_no_derivative_is_refused(words, wrt, expected):
    with pytest.raises(pdesim.PdesimError, match="(?s)" + expected.replace("?", r"\?")):
        pdesim.gradient(*words, "grid=8", loss=of_middle_and_end, wrt=wrt)


def test_loss_that_is_no_number():
    with pytest.raises(pdesim.PdesimError, match="a real number"):
        pdesim.gradient("heat", "time.end=0.01", grid=8, loss=lambda f: f["u"], wrt=["initial.u"])
