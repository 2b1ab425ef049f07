"""Describing a model: what is tried on a picture of known class, what is written, and that it is read back the same."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import PIL.Image
import pytest
from onnx import TensorProto, helper

import heatcli
from heatcli.describing import chosen, sidecar, trials
from heatcli.errors import UsageError
from heatcli.pictures.facts import KEYS, OTHER_KEYS, sidecar_path
from heatcli.pictures.preprocessing import PRESETS, read_sidecar
from tests import single

ROOT = Path(__file__).resolve().parent.parent
SAMPLES = ROOT / "sample_images"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """The shipped network without the file that describes it, beside its labels in a text file."""
    shipped = ROOT / "models" / "emoji_scenes" / "emoji_scenes.onnx"
    shutil.copy(shipped, tmp_path / "net.onnx")
    (tmp_path / "labels.txt").write_text("\n".join(read_sidecar(shipped)["labels"]), encoding="utf-8")
    return tmp_path / "net.onnx"


def test_the_true_preprocessing_is_among_the_right_ones(model: Path):
    explainer = heatcli.load(model, labels=model.with_name("labels.txt"), preprocess="raw")
    names = ("shark", "volcano", "two_frogs", "cat", "penguin")
    found = trials(explainer, [SAMPLES / f"{name}.png" for name in names], ["shark", "volcano", "frog", "cat", "9"], {})
    right = {(trial.preset, trial.channels) for trial in found if trial.right}
    assert ("half", "rgb") in right
    assert ("raw", "rgb") not in right
    assert [sum(trial.ranks) for trial in found] == sorted(sum(trial.ranks) for trial in found)
    assert len({(trial.preset, trial.channels, trial.fit) for trial in found}) == len(found) == 5 * 2 * 2
    for trial in found:
        explained = heatcli.load(
            model, labels=explainer.labels, preprocess=trial.preset, channels=trial.channels, fit=trial.fit
        ).explain(SAMPLES / "shark.png")
        assert explained.target == trial.tops[0]


def test_what_is_certain_is_not_tried_otherwise(model: Path):
    given = {"channels": "bgr", "fit": "pad", "preprocess": "auto"}
    found = trials(heatcli.load(model, **given), [SAMPLES / "cat.png"], ["2"], given)
    assert {(trial.channels, trial.fit) for trial in found} == {("bgr", "pad")}
    assert {trial.preset for trial in found} == set(PRESETS)
    given = {"preprocess": "half", "channels": "rgb", "fit": "crop"}
    (only,) = trials(heatcli.load(model, **given), [SAMPLES / "cat.png"], ["2"], given)
    assert only.preset == "half"


@pytest.mark.parametrize(
    ("pictures", "expected", "message"),
    [
        (["cat.png"], ["2", "3"], "--expect was given 2 times for 1 pictures"),
        (["cat.npy"], ["2"], "goes through no preprocessing"),
        (["cat.png"], ["top"], "give the class that the picture shows"),
        (["cat.png"], ["24"], "classes 0 to 23"),
    ],
)
def test_what_cannot_be_tried_is_refused(model: Path, pictures, expected, message):
    with pytest.raises(UsageError, match=message):
        trials(heatcli.load(model), [SAMPLES / name for name in pictures], expected, {})


def colours(path: Path, weights, biases=0.0, *, elem=TensorProto.FLOAT) -> Path:
    """Write a network whose scores are the mean of each colour plane (1, 3, 16, 16) times ``weights`` (3, K)."""
    weights = np.asarray(weights, np.float32)
    nodes = [helper.make_node("Cast", ["x"], ["f"], to=TensorProto.FLOAT)] if elem != TensorProto.FLOAT else []
    nodes += [
        helper.make_node("GlobalAveragePool", ["f" if nodes else "x"], ["average"]),
        helper.make_node("Flatten", ["average"], ["row"]),
        helper.make_node("Gemm", ["row", "w", "b"], ["y"]),
    ]
    constants = {"w": weights, "b": np.full(weights.shape[1], biases, np.float32)}
    proto = single.model(nodes, {"x": [1, 3, 16, 16]}, constants, "y", dtype=elem)
    proto.graph.output[0].type.tensor_type.elem_type = TensorProto.FLOAT
    onnx.save(proto, path)
    return path


@pytest.fixture
def reddish(tmp_path: Path) -> Path:
    """A picture of one colour, mostly red."""
    PIL.Image.new("RGB", (20, 20), (200, 60, 10)).save(tmp_path / "red.png")
    return tmp_path / "red.png"


def test_order_of_colours_ranks_and_probabilities(tmp_path: Path, reddish: Path):
    explainer = heatcli.load(colours(tmp_path / "net.onnx", np.eye(3)), preprocess="unit")
    found = trials(explainer, [reddish], ["0"], {"preprocess": "unit"})
    by_order = {trial.channels: trial for trial in found if trial.fit == "crop"}
    assert (by_order["rgb"].ranks, by_order["rgb"].tops) == ((1,), (0,))
    assert (by_order["bgr"].ranks, by_order["bgr"].tops) == ((3,), (2,))
    powers = np.exp(np.array([200, 60, 10]) / 255)
    assert by_order["rgb"].probabilities[0] == pytest.approx(powers[0] / powers.sum(), rel=1e-5)
    assert by_order["bgr"].probabilities[0] == pytest.approx(powers[2] / powers.sum(), rel=1e-5)
    explainer.activation = "sigmoid"
    (best, *_) = trials(explainer, [reddish], ["0"], {"preprocess": "unit"})
    assert best.probabilities[0] == pytest.approx(1 / (1 + np.exp(-200 / 255)), rel=1e-5)


@pytest.mark.parametrize("weight", [0.0, np.nan])
def test_scores_that_tell_nothing_are_never_right(tmp_path: Path, reddish: Path, weight):
    explainer = heatcli.load(colours(tmp_path / "net.onnx", np.full((3, 4), weight)))
    found = trials(explainer, [reddish], ["2"], {})
    assert {trial.ranks for trial in found} == {(4,)}
    assert chosen(explainer, found, {}) is None


def test_one_class_is_nothing_to_compare(tmp_path: Path, reddish: Path):
    proto = onnx.load(colours(tmp_path / "net.onnx", np.ones((3, 1))))
    (last,) = proto.graph.output
    proto.graph.node[-1].output[0] = "line"
    proto.graph.node.append(helper.make_node("Relu", ["line"], [last.name]))
    onnx.save(proto, tmp_path / "one.onnx")
    with pytest.raises(UsageError, match="the model has only one"):
        trials(heatcli.load(tmp_path / "one.onnx"), [reddish], ["0"], {})


def test_one_number_tells_two_classes_apart(tmp_path: Path, reddish: Path):
    explainer = heatcli.load(colours(tmp_path / "net.onnx", np.array([[1.0], [0.0], [-1.0]])), preprocess="unit")
    found = trials(explainer, [reddish], ["1"], {"preprocess": "unit"})
    assert {(trial.channels, trial.ranks) for trial in found} == {("rgb", (1,)), ("bgr", (2,))}


def test_whole_numbers_take_raw_pixels_only(tmp_path: Path, reddish: Path):
    explainer = heatcli.load(colours(tmp_path / "net.onnx", np.eye(3), elem=TensorProto.UINT8))
    assert {trial.preset for trial in trials(explainer, [reddish], ["0"], {})} == {"raw"}


def test_a_way_of_its_own_is_tried_too_and_kept_where_right(tmp_path: Path, reddish: Path):
    net = colours(tmp_path / "net.onnx", np.eye(3))
    net.with_suffix(".heatcli.json").write_text(json.dumps({"mean": 0.4, "std": 0.3, "scale": 1 / 255, "fit": "pad"}))
    explainer = heatcli.load(net)
    found = trials(explainer, [reddish], ["0"], {})
    assert [trial.preset for trial in found if trial.preprocessing == explainer.preprocessing] == ["custom"]
    assert chosen(explainer, found, {}) == explainer.preprocessing


def test_options_settle_or_only_narrow(tmp_path: Path, reddish: Path):
    net = colours(tmp_path / "net.onnx", np.eye(3)[:, ::-1])  # right with bgr alone
    guessed = heatcli.load(net)
    best = chosen(guessed, trials(guessed, [reddish], ["0"], {}), {})
    assert best is not None
    assert (best.channels, guessed.preprocessing.channels) == ("bgr", "rgb")
    for given, settled in (({"preprocess": "unit"}, True), ({"mean": [0.0], "scale": 1.0}, True), ({"fit": "pad"}, 0)):
        explainer = heatcli.load(net, **given)
        kept = chosen(explainer, trials(explainer, [reddish], ["0"], given), given)
        assert kept is not None
        assert (kept == explainer.preprocessing) == bool(settled)


# what is written ------------------------------------------------------------------------------------------------------


def same_again(path: Path, **settings) -> dict:
    """Assert that the sidecar of ``path`` says all of how it is loaded with ``settings``; return its content."""
    before = heatcli.load(path, **settings)
    content = sidecar(before, before.preprocessing)
    sidecar_path(path).write_text(json.dumps(content), encoding="utf-8")
    after = heatcli.load(path)
    plain = {"source": "", "evidence": ()}
    assert after.preprocessing.source == "sidecar"
    assert replace(after.preprocessing, **plain) == replace(before.preprocessing, **plain)
    assert after.labels == before.labels
    image = PIL.Image.effect_noise((70, 50), 90).convert("RGB")
    assert np.array_equal(after.preprocessing.tensor(image)[0], before.preprocessing.tensor(image)[0])
    assert not [note for note in after.notes if "--preprocess" in note]
    assert set(content) <= {*KEYS, *OTHER_KEYS}
    return content


@pytest.mark.parametrize(
    "settings",
    [
        {"preprocess": "caffe"},
        {"preprocess": "half", "fit": "squash"},
        {"preprocess": "unit", "fit": "pad", "channels": "bgr"},
        {"mean": [0.4, 0.5, 0.6], "std": [0.3], "scale": 1 / 255, "channels": "bgr", "fit": "squash"},
        {},
    ],
    ids=str,
)
def test_read_back_the_same(model: Path, settings):
    content = same_again(model, labels=model.with_name("labels.txt"), **settings)
    assert "size" not in content
    assert len(content["sha256"]) == 64
    assert len(content["labels"]) == 24


@pytest.mark.parametrize(
    ("shape", "settings", "size"),
    [
        ([1, 16, 24, 3], {"preprocess": "half"}, None),
        ([1, 1, 16, 24], {"mean": [0.1], "std": [0.3], "scale": 1 / 255}, None),
        ([1, 3, "h", "w"], {"size": (96, 80), "preprocess": "caffe"}, [96, 80]),
        ([1, "h", "w", 3], {"size": (96, 80), "preprocess": "imagenet"}, [96, 80]),
        ([1, 256], {}, [16, 16]),
        ([1, 3 * 16 * 24], {"size": (16, 24), "layout": "flat-HWC", "mean": [1, 2, 3], "scale": 1.0}, [16, 24]),
        ([1, 3, 3, 3], {"layout": "nhwc", "preprocess": "unit"}, None),
    ],
    ids=str,
)
def test_every_kind_of_input_reads_back_the_same(tmp_path: Path, shape, settings, size):
    axes = [place for place, side in enumerate(shape[1:], 1) if side not in (1, 3)] if len(shape) == 4 else None
    nodes = [helper.make_node("ReduceMean", ["x"], ["row"], axes=axes or [1], keepdims=0)]
    width = next(side for side in shape[1:] if side in (1, 3)) if axes else None
    if len(shape) == 2:
        nodes, width = [], shape[1]
    if not axes and len(shape) == 4:
        nodes, width = [helper.make_node("Flatten", ["x"], ["row"])], 27
    nodes.append(helper.make_node("Gemm", ["row" if nodes else "x", "w"], ["y"]))
    constants = {"w": np.ones((width, 4), np.float32)}
    onnx.save(single.model(nodes, {"x": shape}, constants, "y", opset=13), tmp_path / "net.onnx")
    assert same_again(tmp_path / "net.onnx", **settings).get("size") == size


@pytest.mark.parametrize("name", ["onnxweb_sethjuarez", "keras_mlperf_resnet8_cifar10", "mnist_cntk_opset8"])
def test_trained_networks_read_back_the_same(data, tmp_path, name):
    shutil.copy(data / "models" / f"{name}.onnx", tmp_path / "net.onnx")
    same_again(tmp_path / "net.onnx")


def test_what_people_wrote_is_kept(model: Path):
    model.with_suffix(".heatcli.json").write_text(json.dumps({"license": "MIT", "description": "mine", "fit": "pad"}))
    explainer = heatcli.load(model)
    content = sidecar(explainer, explainer.preprocessing)
    assert (content["license"], content["description"], content["fit"]) == ("MIT", "mine", "pad")
