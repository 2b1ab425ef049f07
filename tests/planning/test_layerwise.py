"""What a plan promises follows the rules that really stand, and what is wrong with an account is said."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import heatcli
from heatcli.errors import HeatcliError, UsageError
from heatcli.planning.layerwise import doubts
from heatcli.relevance.ledger import Ledger
from tests.planning import perceptrons


@pytest.fixture
def explainer(tmp_path):
    """Convolution, square root of the rectified output, gate by a sigmoid, average, dense."""
    random = np.random.default_rng(0)
    nodes = [
        helper.make_node("Conv", ["x", "w", "b"], ["conv"]),
        helper.make_node("Relu", ["conv"], ["relu"]),
        helper.make_node("Sqrt", ["relu"], ["root"]),
        helper.make_node("GlobalAveragePool", ["root"], ["squeeze"]),
        helper.make_node("Conv", ["squeeze", "e"], ["excited"]),
        helper.make_node("Sigmoid", ["excited"], ["excite"]),
        helper.make_node("Mul", ["root", "excite"], ["gated"]),
        helper.make_node("MaxPool", ["gated"], ["pool"], kernel_shape=[2, 2]),
        helper.make_node("GlobalAveragePool", ["pool"], ["mean"]),
        helper.make_node("Flatten", ["mean"], ["row"]),
        helper.make_node("Gemm", ["row", "v"], ["scores"]),
    ]
    constants = {
        "w": random.normal(size=(4, 3, 3, 3)).astype("float32"),
        "e": random.normal(size=(4, 4, 1, 1)).astype("float32"),
        "b": random.normal(size=4).astype("float32"),
        "v": np.abs(random.normal(size=(4, 5))).astype("float32"),
    }
    graph = helper.make_graph(
        nodes,
        "gated",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 10, 10])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, 5])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    path = tmp_path / "gated.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return heatcli.load(path, range=(-1, 1))


@pytest.fixture
def x():
    return np.random.default_rng(1).uniform(-1, 1, (3, 10, 10)).astype("float32")


def test_signed_follows_the_rules_that_stand(explainer, x):
    assert not explainer.explain(x).signed
    assert explainer.explain(x, rules=["conv=epsilon:0.1"]).signed
    assert explainer.explain(x, rules=["conv=alpha-beta:2,1"]).signed
    assert not explainer.explain(x, rules=["conv=alpha-beta:1,0"]).signed
    assert not explainer.explain(x, method="lrp-epsilon", rules=["*=z+"]).signed
    assert explainer.explain(x, method="gradient").signed
    assert not explainer.explain(x, method="sensitivity").signed


def test_an_account_is_kept_only_where_everything_conserves(explainer, x):
    ledger = explainer.explain(x, rules=["conv=gradient"]).ledger
    assert ledger.biases is ledger.constants is ledger.lost is ledger.error is None
    assert ledger.start == ledger.score
    assert explainer.explain(x).ledger.error is not None


@pytest.mark.parametrize("method", ["deconvnet", "guided-backprop"])
def test_where_nothing_rectifies_it_is_said_that_the_map_is_the_gradient(tmp_path, method):
    row = np.linspace(-1, 1, 12, dtype="float32")
    path = perceptrons.saved(tmp_path / "m.onnx", perceptrons.drawn(0, 12, 9, 4))
    assert not heatcli.load(path).explain(row, method=method).warnings
    model = onnx.load(path)
    (rectifier,) = (node for node in model.graph.node if node.op_type == "Relu")
    rectifier.op_type = "Tanh"
    onnx.save(model, tmp_path / "tanh.onnx")
    smooth = heatcli.load(tmp_path / "tanh.onnx")
    found = smooth.explain(row, method=method)
    assert found.warnings == (f"nothing in this network rectifies: here {method} is the plain gradient",)
    np.testing.assert_array_equal(found.relevance, smooth.explain(row, method="gradient").relevance)


def test_a_slope_that_nothing_stops_is_an_error_and_no_warning_of_numpy(explainer, x):
    """A square root is infinitely steep at zero; deconvnet sends that on where a rectifier's slope would stop it."""
    with pytest.raises(HeatcliError, match="the relevance is not finite; try another method"):
        explainer.explain(x, method="deconvnet")


