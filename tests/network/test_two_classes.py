"""One logit f is two classes: class 0 is explained as the negated network explains its own class 1."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

import heatcli
from tests.whole import End, explained, f, node, plain, save, scores

BODY = [
    node("Conv", "x w b", "conv"),
    node("Relu", "conv", "relu"),
]
POOLED = [*BODY, node("GlobalAveragePool", "relu", "mean"), node("Flatten", "mean", "row")]
DENSE = {"w": f(6, 3, 3, 3), "b": f(6) * 0.1, "v": f(6, 1), "c": np.array([0.4], "float32")}
MAPS = {"w": f(6, 3, 3, 3), "b": f(6) * 0.1, "v": f(1, 6, 3, 3), "c": np.array([0.4], "float32")}

LOGITS = {
    "dense": ([*POOLED, node("Gemm", "row v c", "f")], DENSE),
    "dense turned": ([*POOLED, node("Gemm", "row v c", "f", transB=1, alpha=0.5)], {**DENSE, "v": f(1, 6)}),
    "product and sum": ([*POOLED, node("MatMul", "row v", "m"), node("Add", "m c", "f")], DENSE),
    "one number": ([*POOLED, node("Gemm", "row v c", "z"), node("Reshape", "z one", "f")], DENSE),
    "convolution": (
        [*BODY, node("GlobalAveragePool", "relu", "mean"), node("Conv", "mean v c", "f")],
        {**MAPS, "v": f(1, 6, 1, 1)},
    ),
    "averaged map": ([*BODY, node("Conv", "relu v c", "map"), node("GlobalAveragePool", "map", "f")], MAPS),
    "averaged row": (
        [
            *BODY,
            node("Conv", "relu v", "map"),
            node("Reshape", "map line", "line_"),
            node("ReduceMean", "line_", "z", axes=[2], keepdims=0),
            node("Mul", "z c", "scaled"),
            node("Add", "scaled c", "f"),
        ],
        MAPS,
    ),
}
ODD = {
    "tangent": [node("Gemm", "row v c", "z"), node("Tanh", "z", "f")],
    "clipped": [node("Gemm", "row v c", "z"), node("Clip", "z low high", "f")],
    "clipped map": [
        node("Conv", "relu u c", "z"),
        node("Clip", "z low high", "m"),
        node("GlobalAveragePool", "m", "f"),
    ],
}
LOGITS |= {name: ([*POOLED, *nodes], {**DENSE, "u": f(1, 6, 3, 3)}) for name, nodes in ODD.items()}
SHAPES = {"one": np.array([1]), "line": np.array([1, 1, -1])}


def written(path, name, *, sign=1.0, end="logits"):
    nodes, constants = LOGITS[name]
    negated = {key: sign * value if key in ("v", "c", "u") else value for key, value in constants.items()}
    negated |= {"low": np.float32(-1.5 if sign > 0 else -2.5), "high": np.float32(2.5 if sign > 0 else 1.5)}
    if name == "averaged row":  # its constant scales too
        negated["c"] = constants["c"]
        nodes = [node("Sub", "scaled c", "f") if n.op_type == "Add" and sign < 0 else n for n in nodes]
    last = [node("Sigmoid", "f", "y")] if end == "sigmoid" else [node("Identity", "f", "y")]
    return save(path, [*nodes, *last], [End("x", ["n", 3, 9, 9])], [End("y", None)], {**negated, **SHAPES})


@pytest.fixture
def pictures():
    return [np.random.default_rng(seed).uniform(size=(1, 3, 9, 9)).astype("float32") for seed in range(3)]


@pytest.mark.parametrize("method", ["deep-taylor", "lrp-epsilon", "lrp-alpha2-beta1", "gradient"])
@pytest.mark.parametrize("name", LOGITS)
def test_class_0_is_what_the_negated_network_says(tmp_path, pictures, name, method):
    explainer = heatcli.load(written(tmp_path / "m.onnx", name))
    negated = heatcli.load(written(tmp_path / "n.onnx", name, sign=-1.0))
    signs = set()
    for x in [*pictures, *(-8 * x for x in pictures)]:
        ours = explainer.explain_targets(x, targets=[0, 1], method=method)
        theirs = negated.explain_targets(x, targets=[1, 0], method=method)
        for one, other in zip(ours, theirs, strict=True):
            assert one.score == pytest.approx(other.score, rel=1e-5)
            assert one.probability == pytest.approx(other.probability, rel=1e-5)
            atol = 1e-5 * np.abs(other.relevance).max()
            np.testing.assert_allclose(one.relevance, other.relevance, rtol=1e-4, atol=atol)
            assert one.ledger.error is None or abs(one.ledger.error) < 1e-5
            signs.add(bool(one.relevance.any()) and one.score > 0 and one.target)
    assert {0, 1} <= signs or method != "deep-taylor", "the pictures leave one of the classes without evidence"


@pytest.mark.parametrize("end", ["logits", "sigmoid"])
@pytest.mark.parametrize("name", LOGITS)
def test_scores_and_probabilities(tmp_path, pictures, name, end):
    path = written(tmp_path / "m.onnx", name, end=end)
    bare = written(tmp_path / "bare.onnx", name)
    explainer = heatcli.load(path)
    for x in pictures:
        (number,) = plain(bare, x=x)["y"].reshape(-1)
        found, chances = scores(explainer, x)
        np.testing.assert_allclose(found, [-number, number], rtol=1e-5)
        np.testing.assert_allclose(chances, 1 / (1 + np.exp([number, -number])), rtol=1e-5, atol=1e-7)
        best = explained(explainer, x)
        assert best.target == int(number > 0)
        if end == "sigmoid":
            assert chances[1] == pytest.approx(float(plain(path, x=x)["y"].reshape(-1)[0]), rel=1e-6)
    assert explainer.network.output.declared == "y"
    assert any("y is one number f: class 1 is f, class 0 is −f" in note for note in explainer.notes)


def test_closed_form_of_class_0(tmp_path):
    """With x = (1, 2), W = (1, −3) and b = −1 f is −6: class 0 shares out 6, in proportion to 2·3 and a bias of 1."""
    constants = {"w": np.array([[1], [-3]], "float32"), "b": np.array([-1], "float32")}
    path = save(tmp_path / "m.onnx", [node("Gemm", "x w b", "y")], [End("x", [1, 2])], [End("y", [1, 1])], constants)
    found = heatcli.load(path).explain(np.array([[1, 2]], "float32"), target=0, rules=["*=z+"])
    assert found.score == 6
    np.testing.assert_allclose(found.relevance, [0, 6 * 6 / 7], rtol=1e-6)
    assert found.ledger.biases == pytest.approx(6 / 7)
    against = heatcli.load(path).explain(np.array([[1, 2]], "float32"), target=1, rules=["*=z+"])
    assert (against.score, against.relevance.any()) == (-6, False)
    assert any("no evidence" in warning for warning in against.warnings)


def test_both_engines_agree(tmp_path, pictures):
    path = written(tmp_path / "m.onnx", "dense")
    for x in (pictures[0], -8 * pictures[0]):
        pairs = [
            heatcli.load(path, engine=engine).explain_targets(x, targets=[0, 1]) for engine in ("numpy", "compiled")
        ]
        for one, other in zip(*pairs, strict=True):
            assert (one.score, one.probability) == pytest.approx((other.score, other.probability), rel=1e-5)
            np.testing.assert_allclose(one.relevance, other.relevance, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("evidence", ["one", "probability"])
def test_evidence_of_class_0(tmp_path, pictures, evidence):
    explanation = explained(heatcli.load(written(tmp_path / "m.onnx", "dense")), pictures[0], 0, evidence=evidence)
    assert explanation.ledger.start == pytest.approx(1.0 if evidence == "one" else explanation.probability)


def test_complement_beside_its_probability(tmp_path, pictures):
    """[1 − p, p] of one sigmoid, as scikit-learn's networks of two classes end."""
    nodes, constants = LOGITS["dense"]
    nodes = [*nodes, node("Sigmoid", "f", "p"), node("Sub", "whole p", "q"), node("Concat", "q p", "y", axis=1)]
    ends = [End("x", ["n", 3, 9, 9])], [End("y", ["n", 2])]
    path = save(tmp_path / "m.onnx", nodes, *ends, {**constants, "whole": np.array([1], "float32")})
    explainer, alone = heatcli.load(path), heatcli.load(written(tmp_path / "alone.onnx", "dense"))
    for x in pictures:
        np.testing.assert_allclose(scores(explainer, x)[1], plain(path, x=x)["y"][0], rtol=1e-5, atol=1e-7)
        for target in (0, 1):
            one, other = (explained(each, x, target) for each in (explainer, alone))
            assert one.score == other.score
            np.testing.assert_array_equal(one.relevance, other.relevance)


