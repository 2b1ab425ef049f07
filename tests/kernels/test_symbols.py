"""What is written for arrays writes a graph when it is given symbols, and onnxruntime computes the same from it."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import numpy_helper

from heatcli.kernels.symbols import Graph, Symbol
from tests import single


def computed(write, *arrays):
    """Return what onnxruntime makes of the graph that ``write`` writes for inputs of these shapes."""
    graph = Graph()
    names = [f"x{place}" for place in range(len(arrays))]
    result = write(*(Symbol(graph, name, array.shape) for name, array in zip(names, arrays, strict=True)))
    shapes = {name: array.shape for name, array in zip(names, arrays, strict=True)}
    proto = single.model([], shapes, {}, result.name)
    proto.graph.node.extend(graph.nodes)
    proto.graph.initializer.extend(numpy_helper.from_array(*entry[::-1]) for entry in graph.constants.items())
    found = single.run(proto, dict(zip(names, arrays, strict=True)))
    assert found.shape == result.shape
    return found


X = np.linspace(-3, 3, 24, dtype=np.float32).reshape(1, 4, 6)
Y = np.random.default_rng(0).normal(size=(1, 4, 1)).astype(np.float32)
EXPRESSIONS = {
    "arithmetic": lambda x, y: 2 * x - y / 3 + x * y - 1,
    "reversed": lambda x, y: 1 / (np.float32(4) + abs(x)) - (5 - y),
    "powers": lambda x, y: x**2 + np.square(y),
    "parts": lambda x, y: np.maximum(x, 0) - np.minimum(y, 0) + np.maximum(x, y),
    "choices": lambda x, y: np.where((x > y) & ~(x > 2), x, np.where(x <= -1, y, 0.5)),
    "truths are numbers": lambda x, y: (x > 0) * y + np.logical_or(x < -2, np.equal(y, y)) * 1.0,
    "functions": lambda x, y: np.exp(-x) + np.tanh(y) + np.sqrt(np.abs(x)) + np.sign(y),
    "softplus": lambda x, y: np.logaddexp(0, 40 * x) + np.clip(y, -0.5, 0.5),
    "likes": lambda x, y: np.ones_like(x) * y + np.zeros_like(x),
    "slices": lambda x, y: x[:, 1:3, ::-1] + x[:, 0:2],
}


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_expressions(name):
    np.testing.assert_allclose(computed(EXPRESSIONS[name], X, Y), EXPRESSIONS[name](X, Y), rtol=1e-5, atol=1e-6)


def test_what_is_not_understood_is_an_error():
    with pytest.raises(TypeError):
        np.arctan(Symbol(Graph(), "x", (1, 2)))


def test_equal_nodes_are_written_once():
    graph = Graph()
    x = Symbol(graph, "x", (1, 3))
    assert (np.maximum(x, 0) + 1).name == (np.maximum(x, 0) + 1).name
    assert len(graph.nodes) == 2


def test_large_constants_are_not_confused():
    """Arrays that are gone by the time the next one comes can lie where it lies."""
    graph = Graph()
    names = [graph.constant(np.full((50, 40), value, np.float32).T[::2]) for value in range(200)]
    assert len(set(names)) == 200
    assert [float(graph.constants[name][0, 0]) for name in names] == list(range(200))
