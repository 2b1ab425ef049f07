"""A class against a rival: the difference of two maps and of their accounts."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import heatcli
from heatcli.errors import UsageError
from tests.planning import perceptrons

MATRICES = perceptrons.drawn(0, 12, 30, 7, 4)
X = np.random.default_rng(1).uniform(-2, 3, 12).astype("float32")
SCORES = perceptrons.scores(MATRICES, X)
ORDER = [int(index) for index in np.argsort(-SCORES)]


@pytest.fixture
def explainer(tmp_path):
    return heatcli.load(perceptrons.saved(tmp_path / "m.onnx", MATRICES), range=(-2, 3), labels=list("abcd"))


@pytest.mark.parametrize("method", ["deep-taylor", "gradient", "sensitivity", "lrp-epsilon", "occlusion", "smoothgrad"])
def test_the_map_is_the_difference(explainer, method):
    best, second = ORDER[:2]
    found = explainer.explain(X, target=best, versus=second, method=method)
    one, other = (explainer.explain(X, target=index, method=method) for index in (best, second))
    np.testing.assert_allclose(found.relevance, one.relevance - other.relevance, atol=1e-6)
    assert found.signed
    assert found.versus.index == second
    assert found.versus.score == pytest.approx(SCORES[second], rel=1e-4)
    assert found.settings["versus"]["index"] == second
    assert (found.target, found.score) == (best, one.score)


def test_the_account_is_the_difference_and_closes(explainer):
    best, second = ORDER[:2]
    ledger = explainer.explain(X, target=best, versus=second).ledger
    one, other = (explainer.explain(X, target=index).ledger for index in (best, second))
    assert ledger.score == pytest.approx(SCORES[best] - SCORES[second], rel=1e-4)
    for name in ("start", "pixels", "biases", "constants", "lost"):
        assert getattr(ledger, name) == pytest.approx(getattr(one, name) - getattr(other, name), abs=1e-6)
    assert abs(ledger.error) < 1e-5
    for row in ledger.layers:
        assert abs(row.error) < 1e-5
    assert ledger.layers[0].incoming == pytest.approx(ledger.start, abs=1e-5)


def test_layer_by_layer(explainer):
    best, second = ORDER[:2]
    found = explainer.explain(X, target=best, versus=second, layers=True)
    one, other = (explainer.explain(X, target=index, layers=True) for index in (best, second))
    for name, value in found.layers.items():
        np.testing.assert_allclose(value, one.layers[name] - other.layers[name], atol=1e-6)


def test_top_is_the_best_other_class(explainer):
    assert explainer.explain(X, versus="top").versus.index == ORDER[1]
    assert explainer.explain(X, target=ORDER[3], versus="top").versus.index == ORDER[0]
    found = explainer.explain_targets(X, targets=["top-2"], versus="top")
    assert [(entry.target, entry.versus.index) for entry in found] == [tuple(ORDER[:2]), (ORDER[1], ORDER[0])]


def test_a_rival_by_label(explainer):
    assert explainer.explain(X, versus="abcd"[ORDER[2]]).versus.index == ORDER[2]


def test_a_rival_without_evidence_is_said(explainer):
    worst = ORDER[-1]
    assert SCORES[worst] < 0 < SCORES[ORDER[0]]
    found = explainer.explain(X, versus=worst)
    assert "nothing speaks for the rival" in found.warnings[0]
    np.testing.assert_allclose(found.relevance, explainer.explain(X).relevance, rtol=1e-6)


@pytest.mark.parametrize("engine", ["numpy", "compiled"])
def test_both_engines(tmp_path, engine):
    explainer = heatcli.load(perceptrons.saved(tmp_path / "m.onnx", MATRICES), range=(-2, 3), engine=engine)
    expected = explainer.explain(X, target=1).relevance - explainer.explain(X, target=2).relevance
    np.testing.assert_allclose(explainer.explain(X, target=1, versus=2).relevance, expected, atol=1e-6)
    assert explainer.explain(X, versus="top").versus.index == ORDER[1]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"target": 1, "versus": 1}, "class 1 cannot be set against itself"),
        ({"versus": 9}, "there is no class 9"),
        ({"versus": "top-3"}, "--versus top-3: one class beside the explained one"),
        ({"versus": "zebra"}, "zebra"),
    ],
)
def test_what_is_no_rival_is_refused(explainer, settings, message):
    with pytest.raises(UsageError, match=message):
        explainer.explain(X, **settings)


def test_a_network_of_one_class_has_no_rival(tmp_path):
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["z"]),
        helper.make_node("Relu", ["z"], ["r"]),
        helper.make_node("ReduceSum", ["r"], ["y"], axes=[1], keepdims=1),
    ]
    values = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in (("x", [1, 12]), ("y", [1, 1]))
    )
    graph = helper.make_graph(
        nodes,
        "one",
        [next(values)],
        [next(values)],
        [numpy_helper.from_array(np.ones((12, 5), "float32"), "w")],
    )
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=8), tmp_path / "one.onnx"
    )
    explainer = heatcli.load(tmp_path / "one.onnx", range=(-2, 3))
    for versus in ("top", 0):
        with pytest.raises(UsageError, match="the network has one class only, and so no rival"):
            explainer.explain(X, versus=versus)
