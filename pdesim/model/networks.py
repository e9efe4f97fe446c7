"""Neural networks of an equation, from its settings and from HDF5 files of weights."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pdesim.errors import ConfigError, OutputError, nearest
from pdesim.files import (
    as_path,
    creating,
    dataset,
    open_hdf5,
    read_array,
    read_attributes,
    reading,
    replacing,
)  # fmt: skip
from pdesim.formula.networks import ACTIVATIONS, Network

#: limits of one network
MOST_LAYERS, MOST_UNITS, MOST_NETWORKS = 16, 1024, 16
KEYS = ("layers", "activation", "weights", "seed")
FORM = "{layers: [2, 32, 2], activation: tanh}"


def build_networks(given: Any) -> dict[str, Network]:
    """Return the networks of ``equation.networks``.

    Args:
        given: name -> ``{layers, activation, weights, seed}``. ``weights`` is a file of
            :func:`write_networks`; without it, the weights are random numbers that depend on
            ``seed`` only.

    Raises:
        ConfigError: for invalid settings.
        OutputError: if a file cannot be read.
    """
    if not given:
        return {}
    if not isinstance(given, Mapping) or len(given) > MOST_NETWORKS:
        raise ConfigError(
            f"equation.networks is {_brief(given)}",
            f"at most {MOST_NETWORKS} networks by name, such as {{f: {FORM}}}",
        )
    return {str(name): _build(str(name), spec) for name, spec in given.items()}


def _build(name: str, spec: Any) -> Network:
    where = f"equation.networks.{name}"
    if not isinstance(spec, Mapping):
        raise ConfigError(f"{where} is {_brief(spec)}", f"a mapping such as {FORM}")
    for key in spec:
        if key not in KEYS:
            raise ConfigError(f"{where}.{key} is not a setting", nearest(str(key), KEYS))
    layers = _layers(where, spec.get("layers"))
    activation = spec.get("activation") or "tanh"
    if not isinstance(activation, str) or activation not in ACTIVATIONS:
        raise ConfigError(
            f"{where}.activation is {_brief(activation)}", nearest(str(activation), ACTIVATIONS)
        )
    seed = spec.get("seed") or 0
    if type(seed) is not int or seed < 0:
        raise ConfigError(f"{where}.seed is {_brief(seed)}", "an integer, 0 or larger")
    path = spec.get("weights")
    if path is None:
        return Network(name, layers, activation, _random(layers, seed))
    return Network(name, layers, activation, _read(where, path, name, layers, activation))


def _layers(where: str, given: Any) -> tuple[int, ...]:
    if (
        isinstance(given, Sequence)
        and 2 <= len(given) <= MOST_LAYERS
        and all(type(n) is int and 1 <= n <= MOST_UNITS for n in given)
    ):
        return tuple(given)
    raise ConfigError(
        f"{where}.layers is {_brief(given)}",
        f"2 to {MOST_LAYERS} numbers from 1 to {MOST_UNITS}: inputs, units of each hidden layer, "
        "and outputs",
    )


def _random(layers: Sequence[int], seed: int) -> tuple[np.ndarray, ...]:
    """Return uniformly distributed weights, and biases that are 0.

    Glorot and Bengio, AISTATS 9 (2010) 249, eq. 16: the matrices are within
    ``+-sqrt(6 / (inputs + outputs))``.
    """
    random = np.random.default_rng(seed)
    weights: list[np.ndarray] = []
    for inputs, outputs in itertools.pairwise(layers):
        limit = math.sqrt(6 / (inputs + outputs))
        weights += [random.uniform(-limit, limit, (inputs, outputs)), np.zeros(outputs)]
    return tuple(weights)


def _shapes(layers: Sequence[int]) -> list[tuple[int, ...]]:
    pairs = itertools.pairwise(layers)
    return [shape for n, m in pairs for shape in ((n, m), (m,))]


def check_weights(network: Network, weights: Sequence[Any]) -> tuple[np.ndarray, ...]:
    """Return weights as arrays in float64.

    Raises:
        ConfigError: if they are not finite numbers of the shapes of the network.
    """
    arrays = tuple(np.asarray(one, float) for one in weights)
    shapes = _shapes(network.layers)
    if [one.shape for one in arrays] != shapes or not all(np.isfinite(o).all() for o in arrays):
        raise ConfigError(
            f"the weights of {network.name} have the shapes {[one.shape for one in arrays]}",
            f"finite numbers of the shapes {shapes}",
        )
    return arrays


def _read(
    where: str, given: Any, name: str, layers: tuple[int, ...], activation: str
) -> tuple[np.ndarray, ...]:
    """Return the weights in a file, from the group with the name of the network."""
    if not isinstance(given, str):
        raise ConfigError(f"{where}.weights is {_brief(given)}", "the path of an HDF5 file")
    path = as_path(given)
    if not path.is_file():
        raise ConfigError(f"{where}.weights is {given!r}, which is not a file", "an HDF5 file")
    try:
        with reading(path), open_hdf5(path) as file:
            if f"{name}.0" not in file:
                known = sorted({key.rpartition(".")[0] for key in file})
                raise OutputError(f"{path} contains no network {name}", ", ".join(known) or "none")
            about = read_attributes(dataset(file, f"{name}.0"))
            own = tuple(int(n) for n in about["layers"]), str(about["activation"])
            if own != (layers, activation):
                raise OutputError(
                    f"the network {name} in {path} has the layers {list(own[0])} and the "
                    f"activation {own[1]}",
                    f"{list(layers)} and {activation}, as in {where}",
                )
            parts = range(2 * len(layers) - 2)
            weights = [read_array(file, f"{name}.{number}") for number in parts]
    except OSError as error:
        raise OutputError(f"{path} cannot be read: {error}", "an HDF5 file of weights") from None
    return check_weights(Network(name, layers, activation, ()), weights)


def write_networks(path: Path, networks: Mapping[str, Network]) -> None:
    """Write the weights of networks to an HDF5 file.

    The datasets ``f.0``, ``f.1``, ... of a network f are the matrix ``(inputs, outputs)`` and the
    biases of each layer in turn. The first one has the attributes ``layers`` and ``activation``.

    Raises:
        OSError: if the file cannot be written.
    """
    with replacing(path) as temporary, creating(temporary) as file:
        for name, network in networks.items():
            for number, values in enumerate(network.weights):
                file[f"{name}.{number}"] = values
            file[f"{name}.0"].attrs["layers"] = network.layers
            file[f"{name}.0"].attrs["activation"] = network.activation


def _brief(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 100 else f"{text[:100]}..."
