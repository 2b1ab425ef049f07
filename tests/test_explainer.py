"""The Python API: what goes in, what comes out, and what is refused."""

from __future__ import annotations

import io

import numpy as np
import onnx
import PIL.Image
import pytest
from onnx import TensorProto, helper, numpy_helper

import heatcli
from heatcli.errors import PictureError, UsageError

LABELS = ["red", "green", "blue"]


@pytest.fixture
def model(tmp_path):
    """A classifier of the picture's mean colour: 3x3 convolution that tells channels apart, ReLU, average, dense."""
    random = np.random.default_rng(3)
    kernel = np.abs(random.normal(size=(3, 3, 3, 3))).astype("float32") * 0.02
    kernel[range(3), range(3)] += 0.2
    constants = {
        "w": kernel,
        "b": np.array([0.0, -0.1, 0.1], "float32"),
        "v": (np.eye(3) * 2 - 0.5).astype("float32"),
    }
    nodes = [
        helper.make_node("Conv", ["picture", "w", "b"], ["conv"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["conv"], ["relu"]),
        helper.make_node("GlobalAveragePool", ["relu"], ["mean"]),
        helper.make_node("Flatten", ["mean"], ["row"]),
        helper.make_node("Gemm", ["row", "v"], ["scores"]),
    ]
    graph = helper.make_graph(
        nodes,
        "colours",
        [helper.make_tensor_value_info("picture", TensorProto.FLOAT, ["n", 3, 16, 16])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n", 3])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    path = tmp_path / "colours.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


@pytest.fixture
def explainer(model):
    return heatcli.load(model, preprocess="unit", labels=LABELS)


@pytest.fixture
def green():
    """A grey picture, wider than high, with a green square left of its middle."""
    pixels = np.full((32, 64, 3), 20, "uint8")
    pixels[8:24, 20:32] = (10, 240, 10)
    return PIL.Image.fromarray(pixels)


def test_explanation_of_a_picture(explainer, green):
    explanation = explainer.explain(green)
    assert (explanation.target, explanation.label) == (1, "green")
    assert explanation.relevance.shape == (3, 16, 16)
    assert explanation.relevance.dtype == np.float32
    assert explanation.heatmap.shape == (16, 16)
    np.testing.assert_allclose(explanation.heatmap, explanation.relevance.sum(axis=0), rtol=1e-5)
    scores = [entry.score for entry in explanation.top]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] == explanation.score
    assert sum(entry.probability for entry in explanation.top) == pytest.approx(1)
    assert explanation.ledger.score == explanation.score
    assert abs(explanation.ledger.error) < 1e-5
    heat = explanation.heatmap
    assert heat[4:12, 2:8].sum() > 0.6 * heat.sum()  # the crop shows columns 16 to 48 of the picture


@pytest.mark.parametrize("form", ["path", "bytes", "stream", "image"])
def test_every_form_of_a_picture_gives_the_same(explainer, green, tmp_path, form):
    path = tmp_path / "green.png"
    green.save(path)
    given = {"path": path, "bytes": path.read_bytes(), "stream": io.BytesIO(path.read_bytes()), "image": green}[form]
    np.testing.assert_array_equal(explainer.explain(given).relevance, explainer.explain(str(path)).relevance)


def test_array_with_and_without_batch_axis_and_from_file(explainer, tmp_path):
    x = np.random.default_rng(0).uniform(size=(1, 3, 16, 16))
    np.save(tmp_path / "x.npy", x)
    whole = explainer.explain(x, range=(0, 1)).relevance
    np.testing.assert_array_equal(explainer.explain(x[0], range=(0, 1)).relevance, whole)
    np.testing.assert_array_equal(explainer.explain(tmp_path / "x.npy", range=(0, 1)).relevance, whole)


def test_array_without_range_gets_w2_and_says_so(explainer):
    x = np.random.default_rng(0).uniform(size=(3, 16, 16)).astype("float32")
    explanation = explainer.explain(x)
    assert explanation.settings["input_rule"] == "w2"
    assert any("--range" in warning for warning in explanation.warnings)
    assert explainer.explain(x, range=(0, 1)).settings["input_rule"] == "zB"


def test_range_per_channel(explainer):
    x = np.random.default_rng(0).uniform(size=(3, 16, 16)).astype("float32")
    whole = explainer.explain(x, range=(0.0, 1.0)).relevance
    same = explainer.explain(x, range=([0, 0, 0], [1, 1, 1])).relevance
    other = explainer.explain(x, range=([0, 0, -1], [1, 1, 1])).relevance
    np.testing.assert_array_equal(whole, same)
    assert not np.allclose(whole, other)


def test_range_is_pushed_through_normalisation_inside_the_graph(model, tmp_path):
    """The same network with x·2−1 in front of it, given the range [0, 1], equals the bare one on 2x−1 and [−1, 1]."""
    proto = onnx.load(model)
    proto.graph.node[0].input[0] = "normalised"
    front = [helper.make_node("Mul", ["picture", "two"], ["m"]), helper.make_node("Sub", ["m", "one"], ["normalised"])]
    for place, node in enumerate(front):
        proto.graph.node.insert(place, node)
    proto.graph.initializer.extend(
        [numpy_helper.from_array(np.array(2, "float32"), "two"), numpy_helper.from_array(np.array(1, "float32"), "one")]
    )
    onnx.save(proto, tmp_path / "front.onnx")
    x = np.random.default_rng(0).uniform(size=(3, 16, 16)).astype("float32")
    inside = heatcli.load(tmp_path / "front.onnx").explain(x, target=0, range=(0, 1))
    outside = heatcli.load(model).explain(2 * x - 1, target=0, range=(-1, 1))
    assert inside.settings["input_rule"] == "zB"
    np.testing.assert_allclose(inside.relevance, outside.relevance, atol=1e-5 * np.abs(outside.relevance).max())


def test_several_targets_share_a_picture(explainer, green):
    found = explainer.explain_targets(green, targets=["top-2", "blue"])
    assert len(found) == len({explanation.target for explanation in found}) in (2, 3)
    for explanation in found:
        alone = explainer.explain(green, target=explanation.target)
        np.testing.assert_array_equal(alone.relevance, explanation.relevance)


def test_many_pictures_in_order(explainer, green):
    flipped = green.transpose(PIL.Image.Transpose.FLIP_LEFT_RIGHT)
    first, second = explainer.explain_many(iter([green, flipped]))
    assert first.heatmap[:, :8].sum() > first.heatmap[:, 8:].sum()
    assert second.heatmap[:, :8].sum() < second.heatmap[:, 8:].sum()


def test_methods_relate_as_they_should(explainer, green):
    gradient = explainer.explain(green, method="gradient").relevance
    np.testing.assert_allclose(explainer.explain(green, method="sensitivity").relevance, gradient**2, rtol=1e-6)
    times = explainer.explain(green, method="gradient-x-input")
    x, _ = explainer.preprocessing.tensor(green)
    np.testing.assert_allclose(times.relevance, gradient * x[0], rtol=1e-5, atol=1e-7)
    assert times.ledger.pixels == pytest.approx(times.relevance.sum(), rel=1e-4)
    assert times.ledger.biases is times.ledger.error is None


def test_saved_heatmap_lies_on_the_original(explainer, green, tmp_path):
    path = explainer.explain(green).save(tmp_path / "green.heatmap.png", style="heatmap")
    with PIL.Image.open(path) as image:
        assert image.size == green.size
    assert [entry.name for entry in tmp_path.iterdir() if "heatmap" in entry.name] == ["green.heatmap.png"]


def test_a_heatmap_with_a_colour_bar_is_the_same_with_a_strip_below(explainer, green):
    explanation = explainer.explain(green.resize((300, 200)))
    plain, barred = explanation.render(), explanation.render(colorbar=True)
    assert barred.width == 300
    assert barred.height > 200
    assert barred.crop((0, 0, 300, 200)).tobytes() == plain.tobytes()


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"method": "magic"}, "deep-taylor"),
        ({"rules": ["nowhere*=z+"]}, "no layer's name fits"),
        ({"rules": ["conv"]}, "PATTERN=RULE"),
        ({"rules": ["conv=zz"]}, "unknown rule"),
        ({"rules": ["scores=zB"]}, "range"),
        ({"rules": ["relu=z"]}, "unknown rule"),
        ({"rules": ["relu=z+"]}, "fits none"),
        ({"rules": ["conv=alpha-beta:2,2"]}, "must be 1"),
        ({"pool": "median"}, "proportional, winner"),
        ({"biases": "maybe"}, "neurons, ignore"),
        ({"evidence": "two"}, "logit, one, probability"),
        ({"input_rule": "epsilon"}, "zB, w2"),
        ({"target": "purple"}, "purple"),
        ({"range": (1, 0)}, "lower bound first"),
        ({"range": (0.4, 0.6)}, "outside its range"),
        ({"range": ([0, 0], [1, 1])}, "channels"),
    ],
)
def test_settings_that_do_not_fit(explainer, green, settings, reason):
    with pytest.raises(UsageError, match=reason):
        explainer.explain(green, **settings)


