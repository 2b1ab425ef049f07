"""Networks of scikit-learn: operations of ai.onnx.ml, labels and maps, against onnxruntime on the untouched file."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto

import heatcli
from heatcli.errors import NotAClassifier, UnsupportedModel
from tests.whole import FLOAT, ML, End, explained, f, node, plain, save, scores

INT, STRING = TensorProto.INT64, TensorProto.STRING
FEATURES, CLASSES = 6, 3
X = f(1, FEATURES, seed=5)
OVER_SUM = node("Normalizer", "scores", "probabilities", ML, norm="L1")


def classifier(rows, transform, labels=(0, 1, 2), **given):
    strings = isinstance(labels[0], str)
    names = {"classlabels_strings" if strings else "classlabels_ints": list(labels)}
    weights = f(rows, FEATURES, seed=rows)
    return node(
        "LinearClassifier",
        "x",
        "label scores",
        ML,
        coefficients=weights.reshape(-1).tolist(),
        intercepts=f(rows, seed=9).tolist(),
        post_transform=transform,
        **names,
        **given,
    )


def written(path, nodes, ends, constants=(), *, kind=FLOAT, opset=17):
    return save(path, nodes, [End("x", ["n", FEATURES], kind)], ends, dict(constants), opset=opset)


def line(rows, x=X):
    """Return x Wᵀ + b by hand."""
    return (x.astype("float64") @ f(rows, FEATURES, seed=rows).T.astype("float64") + f(rows, seed=9))[0]


@pytest.mark.parametrize(
    ("transform", "behind"),
    [
        ("NONE", "nothing"),
        ("LOGISTIC", "nothing"),
        ("SOFTMAX", "nothing"),
        ("LOGISTIC", "its sum"),
        ("SOFTMAX", "its sum"),
    ],
)
@pytest.mark.parametrize("rows", [2, 3])
def test_linear_classifiers(tmp_path, transform, rows, behind):
    last = "probabilities" if behind == "its sum" else "scores"
    nodes = [classifier(rows, transform, range(rows)), *([OVER_SUM] if behind == "its sum" else [])]
    path = written(tmp_path / "m.onnx", nodes, [End("label", ["n"], INT), End(last, ["n", rows])])
    explainer = heatcli.load(path)
    kind = {"NONE": "logits", "LOGISTIC": "sigmoid", "SOFTMAX": "softmax"}[transform]
    assert (explainer.network.output.kind, explainer.network.output.declared) == (kind, last)
    for x in (X, -X, 3 * X):
        expected = plain(path, x=x)
        found, chances = scores(explainer, x)
        np.testing.assert_allclose(found, line(rows, x), rtol=1e-4, atol=1e-5)
        if kind != "logits":
            np.testing.assert_allclose(chances, expected[last][0], rtol=1e-4, atol=1e-6)
        assert explained(explainer, x, range=(-9, 9)).target == expected["label"][0]


@pytest.mark.parametrize("transform", ["NONE", "LOGISTIC", "SOFTMAX", "SOFTMAX_ZERO"])
@pytest.mark.parametrize("labels", [(0, 1), ("cat", "dog")])
def test_one_row_for_two_classes(tmp_path, transform, labels):
    kind = STRING if isinstance(labels[0], str) else INT
    path = written(
        tmp_path / "m.onnx", [classifier(1, transform, labels)], [End("label", ["n"], kind), End("scores", ["n", 2])]
    )
    explainer = heatcli.load(path)
    assert explainer.labels == (labels if kind == STRING else None)
    for x in (X, -X, 0.1 * X):
        (s,), expected = line(1, x), plain(path, x=x)["scores"][0]
        found, chances = scores(explainer, x)
        if transform == "LOGISTIC":
            np.testing.assert_allclose(found, [-s, s], rtol=1e-4)
            # onnxruntime before 1.27 puts out 1−s and s here, which are no chances
            np.testing.assert_allclose(chances, 1 / (1 + np.exp([s, -s])), rtol=1e-4, atol=1e-6)
        else:
            np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_labels_of_one_row_stay_what_they_were(tmp_path):
    """The label is that of s > 0, which the scores [1 − s, s] do not tell; the written graph keeps it."""
    outputs = [End("label", ["n"], INT), End("scores", ["n", 2])]
    path = written(tmp_path / "m.onnx", [classifier(1, "NONE", (4, 7))], outputs)
    explainer = heatcli.load(path)
    explainer.compile(tmp_path / "e.onnx", range=(-9, 9))
    for factor in (1, -1, 0.1, -0.1, 0.02):
        x = (factor * X).astype("float32")
        found = plain(tmp_path / "e.onnx", x=x, target=np.array([-1]))
        assert found["label"].tolist() == plain(path, x=x)["label"].tolist()


@pytest.mark.parametrize("opset", [9, 12, 17])
@pytest.mark.parametrize("norm", ["L1", "L2", "MAX"])
@pytest.mark.parametrize("place", ["before", "behind"])
def test_normalizer(tmp_path, norm, place, opset):
    if place == "before":
        nodes = [node("Normalizer", "x", "even", ML, norm=norm), node("Gemm", "even w b", "y")]
    else:
        nodes = [node("Gemm", "x w b", "z"), node("Normalizer", "z", "y", ML, norm=norm)]
    constants = {"w": f(FEATURES, CLASSES), "b": f(CLASSES)}
    path = written(tmp_path / "m.onnx", nodes, [End("y", ["n", CLASSES])], constants, opset=opset)
    if norm == "MAX" and opset < 11:
        with pytest.raises(UnsupportedModel, match="norm MAX with the operator set 9"):
            heatcli.load(path).explain(X)
        return
    explainer = heatcli.load(path)
    for x in (X, -X, 0 * X):
        np.testing.assert_allclose(scores(explainer, x)[0], plain(path, x=x)["y"][0], rtol=1e-4, atol=1e-6)
    explained(explainer, X)


@pytest.mark.parametrize("kind", ["float32", "float64"])
def test_scaler_of_either_precision(tmp_path, kind):
    scaler = node("Scaler", "x", "even", ML, offset=f(FEATURES).tolist(), scale=f(FEATURES, seed=1).tolist())
    path = written(
        tmp_path / "m.onnx",
        [scaler, node("Gemm", "even w b", "y")],
        [End("y", ["n", CLASSES])],
        {"w": f(FEATURES, CLASSES), "b": f(CLASSES)},
        kind=onnx.helper.np_dtype_to_tensor_dtype(np.dtype(kind)),
    )
    x = (np.abs(20 * X)).astype(kind)
    explainer = heatcli.load(path)
    np.testing.assert_allclose(scores(explainer, x)[0], plain(path, x=x)["y"][0], rtol=1e-4, atol=1e-5)


def test_gradient_goes_through_scaler_and_norm(tmp_path):
    nodes = [
        node("Scaler", "x", "even", ML, offset=f(FEATURES).tolist(), scale=f(FEATURES, seed=1).tolist()),
        node("Normalizer", "even", "row", ML, norm="L2"),
        node("Gemm", "row w b", "y"),
    ]
    constants = {"w": f(FEATURES, CLASSES), "b": f(CLASSES)}
    path = written(tmp_path / "m.onnx", nodes, [End("y", ["n", CLASSES])], constants)
    gradient = heatcli.load(path, precision="float64").explain(X, target=1, method="gradient").relevance
    for place in range(FEATURES):
        step = np.zeros_like(X)
        step[0, place] = 1e-2
        slope = (plain(path, x=X + step)["y"][0, 1] - plain(path, x=X - step)["y"][0, 1]) / 2e-2
        assert gradient[place] == pytest.approx(slope, abs=2e-3)


MAPPED = [
    node("Gemm", "x w b", "z"),
    node("Softmax", "z", "p", axis=1),
    node("ArgMax", "p", "best", axis=1),
    node("ArrayFeatureExtractor", "classes best", "picked", ML),
    node("Reshape", "picked line", "label"),
]


@pytest.mark.parametrize("names", ["int64s", "strings"])
@pytest.mark.parametrize("order", ["label first", "map first", "map alone"])
def test_map_from_labels_to_probabilities(tmp_path, names, order):
    labels = [3, 7, 9] if names == "int64s" else ["ant", "bee", "cat"]
    classes = np.array(labels) if names == "int64s" else np.array(labels, object)
    nodes = [*MAPPED, node("ZipMap", "p", "chances", ML, **{f"classlabels_{names}": labels})]
    constants = {"w": f(FEATURES, CLASSES), "b": f(CLASSES), "line": np.array([-1]), "classes": classes}
    label = End("label", ["n"], INT if names == "int64s" else STRING)
    path = written(tmp_path / "m.onnx", nodes, [label], constants)
    proto = onnx.load(path)
    key = onnx.helper.make_tensor_type_proto(FLOAT, [])
    kind = onnx.helper.make_map_type_proto(label.kind, key)
    entry = onnx.helper.make_value_info("chances", onnx.helper.make_sequence_type_proto(kind))
    proto.graph.output.insert(1 if order == "label first" else 0, entry)
    if order == "map alone":
        del proto.graph.output[1]
    onnx.save(proto, path)

    explainer = heatcli.load(path)
    assert (explainer.network.output.declared, explainer.network.output.kind) == ("chances", "softmax")
    assert explainer.labels == tuple(map(str, labels))
    assert any("labels are the model's own, from its graph; change with --labels" in note for note in explainer.notes)
    for x in (X, -X):
        expected = plain(path, x=x)
        (chances,) = expected["chances"]
        np.testing.assert_allclose(scores(explainer, x)[1], [chances[name] for name in labels], rtol=1e-5)
        best = explained(explainer, x)
        assert order == "map alone" or best.label == str(expected["label"][0])
    given = heatcli.load(path, labels=["a", "b", "c"])
    assert given.labels == ("a", "b", "c")


def test_labels_that_need_other_operations_are_left_out(tmp_path):
    """A label behind a LabelEncoder goes, and with it what no runtime but onnxruntime has to know."""
    encoder = node("LabelEncoder", "best", "label", ML, keys_int64s=[0, 1, 2], values_strings=["a", "b", "c"])
    nodes = [*MAPPED[:3], encoder]
    constants = {"w": f(FEATURES, CLASSES), "b": f(CLASSES)}
    path = written(tmp_path / "m.onnx", nodes, [End("label", None, STRING), End("p", ["n", CLASSES])], constants)
    explainer = heatcli.load(path)
    assert explainer.network.output.declared == "p"
    explainer.compile(tmp_path / "e.onnx", range=(-9, 9))
    found = plain(tmp_path / "e.onnx", x=X, target=np.array([-1]))
    assert set(found) == {"p", "relevance", "ledger"}
    np.testing.assert_allclose(found["relevance"][0], explained(explainer, X, range=(-9, 9)).relevance, atol=1e-5)


def test_columns_picked_by_a_feature_extractor(tmp_path):
    nodes = [node("ArrayFeatureExtractor", "x columns", "some", ML), node("Gemm", "some w b", "y")]
    constants = {"w": f(3, CLASSES), "b": f(CLASSES), "columns": np.array([4, 0, 1])}
    path = written(tmp_path / "m.onnx", nodes, [End("y", ["n", CLASSES])], constants)
    explainer = heatcli.load(path)
    np.testing.assert_allclose(scores(explainer, X)[0], plain(path, x=X)["y"][0], rtol=1e-5)
    assert not explained(explainer, X).relevance[[2, 3, 5]].any()


def test_what_is_no_classifier_or_not_known_is_named(tmp_path):
    regressor = node("LinearRegressor", "x", "y", ML, coefficients=f(FEATURES).tolist(), intercepts=[0.5], targets=1)
    with pytest.raises(NotAClassifier, match=r"LinearRegressor \(y\) predicts numbers"):
        heatcli.load(written(tmp_path / "r.onnx", [regressor], [End("y", ["n", 1])]))
    path = written(
        tmp_path / "m.onnx", [classifier(3, "PROBIT")], [End("label", ["n"], INT), End("scores", ["n", CLASSES])]
    )
    with pytest.raises(UnsupportedModel, match="its post_transform PROBIT is not supported"):
        heatcli.load(path).explain(X)
    svm = node(
        "SVMClassifier",
        "x",
        "label scores",
        ML,
        classlabels_ints=[0, 1],
        coefficients=f(2).tolist(),
        kernel_params=[0.0, 0.0, 0.0],
        kernel_type="LINEAR",
        post_transform="NONE",
        rho=[0.1],
        support_vectors=f(2, FEATURES).reshape(-1).tolist(),
        vectors_per_class=[1, 1],
    )
    path = written(tmp_path / "s.onnx", [svm], [End("label", ["n"], INT), End("scores", ["n", 2])])
    with pytest.raises(UnsupportedModel, match="SVMClassifier"):
        heatcli.load(path).explain(X)
    fall = heatcli.load(path).explain(X, target=1, method="occlusion").relevance
    hidden = [np.where(np.arange(FEATURES) == place, 0, X).astype("float32") for place in range(FEATURES)]
    expected = [plain(path, x=X)["scores"][0, 1] - plain(path, x=x)["scores"][0, 1] for x in hidden]
    np.testing.assert_allclose(fall, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", ["skl_mlp", "skl_logreg"])
def test_exported_by_skl2onnx(data, name):
    path = data / "graphs" / f"{name}.onnx"
    explainer = heatcli.load(path)
    random = np.random.default_rng(0)
    for _ in range(5):
        x = random.integers(0, 17, (1, 64)).astype("float32")
        label, chances = plain(path, X=x).values()
        expected = [chances[0][index] for index in range(10)] if isinstance(chances, list) else chances[0]
        found = explained(explainer, x, range=(0, 16))
        assert found.target == label[0]
        np.testing.assert_allclose(scores(explainer, x)[1], expected, rtol=1e-4, atol=1e-6)
        assert found.ledger.pixels == pytest.approx(found.relevance.sum(), rel=1e-5)
