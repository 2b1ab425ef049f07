"""Small networks whose relevance can be worked out by hand, and numbers that other libraries publish in their tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper, save

import heatcli

NETWORK = tuple[list, dict[str, np.ndarray]]


def explain(network: NETWORK, x: np.ndarray, folder: Path, **settings) -> heatcli.Explanation:
    """Explain ``x`` by a network given as nodes from ``input`` to ``logits`` and constants by name, in float64."""
    nodes, constants = network
    graph = helper.make_graph(
        nodes,
        "closed form",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, x.shape)],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(value, np.float32), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 13)])
    save(model, folder / "model.onnx")
    return heatcli.load(folder / "model.onnx", precision="float64").explain(np.asarray(x, np.float32), **settings)


def perceptron(w1: np.ndarray) -> NETWORK:
    nodes = [
        helper.make_node("MatMul", ["input", "w1"], ["hidden"]),
        helper.make_node("Relu", ["hidden"], ["rectified"]),
        helper.make_node("MatMul", ["rectified", "w2"], ["logits"]),
    ]
    return nodes, {"w1": w1, "w2": np.full((3, 2), 3)}


def test_epsilon_rule_shares_in_proportion_to_the_input(tmp_path: Path):
    result = explain(perceptron(np.full((3, 3), 2)), np.array([[1, 2, 3]]), tmp_path, target=0, rules=["*=epsilon:0"])
    assert result.score == 108
    np.testing.assert_allclose(result.relevance, [18, 36, 54], rtol=1e-6)


def test_z_plus_rule_gives_nothing_to_a_negative_weight(tmp_path: Path):
    w1 = np.full((3, 3), 2)
    w1[0, 0] = -2
    result = explain(perceptron(w1), np.array([[1, 2, 3]]), tmp_path, target=0, rules=["*=z+"])
    assert result.score == 96
    np.testing.assert_allclose(result.relevance, [12, 33.6, 50.4], rtol=1e-6)


@pytest.mark.parametrize("rule", ["epsilon:0", "z+"])
def test_skip_connection_gets_its_share_of_the_sum(rule: str, tmp_path: Path):
    nodes = [
        helper.make_node("MatMul", ["input", "w"], ["branch"]),
        helper.make_node("Add", ["branch", "input"], ["logits"]),
    ]
    network = nodes, {"w": np.full((2, 2), 5)}
    result = explain(network, np.array([[2, 3]]), tmp_path, target=1, rules=[f"*={rule}"])
    assert result.score == 28
    np.testing.assert_allclose(result.relevance, [10, 18], rtol=1e-6)


def test_overlapping_max_pooling_hands_all_to_the_winner(tmp_path: Path):
    picture = np.array([[1, 2, 3], [10, 5, 6], [7, 8, 9]])
    largest = np.array([[10, 6], [10, 9]])
    relevance = np.array([[1, 2], [3, 4]]) / 30
    nodes = [
        helper.make_node("MaxPool", ["input"], ["pooled"], kernel_shape=[2, 2], strides=[1, 1]),
        helper.make_node("Flatten", ["pooled"], ["row"]),
        helper.make_node("MatMul", ["row", "w"], ["logits"]),
    ]
    network = nodes, {"w": np.stack([(relevance / largest).reshape(-1), np.zeros(4)], axis=1)}
    result = explain(network, picture[None, None], tmp_path, target=0, pool="winner", rules=["logits=epsilon:0"])
    expected = np.array([[0, 0, 0], [4, 0, 2], [0, 0, 4]]) / 30
    np.testing.assert_allclose(result.relevance[0], expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("rule", "expected"), [("alpha-beta:1,0", [-1, 0]), ("alpha-beta:2,1", [-2, 0.5])], ids=["a1b0", "a2b1"]
)
def test_alpha_beta_rule_with_negative_bias_and_relevance(rule: str, expected: list[float], tmp_path: Path):
    # The first hidden unit is 1 − 1 − 1 = −1 and gets relevance −1; the second is a bias of 2 and keeps its own.
    nodes = [
        helper.make_node("Gemm", ["input", "w", "b"], ["hidden"]),
        helper.make_node("MatMul", ["hidden", "v"], ["logits"]),
    ]
    network = nodes, {"w": [[1, 0], [-1, 0]], "b": [-1, 2], "v": [[1, 0], [1, 0]]}
    settings = {"target": 0, "rules": [f"hidden={rule}", "logits=epsilon:0"]}
    result = explain(network, np.array([[1, 1]]), tmp_path, **settings)
    assert result.score == 1
    np.testing.assert_allclose(result.relevance, expected, atol=1e-6)