def test_rule_overrides_change_their_layer_only(explainer, green):
    rules = explainer.assigned_rules(rules=["conv=w2"])
    assert rules["conv"] == "w2"
    assert rules["scores"] == explainer.assigned_rules()["scores"] == "z+"
    by_rule = explainer.explain(green, rules=["conv=w2"]).relevance
    by_input_rule = explainer.explain(green, input_rule="w2").relevance
    np.testing.assert_array_equal(by_rule, by_input_rule)


@pytest.mark.parametrize(
    ("tensor", "reason"),
    [
        (np.zeros((3, 8, 8)), "shape"),
        (np.full((3, 16, 16), np.nan), "not finite"),
        (np.array([["a"]]), "not numbers"),
    ],
)
def test_tensors_that_do_not_fit(explainer, tensor, reason):
    with pytest.raises(PictureError, match=reason):
        explainer.explain(tensor)


def test_pickled_arrays_are_not_opened(explainer, tmp_path):
    np.save(tmp_path / "x.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(PictureError, match="Python objects"):
        explainer.explain(tmp_path / "x.npy")


def test_wrong_number_of_labels(model):
    with pytest.raises(UsageError, match=r"2 labels .* 3 classes"):
        heatcli.load(model, labels=["a", "b"])


def test_biases_that_draw_most_are_reported(explainer):
    dark = PIL.Image.new("RGB", (16, 16), (1, 1, 1))
    explanation = explainer.explain(dark, target="blue")
    share = explanation.ledger.biases / explanation.ledger.start
    assert (share > 0.5) == any("biases drew" in warning for warning in explanation.warnings)
    assert share > 0.5