def test_what_comes_from_no_linear_layer_stays_one_class(tmp_path, pictures):
    nodes, constants = LOGITS["dense"]
    path = save(
        tmp_path / "m.onnx",
        [*nodes, node("Relu", "f", "y")],
        [End("x", ["n", 3, 9, 9])],
        [End("y", ["n", 1])],
        constants,
    )
    explainer = heatcli.load(path)
    assert explainer.network.output.classes == 1
    assert any("comes from Relu and not from a linear layer" in note for note in explainer.notes)
    assert explained(explainer, pictures[0]).score == pytest.approx(float(plain(path, x=pictures[0])["y"].item()))
    with pytest.raises(heatcli.errors.UsageError, match="there is no class 1"):
        explainer.explain(pictures[0], target=1)


def test_what_cannot_be_decomposed_has_two_classes_too(tmp_path, pictures):
    """Occlusion needs no layers: what hiding a window takes from f it gives to −f."""
    nodes, constants = LOGITS["dense"]
    nodes = [*nodes[:1], node("CumSum", "conv last", "sums"), node("Relu", "sums", "relu"), *nodes[2:]]
    ends = [End("x", ["n", 3, 9, 9])], [End("f", ["n", 1])]
    path = save(tmp_path / "m.onnx", nodes, *ends, {**constants, "last": np.array(3)})
    explainer = heatcli.load(path)
    number = float(plain(path, x=pictures[0])["f"].item())
    against, speaks = explainer.explain_targets(pictures[0], targets=[0, 1], method="occlusion", window=4)
    assert (against.score, speaks.score) == pytest.approx((-number, number), rel=1e-5)
    np.testing.assert_array_equal(against.relevance, -speaks.relevance)
    assert speaks.relevance.any()
    with pytest.raises(heatcli.errors.UnsupportedModel, match="CumSum"):
        explainer.explain(pictures[0])


