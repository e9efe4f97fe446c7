"""Operations with derivatives of their own."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.framework.func_graph import FuncGraph
from tensorflow.python.ops import op_selector

from pdesim.operators.differentiable import same_values


@pytest.mark.parametrize("form", ["eager", "graph", "compiled"])
def test_values_read_from_another_array_keep_their_derivative(form):
    x, weights = tf.constant([0.5, -2.0, 3.0]), tf.constant([1.0, 10.0, 100.0])

    def value_and_derivative(x, other):
        with tf.GradientTape() as tape:
            tape.watch([x, other])
            total = tf.reduce_sum(weights * same_values(x**2, other))
        return total, *tape.gradient(total, [x, other], unconnected_gradients="zero")

    if form != "eager":
        value_and_derivative = tf.function(value_and_derivative, jit_compile=form == "compiled")
    total, derivative, none = value_and_derivative(x, tf.constant([1.0, 2.0, 3.0]))
    assert total == 321  # of the other array
    assert np.array_equal(derivative, [1, -40, 600])  # of the square
    assert not np.any(none)


def test_reading_another_array_does_not_search_what_it_depends_on(monkeypatch):
    """TensorFlow searches a graph for variables up to the arguments of a function."""
    found = []
    search = op_selector.get_backward_walk_ops

    def counted(*arguments, **options):
        operations = search(*arguments, **options)
        found.append(len(operations))
        return operations

    monkeypatch.setattr(op_selector, "get_backward_walk_ops", counted)
    with FuncGraph("long").as_default():
        x = other = tf.constant(1.0)
        for _ in range(100):
            other = 2 * other - other
        same_values(x, other)
    assert max(found) < 10
