"""Neural networks in formulas, compared with their definition in plain NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import sympy
import tensorflow as tf

import pdesim
from pdesim.errors import PdesimError
from pdesim.formula import Evaluator, Scope, derivative, parse
from pdesim.formula.networks import ACTIVATIONS, NetworkSymbol
from pdesim.model.networks import build_networks, write_networks
from pdesim.operators.tensor_library import tensor_library

PLAIN = {
    "tanh": np.tanh,
    "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
    "relu": lambda z: np.where(z > 0, z, 0.0),
    "softplus": lambda z: np.log(1 + np.exp(z)),
    "sin": np.sin,
}
X, Y = sympy.symbols("u v", real=True)
RHS = "{u: '1e-3*laplacian(u)+f(u,v)[0]-u', v: '1e-3*laplacian(v)+f(u,v)[1]-v'}"
RUN = [
    "equation=custom", "equation.networks={f: {layers: [2, 5, 2], seed: 3}}", f"equation.rhs={RHS}",
    "initial={u: 'sin(2*pi*x)', v: 'cos(2*pi*y)'}", "grid=16", "time.end=1", "output.frames=4",
    "device.precision=float64", "animation=none",
]  # fmt: skip


def network(activation="tanh", layers=(2, 5, 4, 3)):
    """A network of random weights and biases."""
    spec = {"layers": list(layers), "activation": activation, "seed": 1}
    built = build_networks({"f": spec})["f"]
    for number, bias in enumerate(built.weights[1::2]):
        bias += np.linspace(-1, 1, len(bias)) * (1 + number)
    return built


def plain_value(network, inputs):
    rows = np.stack(inputs)
    layers = list(zip(network.weights[::2], network.weights[1::2], strict=True))
    for number, (matrix, bias) in enumerate(layers):
        rows = np.einsum("io,i...->o...", matrix, rows) + bias.reshape(-1, *[1] * (rows.ndim - 1))
        rows = PLAIN[network.activation](rows) if number < len(layers) - 1 else rows
    return rows


def scope(built):
    return Scope({"u": X, "v": Y}, ("x", "y"), networks={"f": NetworkSymbol(built)})


def arrays():
    random = np.random.default_rng(2)
    return {"u": random.normal(size=(3, 4)), "v": random.normal(size=(3, 4))}


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("tensors", [False, True])
def test_values(activation, tensors):
    built, names = network(activation), arrays()
    formula = parse("2*f(u*v, 0.5)[2] - f(u*v, 0.5)[0]", scope(built))
    expected = plain_value(built, [names["u"] * names["v"], np.full((3, 4), 0.5)])
    if tensors:
        names = {name: tf.constant(value) for name, value in names.items()}
        value = Evaluator(names, tensor_library(tf.float64))(formula)
    else:
        value = Evaluator(names)(formula)
    np.testing.assert_allclose(value, 2 * expected[2] - expected[0], rtol=1e-12)


@pytest.mark.parametrize("activation", [name for name in ACTIVATIONS if name != "relu"])
@pytest.mark.parametrize("times", [1, 2])
def test_derivatives_equal_differences(activation, times):
    built, names = network(activation), arrays()
    formula = parse("f(u*v, sin(u))[1]", scope(built))
    value = Evaluator(names)(derivative(formula, X, times))

    def at(shift):
        return Evaluator({**names, "u": names["u"] + shift})(formula)

    step = 1e-3
    near, far, middle = (at(step), at(-step)), (at(2 * step), at(-2 * step)), at(0.0)
    if times == 1:
        expected = (8 * (near[0] - near[1]) - (far[0] - far[1])) / (12 * step)
    else:
        expected = (16 * (near[0] + near[1]) - far[0] - far[1] - 30 * middle) / (12 * step**2)
    # the fourth power of the step, and rounding errors divided by its square
    np.testing.assert_allclose(value, expected, rtol=1e-7, atol=1e-8)


def test_weights_can_be_replaced():
    """Programs receive weights as arguments, in place of those of the settings."""
    built, other = network(), network(layers=(2, 5, 4, 3))
    other.weights[0][:] += 1.0
    names = arrays() | dict(zip(built.argument_names, other.weights, strict=True))
    value = Evaluator(names)(parse("f(u, v)[0]", scope(built)))
    np.testing.assert_allclose(value, plain_value(other, list(arrays().values()))[0], rtol=1e-12)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("f(u)[0]", "the network f got 1 input"),
        ("f(u, v)", "f has 3 outputs"),
        ("f(u, v)[3]", r"\[0\] to \[2\]"),
        ("f(u, v)[-1]", "f has 3 outputs"),
        ("f(u, v)[u]", "f has 3 outputs"),
        ("f", "f needs parentheses|'f' needs parentheses"),
        ("u[0]", "indexing"),
        ("g(u, v)[0]", "unknown function 'g'"),
    ],
)
def test_wrong_uses(text, expected):
    with pytest.raises(PdesimError, match=expected):
        parse(text, scope(network()))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"f": {"layers": [2]}}, "2 to 16 numbers"),
        ({"f": {"layers": [2, 0]}}, "2 to 16 numbers"),
        ({"f": {}}, "layers is None"),
        ({"f": {"layers": [2, 2], "activation": "tnh"}}, "did you mean 'tanh'"),
        ({"f": {"layers": [2, 2], "weight": 1}}, "did you mean 'weights'"),
        ({"f": {"layers": [2, 2], "seed": -1}}, "0 or larger"),
        ({"f": {"layers": [2, 2], "weights": "missing.h5"}}, "not a file"),
        ([1], "networks by name"),
    ],
)
def test_wrong_settings(given, expected):
    with pytest.raises(PdesimError, match=expected):
        build_networks(given)


def test_files_of_weights(tmp_path):
    built = network()
    path = tmp_path / "weights.h5"
    write_networks(path, {"f": built})
    spec = {"layers": [2, 5, 4, 3], "activation": "tanh", "weights": str(path)}
    read = build_networks({"f": spec})["f"]
    assert read.digest == built.digest
    for changed, expected in [
        ({"f": spec | {"layers": [2, 5, 3]}}, "has the layers"),
        ({"f": spec | {"activation": "sin"}}, "activation tanh"),
        ({"g": spec}, "contains no network g"),
    ]:
        with pytest.raises(PdesimError, match=expected):
            build_networks(changed)
    path.write_text("no HDF5")
    with pytest.raises(PdesimError, match="cannot be read"):
        build_networks({"f": spec})


def test_models_save_weights(tmp_path):
    """A model that reads saved weights computes the frames that they gave."""
    model, path = pdesim.ForwardModel(*RUN), tmp_path / "weights.h5"
    weights = [2 * one + 0.1 for one in model.networks["f"]]
    model.save_networks(path, {"f": weights})
    other = pdesim.ForwardModel(*RUN, f"equation.networks.f.weights={path}")
    expected = model.frames(networks={"f": weights})
    assert np.abs(expected["u"] - model.frames()["u"]).max() > 0.1
    np.testing.assert_array_equal(other.frames()["u"], expected["u"])
    other.save_networks(path)
    assert build_networks({"f": {"layers": [2, 5, 2], "weights": str(path)}})["f"].digest == (
        other._plan.equation.networks["f"].digest
    )


def test_wrong_weights_are_not_saved(tmp_path):
    model, path = pdesim.ForwardModel(*RUN), tmp_path / "weights.h5"
    for networks, expected in [
        ({"g": []}, "no network g"),
        ({"f": model.networks["f"][:2]}, "the weights of f have the shapes"),
        ({"f": [np.nan * one for one in model.networks["f"]]}, "finite numbers"),
    ]:
        with pytest.raises(PdesimError, match=expected):
            model.save_networks(path, networks)
    with pytest.raises(PdesimError, match="cannot be written"):
        model.save_networks(tmp_path / "missing" / "weights.h5")
    with pytest.raises(PdesimError, match="heat has no networks"):
        pdesim.ForwardModel("heat", grid=8).save_networks(path)
    assert not path.exists()


def test_names_are_unique():
    with pytest.raises(PdesimError, match="'u' is both a network and a field or parameter"):
        pdesim.ForwardModel(*RUN, "equation.networks={u: {layers: [1, 1]}}")


def test_gradient_equals_differences():
    model = pdesim.ForwardModel(*RUN, "stepper=heun", "time.dt=0.1")

    def loss(frames):
        return tf.reduce_mean(frames["u"][-1] ** 2) + tf.reduce_mean(frames["v"][1] ** 3)

    def value(shift):
        weights = [w + shift * c for w, c in zip(model.networks["f"], change, strict=True)]
        frames = model.frames(networks={"f": weights})
        return float(loss({name: tf.constant(v) for name, v in frames.items()}))

    random = np.random.default_rng(0)
    change = [random.normal(size=weights.shape) for weights in model.networks["f"]]
    gradient = model.gradient(loss, ["networks.f"]).gradient["networks.f"]
    computed = sum(np.sum(g * c) for g, c in zip(gradient, change, strict=True))
    step = 1e-3
    near, far = (value(n * step) - value(-n * step) for n in (1, 2))
    # the fourth power of the step
    assert computed == pytest.approx((8 * near - far) / (12 * step), rel=1e-8)


def test_run_keeps_its_weights(tmp_path):
    """A resumed run reads the weights from its folder, even if the file has changed since."""
    path, built = tmp_path / "weights.h5", network(layers=(2, 5, 2))
    write_networks(path, {"f": built})
    words = [*RUN, f"equation.networks.f.weights={path}", "time.dt=0.05", "stepper=rk4"]
    whole = pdesim.simulate(*words, "time.end=2", folder=tmp_path / "whole")
    pdesim.simulate(*words, folder=tmp_path / "part")
    built.weights[0][:] = 0.0
    write_networks(path, {"f": built})
    part = pdesim.resume(tmp_path / "part", "time.end=2")
    with whole.snapshots as one, part.snapshots as other:
        np.testing.assert_array_equal(one["u"][-1], other["u"][-1])


def test_members_with_different_networks(tmp_path):
    words = [*RUN, "time.dt=0.05", "stepper=rk4"]
    over = {
        "equation.networks.f.seed": [3, 4],
        "equation.networks.f.layers": [[2, 5, 2], [2, 6, 2]],
    }
    pdesim.sweep(*words, over=over, folder=tmp_path / "sweep")
    for number, (seed, units) in enumerate([(3, 5), (3, 6), (4, 5), (4, 6)]):
        single = pdesim.ForwardModel(
            *words, f"equation.networks={{f: {{layers: [2, {units}, 2], seed: {seed}}}}}"
        ).frames()
        with pdesim.open(tmp_path / "sweep" / str(number)) as snapshots:
            np.testing.assert_allclose(snapshots["u"][-1], single["u"][-1], rtol=1e-11, atol=1e-12)