def test_one_label_names_both_classes(tmp_path, pictures):
    path = written(tmp_path / "m.onnx", "dense")
    (tmp_path / "labels.txt").write_text("cat\n", encoding="utf-8")
    for labels in (["cat"], tmp_path / "labels.txt"):
        explainer = heatcli.load(path, labels=labels)
        assert explainer.labels == ("not cat", "cat")
        assert explained(explainer, pictures[0], "not cat").target == 0
    assert heatcli.load(path, labels=["dog", "cat"]).labels == ("dog", "cat")
    with pytest.raises(heatcli.errors.UsageError, match="3 labels"):
        heatcli.load(path, labels=["a", "b", "c"])


def test_half_precision(tmp_path, pictures):
    proto = onnx.load(written(tmp_path / "m.onnx", "dense", end="sigmoid"))
    for entry in proto.graph.initializer:
        value = numpy_helper.to_array(entry)
        if value.dtype == np.float32:
            entry.CopyFrom(numpy_helper.from_array(value.astype("float16"), entry.name))
    for entry in (*proto.graph.input, *proto.graph.output):
        entry.type.tensor_type.elem_type = onnx.TensorProto.FLOAT16
    onnx.save(proto, tmp_path / "half.onnx")
    half, whole = (heatcli.load(tmp_path / name) for name in ("half.onnx", "m.onnx"))
    np.testing.assert_allclose(scores(half, pictures[0])[0], scores(whole, pictures[0])[0], rtol=0.01)
