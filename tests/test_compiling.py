"""The compiled explainer is the NumPy engine in another form: maps and accounts agree; plain onnxruntime runs it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper

import heatcli
from heatcli.errors import UnsupportedModel, UsageError
from heatcli.methods import METHODS
from tests import light_models, single

EMOJI = str(Path(__file__).resolve().parent.parent / "models" / "emoji_scenes" / "emoji_scenes.onnx")
TRAINED = (
    "bvlc_googlenet_opset8",
    "squeezenet_v1.1_caffe_opset9",
    "tflite_mobilenet_v2_fp32_nhwc_float",
    "cifar10_large_keras_nhwc",
    "cifar10_resnet4b_pytorch",
    "face_antispoof_minifasnet",
    "keras_mlperf_resnet8_cifar10",
    "mnist_cntk_opset8",
    "onnc_resnet20",
)


def engines(path, **loading):
    """Return the same model behind both engines."""
    return [heatcli.load(path, engine=engine, **loading) for engine in ("numpy", "compiled")]


def noise(explainer, seed=0, low=-2.0, high=2.0):
    spec = explainer.network.input
    return np.random.default_rng(seed).uniform(low, high, spec.shape).astype(spec.dtype)


def agree(one, other, tolerance=1e-4):
    """Compare two explanations of the same class: maps to a share of the largest relevance, accounts to one of f(x)."""
    assert one.target == other.target
    largest = np.abs(one.relevance).max()
    assert np.abs(one.relevance - other.relevance).max() <= tolerance * largest
    for name in ("start", "pixels", "biases", "constants", "lost"):
        mine, theirs = getattr(one.ledger, name), getattr(other.ledger, name)
        if mine is None:
            assert theirs is None
        else:
            largest = max(abs(getattr(one.ledger, part) or 0.0) for part in ("start", "pixels", "biases", "lost"))
            assert abs(mine - theirs) <= tolerance * largest, name
    assert one.warnings == other.warnings


@pytest.mark.parametrize("method", [name for name, method in METHODS.items() if method.composite and not method.fitted])
@pytest.mark.parametrize("pool", [None, "winner"])
def test_methods(method, pool):
    if pool and METHODS[method].composite.name == "gradient":
        pytest.skip("a gradient follows the winner anyway")
    numpy, compiled = engines(EMOJI)
    x = noise(numpy, low=-1, high=1)
    for evidence in ("logit", "one", "probability") if METHODS[method].conserves else ("logit",):
        settings = {"method": method, "pool": pool, "evidence": evidence, "range": (-1, 1)}
        for one, other in zip(
            numpy.explain_targets(x, targets=("top-3", 0), **settings),
            compiled.explain_targets(x, targets=("top-3", 0), **settings),
            strict=True,
        ):
            agree(one, other)


@pytest.mark.parametrize(
    "settings", [{"biases": "ignore"}, {"rules": ("*=w2",)}, {"input_rule": "w2"}, {"range": None}]
)
def test_settings(settings):
    numpy, compiled = engines(EMOJI)
    x = noise(numpy)
    agree(numpy.explain(x, **settings), compiled.explain(x, **settings))


@pytest.mark.parametrize("name", light_models.NAMES)
def test_light_networks(tmp_path, name):
    if name == "vgg19":
        pytest.skip("143 million parameters; the others have the same layers")
    path = tmp_path / "light.onnx"
    onnx.save(light_models.with_random_weights(light_models.FOLDER / f"light_{name}.onnx"), path)
    numpy, compiled = engines(path, range=(-2, 2))
    x = noise(numpy)
    agree(numpy.explain(x), compiled.explain(x))


@pytest.mark.parametrize("name", TRAINED)
def test_trained_networks(data, name):
    numpy, compiled = engines(data / "models" / f"{name}.onnx", range=(-130, 160))
    x = noise(numpy, low=-100, high=100)
    for one, other in zip(
        numpy.explain_targets(x, targets=("top-2",)), compiled.explain_targets(x, targets=("top-2",)), strict=True
    ):
        agree(one, other)


# the file -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def explainer(tmp_path_factory):
    path = tmp_path_factory.mktemp("compiled") / "explainer.onnx"
    return heatcli.load(EMOJI).compile(path), path


def test_file_is_standard(explainer):
    written, path = explainer
    proto = onnx.load(path)
    onnx.checker.check_model(proto, full_check=True)
    assert [(entry.domain, entry.version >= 17) for entry in proto.opset_import] == [("", True)]
    assert {node.domain for node in proto.graph.node} == {""}
    assert [entry.name for entry in proto.graph.output][1:] == ["relevance", "heatmap", "ledger"]
    assert written.size == path.stat().st_size <= 2.2 * Path(EMOJI).stat().st_size
    assert written.difference < 1e-5
    told = {entry.key: entry.value for entry in proto.metadata_props}
    assert told["heatcli.method"] == "deep-taylor"
    assert set(json.loads(told["heatcli.rules"]).values()) >= {"zB", "z+"}
    assert json.loads(told["heatcli.labels"])[0]


def test_plain_onnxruntime(explainer):
    _, path = explainer
    session = onnxruntime.InferenceSession(path)
    numpy = heatcli.load(EMOJI)
    x = np.concatenate([noise(numpy, seed, -1, 1) for seed in range(3)])
    name = numpy.network.input.name
    scores, relevance, heatmap, ledger = session.run(None, {name: x, "target": np.array([-1])})
    assert scores.shape[0] == relevance.shape[0] == heatmap.shape[0] == ledger.shape[0] == 3
    for place in range(3):
        expected = numpy.explain(x[place : place + 1], range=(-1, 1))
        assert expected.target == scores[place].argmax()
        assert np.abs(relevance[place] - expected.relevance).max() <= 1e-4 * np.abs(expected.relevance).max()
        np.testing.assert_allclose(heatmap[place], relevance[place].sum(axis=0), atol=1e-5 * np.abs(heatmap).max())
        np.testing.assert_allclose(ledger[place].sum() - ledger[place, 0], ledger[place, 0], rtol=1e-4)


def test_targets(explainer):
    """Several classes of one picture, one for all pictures, one for each, and the k-th best."""
    _, path = explainer
    session = onnxruntime.InferenceSession(path)
    network = heatcli.load(EMOJI).network
    x = np.concatenate([noise(heatcli.load(EMOJI), seed, -1, 1) for seed in range(3)])

    def run(pictures, *targets):
        return session.run(["relevance"], {network.input.name: pictures, "target": np.array(targets, np.int64)})[0]

    several = run(x[:1], 4, 2, -1)
    assert several.shape == (3, *network.input.shape[1:])
    for place, target in enumerate((4, 2, -1)):
        np.testing.assert_allclose(several[place], run(x[:1], target)[0], atol=1e-5 * max(1e-9, np.abs(several).max()))
    one_each, for_all = run(x, 4, 2, 3), run(x, 2)
    np.testing.assert_allclose(one_each[1], for_all[1], atol=1e-5 * max(1e-9, np.abs(for_all).max()))
    feeds = {network.input.name: x[:1], "target": np.array([-1])}
    scores = session.run([network.output.name], feeds)[0][0]
    order = np.argsort(-scores)
    np.testing.assert_array_equal(run(x[:1], -3)[0], run(x[:1], int(order[2]))[0])


def test_names_that_the_model_has_taken(tmp_path):
    """A network whose own tensors are called as the explainer's are."""
    w = np.random.default_rng(0).normal(size=(12, 3)).astype(np.float32)
    nodes = [
        helper.make_node("Flatten", ["target"], ["heatmap"]),
        helper.make_node("MatMul", ["heatmap", "w"], ["relevance"]),
    ]
    proto = single.model(nodes, {"target": (1, 3, 2, 2)}, {"w": w}, "relevance")
    path = tmp_path / "taken.onnx"
    onnx.save(proto, path)
    numpy, compiled = engines(path, range=(-1, 1))
    x = noise(numpy, low=-1, high=1)
    agree(numpy.explain(x, target=1), compiled.explain(x, target=1))
    written = numpy.compile(tmp_path / "explainer.onnx")
    assert {"heatcli/relevance", "heatcli/heatmap"} <= {name for name, _, _ in written.outputs}