def test_start_of_gradient_methods_is_the_score(explainer, x):
    explanation = explainer.explain(x, method="gradient-x-input")
    assert explanation.ledger.start == pytest.approx(max(0, explanation.score))


@pytest.mark.parametrize(
    "settings",
    [
        {"biases": "ignore"},
        {"evidence": "one"},
        {"evidence": "probability"},
        {"pool": "proportional"},
        {"input_rule": "w2"},
        {"rules": ["conv=z+"]},
    ],
)
def test_settings_that_mean_nothing_to_a_gradient_are_refused(explainer, x, settings):
    with pytest.raises(UsageError, match="not go with"):
        explainer.explain(x, method="gradient", **settings)


@pytest.mark.parametrize(
    "rule", ["epsilon:-1", "epsilon:nan", "epsilon:inf", "gamma:-1", "gamma:nan", "alpha-beta:0,-1", "alpha-beta:nan,1"]
)
def test_rules_with_senseless_numbers_are_refused(explainer, x, rule):
    with pytest.raises(UsageError, match="must be"):
        explainer.explain(x, rules=[f"conv={rule}"])


def test_rules_that_inspect_shows(explainer):
    rules = explainer.assigned_rules()
    assert (rules["conv"], rules["gated"], rules["pool"], rules["mean"]) == (
        "zB",
        "gate",
        "proportional",
        "proportional",
    )
    assert set(explainer.assigned_rules(method="gradient").values()) == {"gradient", "winner"}


def test_gradient_passes_the_kink_of_a_root(explainer, x):
    """√ has no finite slope at 0, where a ReLU before it lets nothing through: 0 · ∞ must not become NaN."""
    relevance = explainer.explain(x, method="gradient").relevance
    assert np.isfinite(relevance).all()
    assert relevance.any()


def test_scores_that_are_not_finite_are_reported(tmp_path, explainer):
    proto = onnx.load(explainer.model.path)
    proto.graph.node[2].op_type = "Log"
    onnx.save(proto, tmp_path / "log.onnx")
    with pytest.raises(HeatcliError, match="not finite for this input"):
        heatcli.load(tmp_path / "log.onnx", range=(-1, 1)).explain(np.full((3, 10, 10), -1.0, "float32"))


@pytest.mark.parametrize(
    ("ledger", "words"),
    [
        (Ledger(-1.0, 0.0, 0.0, 0.0, 0.0, 0.0), "no evidence"),
        (Ledger(2.0, 2.0, 1.0, 0.8, 0.0, 0.2), "lost"),
        (Ledger(2.0, 2.0, 0.5, 1.5, 0.0, 0.0), "biases drew 75%"),
        (Ledger(2.0, 2.0, 1.0, 0.5, 0.0, 0.0), "does not close"),
        (Ledger(2.0, 2.0, float("nan"), 0.0, 0.0, 0.0), "does not close"),
    ],
)
def test_doubts(ledger, words):
    assert any(words in doubt for doubt in doubts(ledger))


def test_doubts_about_relevance_models():
    """Fitting errors of a tenth are usual; where a quarter is missed it is said, and in which direction."""
    for lost, words in ((0.2, []), (0.5, ["lose 50%"]), (-0.4, ["add 40%"])):
        found = doubts(Ledger(1.0, 1.0, 1.0 - lost, 0.0, 0.0, lost), fitted=True)
        assert len(found) == len(words)
        assert all(word in doubt for word, doubt in zip(words, found, strict=True))


def test_no_doubts_about_a_good_account():
    assert doubts(Ledger(2.0, 2.0, 1.7, 0.3, 0.0, 0.0)) == []
