"""Transforms between walls, compared with the sums that define them."""

import numpy as np
import pytest
import tensorflow as tf

from pdesim.operators import transforms


def basis_functions(basis: str, n: int) -> np.ndarray:
    """The orthonormal basis functions on cell centres, one per row."""
    centres = (np.arange(n) + 0.5) / n
    wave = np.sin if basis.startswith("sine") else np.cos
    k = {"cosine": 0.0, "sine": 1.0}.get(basis, 0.5) + np.arange(n)
    functions = wave(np.pi * np.outer(k, centres))
    return functions / np.linalg.norm(functions, axis=1, keepdims=True)


@pytest.mark.parametrize("n", [2, 3, 4, 5, 8, 9, 30])
@pytest.mark.parametrize("basis", ["cosine", "sine", "cosine-half", "sine-half"])
def test_real_transforms_are_sums_of_sines_and_cosines(basis, n):
    values = np.random.default_rng(n).normal(size=(3, n))
    modes = values @ basis_functions(basis, n).T
    # every value is a sum of n terms of size 1
    bound = 4 * n * np.finfo(float).eps
    forward = transforms._REAL[basis](tf.constant(values)).numpy()
    assert np.abs(forward - modes).max() <= bound
    backward = transforms._REAL_INVERSE[basis](tf.constant(modes)).numpy()
    assert np.abs(backward - values).max() <= bound