def test_a_batch_that_is_part_of_the_graph(tmp_path):
    """A network that flattens its batch away is explained one picture at a time, and the note says so."""
    w = np.random.default_rng(0).normal(size=(12, 3)).astype(np.float32)
    nodes = [helper.make_node("Reshape", ["x", "shape"], ["flat"]), helper.make_node("MatMul", ["flat", "w"], ["y"])]
    proto = single.model(nodes, {"x": (1, 3, 2, 2)}, {"w": w, "shape": np.array([12])}, "y")
    path = tmp_path / "flat.onnx"
    onnx.save(proto, path)
    numpy, compiled = engines(path, range=(-1, 1))
    x = noise(numpy, low=-1, high=1)
    for one, other in zip(
        numpy.explain_targets(x, targets=("top-3",)), compiled.explain_targets(x, targets=("top-3",)), strict=True
    ):
        agree(one, other)
    written = numpy.compile(tmp_path / "explainer.onnx")
    assert not written.open_batch
    assert any("one picture at a time" in note for note in written.notes)


def test_operations_of_other_domains_are_refused(tmp_path, monkeypatch):
    from heatcli import compiling

    explainer = heatcli.load(EMOJI)
    graph = onnx.ModelProto.FromString(explainer.network.graph)
    graph.graph.node[0].domain = "com.example"
    object.__setattr__(explainer.network, "graph", graph.SerializeToString())
    monkeypatch.setattr("heatcli.planning.layerwise.Forward", lambda *args, **keywords: None)
    with pytest.raises(UnsupportedModel, match=r"com\.example"):
        explainer.compile(tmp_path / "explainer.onnx")
    assert not list(tmp_path.iterdir())
    assert compiling.OPSET == 17


def test_settings_that_do_not_fit():
    with pytest.raises(UsageError, match="unknown value 'torch' for engine"):
        heatcli.load(EMOJI, engine="torch")
    with pytest.raises(UsageError, match="unknown provider 'abacus'"):
        heatcli.load(EMOJI, provider="abacus")
    with pytest.raises(UsageError, match="no provider tensorrt"):
        heatcli.load(EMOJI, provider="tensorrt")
    compiled = heatcli.load(EMOJI, engine="compiled")
    with pytest.raises(UsageError, match="every layer is known to the engine numpy alone"):
        compiled.explain(noise(compiled), layers=True, range=(-2, 2))
    with pytest.raises(UsageError, match="float32"):
        double = heatcli.load(EMOJI, engine="compiled", precision="float64")
        double.explain(noise(double), range=(-2, 2))


def test_old_operator_sets_are_brought_up(tmp_path):
    """Opset 8 as written by Caffe2: the network's own nodes are converted, weights elsewhere or not."""
    model = light_models.with_random_weights(light_models.FOLDER / "light_squeezenet.onnx")
    assert max(entry.version for entry in model.opset_import) < 17
    path = tmp_path / "old.onnx"
    onnx.save(model, path)
    written = heatcli.load(path, range=(-2, 2)).compile(tmp_path / "explainer.onnx")
    proto = onnx.load(tmp_path / "explainer.onnx")
    assert proto.opset_import[0].version >= 17
    onnx.checker.check_model(proto)
    assert written.size <= 2.2 * path.stat().st_size


def test_many_targets_go_down_in_several_walks(monkeypatch):
    """Memory is bounded: what does not fit into one walk goes into the next, in both engines."""
    from heatcli.relevance import propagate

    numpy, compiled = engines(EMOJI)
    x = noise(numpy)
    whole = numpy.explain_targets(x, targets=("top-7",), range=(-2, 2))
    monkeypatch.setattr(propagate, "LARGEST_WALK", 3 * 4 * max(np.prod(s) for s in numpy.network.shapes.values()))
    assert propagate.walks_together(numpy.network) == 3
    for explainer in (numpy, compiled):
        for one, other in zip(whole, explainer.explain_targets(x, targets=("top-7",), range=(-2, 2)), strict=True):
            agree(one, other)


@pytest.mark.parametrize("evidence", ["logit", "one", "probability"])
def test_every_kind_of_evidence_can_be_written(tmp_path, evidence):
    """The check before writing puts in what the graph puts in."""
    path = tmp_path / "explainer.onnx"
    written = heatcli.load(EMOJI).compile(path, evidence=evidence)
    assert written.difference is not None
    numpy = heatcli.load(EMOJI, range=(-1, 1))
    x = noise(numpy, low=-1, high=1)
    feeds = {numpy.network.input.name: x, "target": np.array([-1])}
    (relevance,) = onnxruntime.InferenceSession(path).run(["relevance"], feeds)
    expected = numpy.explain(x, evidence=evidence).relevance
    assert np.abs(relevance[0] - expected).max() <= 1e-4 * np.abs(expected).max()


@pytest.mark.parametrize("target", [24, 1000, -25])
def test_a_class_that_is_not_there(explainer, target):
    """An error, and no empty map."""
    _, path = explainer
    session = onnxruntime.InferenceSession(path)
    feeds = {session.get_inputs()[0].name: np.zeros((1, 3, 128, 128), np.float32), "target": np.array([target])}
    with pytest.raises(Exception, match="out of data bounds"):
        session.run(None, feeds)


@pytest.mark.parametrize(("weight", "note"), [(1, "a relevance of 1"), (0, "nothing to compare")])
def test_what_the_check_compared_is_told(tmp_path, weight, note):
    """A network without a positive score anywhere has only empty maps, one without weights none at all."""
    nodes = [
        helper.make_node("Flatten", ["x"], ["flat"]),
        helper.make_node("MatMul", ["flat", "w"], ["product"]),
        helper.make_node("Add", ["product", "b"], ["y"]),
    ]
    constants = {"w": np.full((12, 3), weight, np.float32), "b": np.full(3, -1e6, np.float32)}
    path = tmp_path / "negative.onnx"
    onnx.save(single.model(nodes, {"x": (1, 3, 2, 2)}, constants, "y"), path)
    written = heatcli.load(path, range=(-1, 1)).compile(tmp_path / "explainer.onnx")
    assert (written.difference is None) == (weight == 0)
    assert any(note in entry for entry in written.notes)


def test_metadata_is_stated_once(tmp_path):
    proto = onnx.load(EMOJI)
    proto.metadata_props.add(key="author", value="somebody")
    model = tmp_path / "model.onnx"
    onnx.save(proto, model)
    heatcli.load(model, range=(-1, 1)).compile(tmp_path / "explainer.onnx")
    keys = [entry.key for entry in onnx.load(tmp_path / "explainer.onnx").metadata_props]
    assert len(keys) == len(set(keys))
    assert "author" in keys
