"""Occlusion: closed forms, plain onnxruntime on the untouched file, every arrangement of the input, what is refused."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import PIL.Image
import pytest
from onnx import TensorProto, helper, numpy_helper

import heatcli
from heatcli.errors import HeatcliError, UnsupportedModel, UsageError
from heatcli.forward import Forward
from heatcli.planning.occlusion import windows_on
from tests import single
from tests.installed import older

Array = np.ndarray
RANDOM = np.random.default_rng(5)
KERNEL = RANDOM.normal(size=(4, 3, 3, 3)).astype("float32")
DENSE = RANDOM.normal(size=(4, 3)).astype("float32")
LARGE = RANDOM.normal(size=(4, 4, 9, 9)).astype("float32")
"""Large enough to be kept outside the graph."""


def node(operation: str, inputs: str, output: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(operation, inputs.split(), output.split(), **attributes)


def saved(
    path: Path,
    nodes: list[onnx.NodeProto],
    shape: tuple[int | str, ...],
    constants: dict[str, Array],
    *,
    output: str = "y",
    classes: int = 3,
    dtype: int = TensorProto.FLOAT,
    scores: int = TensorProto.FLOAT,
) -> Path:
    graph = helper.make_graph(
        nodes,
        "occluded",
        [helper.make_tensor_value_info("x", dtype, shape)],
        [helper.make_tensor_value_info(output, scores, [shape[0], classes])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def convolutional(
    path: Path, middle: list[onnx.NodeProto], constants: dict[str, Array], *, batch: int | str = 1
) -> Path:
    """Write a classifier of pictures 3×12×16: convolution to ``c``, ``middle`` from there to ``m``, scores, softmax."""
    nodes = [
        node("Conv", "x w", "c", pads=[1, 1, 1, 1]),
        *middle,
        node("GlobalAveragePool", "m", "average"),
        node("Flatten", "average", "row"),
        node("Gemm", "row v", "logits"),
        node("Softmax", "logits", "y"),
    ]
    return saved(path, nodes, (batch, 3, 12, 16), {"w": KERNEL, "v": DENSE, **constants})


def branch(name: str, kernel: str) -> onnx.GraphProto:
    """A graph that convolves ``c``, which it takes from around it, with a kernel of its own or from around it."""
    own = [numpy_helper.from_array(-LARGE, "own")] if kernel == "own" else []
    out = helper.make_tensor_value_info(f"{name}out", TensorProto.FLOAT, None)
    return helper.make_graph([node("Conv", f"c {kernel}", f"{name}out", pads=[4, 4, 4, 4])], name, [], [out], own)


def condition(path: Path) -> Path:
    """A network whose branch depends on the picture's left half: windows there choose another one."""
    middle = [
        node("Slice", "x begin end", "left"),
        node("ReduceMean", "left", "mean", keepdims=0),
        node("Greater", "mean limit", "bright"),
        node("If", "bright", "m", then_branch=branch("then", "kernel"), else_branch=branch("else", "own")),
    ]
    edges = {"begin": np.array([0, 0, 0, 0]), "end": np.array([1, 3, 12, 8]), "limit": np.array(0.48, "float32")}
    return convolutional(path, middle, {"kernel": LARGE, **edges})


def quantised(path: Path) -> Path:
    """The same with branches that take quantised numbers from around them."""

    def side(name: str, operation: str) -> onnx.GraphProto:
        nodes = [node("DequantizeLinear", "q step zero", f"{name}real"), node(operation, f"{name}real", f"{name}out")]
        out = helper.make_tensor_value_info(f"{name}out", TensorProto.FLOAT, None)
        return helper.make_graph(nodes, name, [], [out])

    middle = [
        node("QuantizeLinear", "c step zero", "q"),
        node("ReduceMean", "x", "mean", keepdims=0),
        node("Greater", "mean limit", "bright"),
        node("If", "bright", "m", then_branch=side("then", "Relu"), else_branch=side("else", "Abs")),
    ]
    constants = {"step": np.array(0.05, "float32"), "zero": np.array(128, "uint8")}
    return convolutional(path, middle, {**constants, "limit": np.array(0.5, "float32")})


def sorting(path: Path) -> Path:
    return convolutional(path, [node("TopK", "c four", "m places", axis=3)], {"four": np.array([4])})


def hidden(side: int, window: int) -> list[slice]:
    """Return where windows lie along a side: half a window apart, up to the first that reaches its end."""
    found = [slice(0, min(window, side))]
    while found[-1].stop < side:
        begin = found[-1].start + max(1, window // 2)
        found.append(slice(begin, min(begin + window, side)))
    return found


def by_hand(score: Callable[[Array], float], x: Array, window: int, value: Any) -> Array:
    """Return the map (H, W) of ``x`` (1, C, H, W): the mean drop of ``score`` over the windows that cover a pixel."""
    drops: dict[tuple[int, int], list[float]] = {}
    for rows in hidden(x.shape[2], window):
        for columns in hidden(x.shape[3], window):
            other = x.copy()
            other[:, :, rows, columns] = value
            drop = score(x) - score(other)
            for pixel in np.ndindex(*x.shape[2:]):
                if rows.start <= pixel[0] < rows.stop and columns.start <= pixel[1] < columns.stop:
                    drops.setdefault(pixel, []).append(drop)
    return np.array([np.mean(drops[pixel]) for pixel in np.ndindex(*x.shape[2:])]).reshape(x.shape[2:])


def logit(path: Path, target: int) -> Callable[[Array], float]:
    """Return the score of a class before the softmax, by onnxruntime without optimisation."""
    proto = onnx.load(path)
    proto.graph.output[0].CopyFrom(helper.make_tensor_value_info("logits", TensorProto.FLOAT, None))
    return lambda x: float(single.run(proto, {"x": x})[0, target])


# closed forms ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("window", [1, 3, 4, 7, 11])
def test_a_linear_network_in_closed_form(tmp_path, window):
    """For f(x) = Σ w_i x_i a window's drop is Σ w_i (x_i − reference_i); whole numbers leave nothing to rounding."""
    random = np.random.default_rng(window)
    w, x = random.integers(-9, 9, (3 * 10 * 12, 3)).astype("float32"), random.integers(-4, 9, (1, 3, 10, 12))
    nodes = [node("Flatten", "x", "row"), node("MatMul", "row w", "y")]
    explainer = heatcli.load(saved(tmp_path / "m.onnx", nodes, (1, 3, 10, 12), {"w": w}))
    explanation = explainer.explain(x, method="occlusion", window=window, target=1, range=([-4, -6, -8], [8, 8, 10]))
    assert explanation.settings["reference"] == [2, 1, 1]
    middle = np.array([2, 1, 1]).reshape(3, 1, 1)
    share = (w[:, 1].reshape(3, 10, 12) * (x[0] - middle)).sum(axis=0)
    total, count = np.zeros((10, 12)), np.zeros((10, 12))
    for rows in hidden(10, window):
        for columns in hidden(12, window):
            total[rows, columns] += share[rows, columns].sum()
            count[rows, columns] += 1
    np.testing.assert_allclose(explanation.heatmap, total / count, rtol=1e-6, atol=1e-6)
    assert explanation.relevance.shape == (3, 10, 12)
    np.testing.assert_array_equal(explanation.relevance[0], explanation.relevance[2])
    assert explanation.ledger.pixels == pytest.approx((total / count).sum(), rel=1e-4)
    assert explanation.ledger.biases is explanation.ledger.error is None
    assert explanation.ledger.start == max(0, explanation.score)


@pytest.mark.parametrize("range_", [None, (0, 4)])
def test_the_features_of_a_row_one_at_a_time(tmp_path, range_):
    w, x = RANDOM.integers(-9, 9, (30, 3)).astype("float32"), RANDOM.integers(0, 4, (1, 30)).astype("float32")
    explainer = heatcli.load(saved(tmp_path / "m.onnx", [node("MatMul", "x w", "y")], ("n", 30), {"w": w}))
    explanation = explainer.explain(x, method="occlusion", target=2, range=range_)
    np.testing.assert_allclose(explanation.relevance, w[:, 2] * (x[0] - (2 if range_ else 0)), rtol=1e-6)
    assert any("--range" in note for note in explanation.notes)
    assert any("is hidden becomes 0" in note for note in explanation.notes) == (range_ is None)


def test_a_signal_that_is_no_picture(tmp_path):
    """Windows lie along the one axis that is longer than one; wide ones where it is long."""
    w, x = RANDOM.integers(-9, 9, (1000, 3)).astype("float32"), RANDOM.integers(0, 4, (1, 1000, 1)).astype("float32")
    nodes = [node("Flatten", "x", "row"), node("MatMul", "row w", "y")]
    explainer = heatcli.load(saved(tmp_path / "m.onnx", nodes, (1, 1000, 1), {"w": w}))
    assert (explainer.network.input.layout, explainer.preprocessing) == ("flat", None)
    assert 100 < explainer.steps(method="occlusion") <= 14**2
    explanation = explainer.explain(x, method="occlusion", target=0, window=7)
    share = w[:, 0] * x.reshape(-1)
    total, count = np.zeros(1000), np.zeros(1000)
    for place in hidden(1000, 7):
        total[place] += share[place].sum()
        count[place] += 1
    np.testing.assert_allclose(explanation.relevance.reshape(-1), total / count, rtol=1e-6, atol=1e-6)


# every classifier -----------------------------------------------------------------------------------------------------


BRANCHES = pytest.mark.skipif(
    older("onnxruntime", 1, 31), reason="older versions of onnxruntime take constants of a branch for the graph's"
)


@pytest.mark.parametrize("network", [pytest.param(condition, marks=BRANCHES), quantised, sorting])
def test_what_cannot_be_decomposed_equals_plain_onnxruntime(tmp_path, network):
    path = network(tmp_path / "m.onnx")
    x = np.random.default_rng(1).uniform(size=(1, 3, 12, 16)).astype("float32")
    explainer = heatcli.load(path, preprocess="unit")
    explanation = explainer.explain(x, method="occlusion", window=5, target=1, range=(0, 1))
    assert (explainer.network.output.kind, explainer.network.output.logits) == ("softmax", "logits")
    expected = by_hand(logit(path, 1), x, 5, 0.5)
    np.testing.assert_allclose(explanation.heatmap, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())
    assert np.abs(expected).max() > 1e-3


@pytest.mark.parametrize("network", [condition, quantised, sorting])
def test_methods_that_decompose_refuse_it_and_name_the_way_out(tmp_path, network):
    path = network(tmp_path / "m.onnx")
    explainer = heatcli.load(path, preprocess="unit")
    operation = "TopK" if network is sorting else "If"
    for act in (
        lambda: explainer.explain(tmp_path / "never_read.png"),
        lambda: explainer.explain(tmp_path / "never_read.png", method="gradient"),
        explainer.assigned_rules,
        lambda: explainer.compile(tmp_path / "out.onnx"),
        explainer.network.require_layers,
    ):
        with pytest.raises(UnsupportedModel) as caught:
            act()
        assert [entry.operation for entry in caught.value.nodes] == [operation]
        first, *nodes, last = str(caught.value).splitlines()
        assert first == f"{path}: heatcli cannot explain 1 node of this network:"
        assert nodes[0].startswith(f"  {operation} (m): ")
        assert last == caught.value.hint == "--method occlusion explains the model without decomposing it"


def test_a_network_without_any_linear_layer(tmp_path):
    """Class scores are the mean colours: there is nothing to decompose, but something to hide."""
    nodes = [node("GlobalAveragePool", "x", "average"), node("Flatten", "average", "y")]
    explainer = heatcli.load(saved(tmp_path / "m.onnx", nodes, (1, 3, 4, 4), {}))
    with pytest.raises(UnsupportedModel, match=r"no convolution or dense layer.*\n--method occlusion"):
        explainer.explain(np.ones((3, 4, 4)))
    x = RANDOM.uniform(size=(3, 4, 4)).astype("float32")
    found = explainer.explain(x, method="occlusion", window=1, target=2).heatmap
    np.testing.assert_allclose(found, x[2] / 16, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("name", ["der_hf_resnet_ts__ortall", "der_hf_resnet_ts__qdq", "der_hf_vit_dyn__ortext"])
def test_files_that_others_have_rewritten(data, name):
    """Blocked layouts, quantised and fused operations: each drop is that of plain onnxruntime on the file itself."""
    path = data / "graphs" / f"{name}.onnx"
    explainer = heatcli.load(path)
    x = np.random.default_rng(0).normal(size=(1, 3, 64, 64)).astype("float32")
    explanation = explainer.explain(x, method="occlusion", window=40, target=0)
    proto = onnx.load(path)

    def score(z: Array) -> float:
        return float(single.run(proto, {explainer.network.input.name: z}).reshape(-1)[0])

    expected = by_hand(score, x, 40, 0)
    np.testing.assert_allclose(explanation.heatmap, expected, atol=0.02 * np.abs(expected).max())


def test_open_and_fixed_batch_give_equal_maps(tmp_path):
    """A reshape to one row lets the open batch be nothing but one, whatever the file says."""
    middle = [node("Reshape", "c flat", "r"), node("Relu", "r", "s"), node("Reshape", "s back", "m")]
    constants = {"flat": np.array([1, -1]), "back": np.array([1, 4, 12, 16])}
    x = RANDOM.uniform(size=(3, 12, 16)).astype("float32")
    maps = []
    for batch in (1, "n"):
        path = convolutional(tmp_path / f"{batch}.onnx", middle, constants, batch=batch)
        maps.append(heatcli.load(path, threads=3).explain(x, method="occlusion").relevance)
    np.testing.assert_array_equal(*maps)
    alone = heatcli.load(path, threads=1).explain(x, method="occlusion").relevance
    np.testing.assert_allclose(alone, maps[0], atol=1e-6)


# inputs ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", ["NCHW", "NHWC", "CHW", "HWC", "flat", "flat-HWC"])
def test_every_arrangement_of_the_same_pixels(tmp_path, layout):
    x, w = RANDOM.uniform(size=(10, 10, 3)).astype("float32"), RANDOM.normal(size=(300, 3)).astype("float32")
    given = {
        "NCHW": x.transpose(2, 0, 1)[None],
        "NHWC": x[None],
        "CHW": x.transpose(2, 0, 1),
        "HWC": x,
        "flat": x.transpose(2, 0, 1).reshape(1, -1),
        "flat-HWC": x.reshape(1, -1),
    }[layout]
    weights = w if layout.endswith("HWC") else w.reshape(10, 10, 3, 3).transpose(2, 0, 1, 3).reshape(300, 3)
    nodes = [node("Reshape", "x row", "r"), node("MatMul", "r w", "y")]
    constants = {"w": np.ascontiguousarray(weights), "row": np.array([1, 300])}
    path = saved(tmp_path / "m.onnx", nodes, given.shape, constants)
    said = {"layout": layout} if layout == "flat-HWC" else {}
    explainer = heatcli.load(path, preprocess="unit", **said)
    assert explainer.preprocessing.layout == layout
    explanation = explainer.explain(given, method="occlusion", target=0, window=4, range=(0, 1))
    plain = x.transpose(2, 0, 1)[None]
    row = w.reshape(10, 10, 3, 3).transpose(2, 0, 1, 3)[..., 0]
    expected = by_hand(lambda z: float((z[0].astype("float64") * row).sum()), plain, 4, 0.5)
    np.testing.assert_allclose(explanation.heatmap, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())
    assert explanation.relevance.size == 300


@pytest.mark.parametrize(("dtype", "middle"), [("uint8", 128), ("int8", 0)])
def test_the_replacement_keeps_the_dtype(tmp_path, dtype, middle):
    nodes = [node("Cast", "x", "real", to=TensorProto.FLOAT), *convolution_of("real")]
    element = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    path = saved(tmp_path / "m.onnx", nodes, (1, 3, 8, 8), {"w": KERNEL, "v": DENSE}, dtype=element)
    pixels = np.random.default_rng(2).integers(0, 256, (8, 8, 3), "uint8")
    explainer = heatcli.load(path)
    assert explainer.network.input.dtype == dtype
    explanation = explainer.explain(PIL.Image.fromarray(pixels), method="occlusion", window=3, target=0)
    assert explanation.settings["reference"] in ([middle], [middle] * 3)
    x, _ = explainer.preprocessing.tensor(PIL.Image.fromarray(pixels))
    assert x.dtype == dtype
    expected = by_hand(lambda z: float(single.run(onnx.load(path), {"x": z})[0, 0]), x, 3, middle)
    np.testing.assert_allclose(explanation.heatmap, expected, rtol=1e-3, atol=1e-3 * np.abs(expected).max())


def convolution_of(source: str) -> list[onnx.NodeProto]:
    return [
        node("Conv", f"{source} w", "c"),
        node("Relu", "c", "m"),
        node("GlobalAveragePool", "m", "average"),
        node("Flatten", "average", "row"),
        node("Gemm", "row v", "y"),
    ]


@pytest.fixture
def explainer(tmp_path):
    nodes, constants = convolution_of("x"), {"w": KERNEL, "v": DENSE}
    return heatcli.load(saved(tmp_path / "m.onnx", nodes, (1, 3, 16, 16), constants), preprocess="caffe")


def test_a_picture_is_hidden_by_grey(explainer):
    explanation = explainer.explain(PIL.Image.new("RGB", (20, 20), (9, 200, 40)), method="occlusion")
    assert explanation.settings["reference"] == [127.5 - 104, 127.5 - 117, 127.5 - 123]
    assert (explanation.settings["window"], explanation.settings["stride"]) == ([2, 2], [1, 1])
    assert any("windows of 2×2" in note and "--window" in note for note in explanation.notes)
    assert explanation.signed
    given = explainer.explain(PIL.Image.new("RGB", (20, 20)), method="occlusion", window=6)
    assert (given.settings["window"], given.settings["stride"]) == ([6, 6], [3, 3])
    assert not any("--window" in note for note in given.notes)


def test_all_targets_share_the_runs(explainer, monkeypatch):
    lock, runs, steps, true = threading.Lock(), [0], [0], Forward.run

    def counted(self: Forward, x: Array) -> dict[str, Array]:
        with lock:
            runs[0] += 1
        return true(self, x)

    def advance() -> None:
        with lock:
            steps[0] += 1

    monkeypatch.setattr(Forward, "run", counted)
    x = RANDOM.uniform(-100, 100, (3, 16, 16)).astype("float32")
    found = explainer.explain_targets(x, targets=("top-3",), method="occlusion", window=4, advance=advance)
    assert runs[0] == steps[0] + 1 == explainer.steps(method="occlusion", window=4) + 1 == 7**2 + 1
    assert len(found) == 3
    for explanation in found:
        alone = explainer.explain(x, target=explanation.target, method="occlusion", window=4)
        np.testing.assert_array_equal(alone.relevance, explanation.relevance)


def test_nothing_that_a_window_changes(tmp_path):
    constants = {"w": np.zeros((4, 3, 3, 3), "float32"), "v": DENSE}
    explainer = heatcli.load(saved(tmp_path / "m.onnx", convolution_of("x"), (1, 3, 8, 8), constants))
    explanation = explainer.explain(np.ones((3, 8, 8)), method="occlusion")
    assert not explanation.relevance.any()
    assert any("--window" in warning for warning in explanation.warnings)


def test_scores_that_a_window_makes_infinite(tmp_path):
    nodes = [node("Flatten", "x", "row"), node("ReduceMin", "row", "least", axes=[1]), node("Log", "least", "log")]
    nodes += [node("Concat", "log least", "y", axis=1)]
    explainer = heatcli.load(saved(tmp_path / "m.onnx", nodes, (1, 3, 8, 8), {}, classes=2))
    with pytest.raises(HeatcliError, match="not finite where a window is hidden"):
        explainer.explain(np.ones((3, 8, 8)), method="occlusion", target=0)


# windows --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "layout", "sizes", "strides", "count"),
    [
        ((1, 3, 224, 224), "NCHW", (32, 32), (16, 16), 169),
        ((1, 299, 299, 3), "NHWC", (42, 42), (21, 21), 14**2),
        ((1, 3, 32, 32), "NCHW", (4, 4), (2, 2), 15**2),
        ((1, 3, 2, 2), "NCHW", (1, 1), (1, 1), 4),
        ((1, 3, 1, 280), "NCHW", (1, 40), (1, 20), 13),
        ((1, 784), "flat", (4, 4), (2, 2), 13**2),
        ((1, 30), "flat", (1,), (1,), 30),
        ((1, 2, 3, 500), "tensor", (6,), (3,), 166),
        ((1, 1), "flat", (1,), (1,), 1),
    ],
)
def test_windows_grow_with_the_input(shape, layout, sizes, strides, count):
    windows = windows_on(shape, layout)
    assert (windows.size, windows.stride, len(windows.places())) == (sizes, strides, count)


@pytest.mark.parametrize("sides", [(16, 16), (17, 5), (1, 40), (3, 3)])
@pytest.mark.parametrize("window", [None, 1, 2, 7])
def test_windows_cover_everything_and_no_more(sides, window):
    if window is not None and window >= max(sides):
        with pytest.raises(UsageError, match=r"covers the whole input, 3×3"):
            windows_on((1, 3, *sides), "NCHW", window=window)
        return
    windows = windows_on((1, 3, *sides), "NCHW", window=window)
    count = np.zeros(windows.shape)
    for place in windows.places():
        assert all(0 <= part.start < part.stop <= side for part, side in zip(place, sides, strict=True))
        count[windows.whole(place)] += 1
    assert count.min() >= 1
    assert len(set(map(str, windows.places()))) == len(windows.places())


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"window": 0}, "whole number from 1 on"),
        ({"window": 2.5}, "whole number from 1 on"),
        ({"window": 16}, "covers the whole input, 16×16"),
        ({"rules": ["*=z+"]}, "--rule does not go with occlusion"),
        ({"input_rule": "w2"}, "--input-rule does not go with occlusion"),
        ({"pool": "winner"}, "--pool does not go with occlusion"),
        ({"biases": "ignore"}, "--biases does not go with occlusion"),
        ({"evidence": "one"}, "--evidence does not go with occlusion"),
        ({"layers": True}, "--layers does not go with occlusion"),
        ({"window": 4, "method": "gradient"}, "--window does not go with gradient"),
    ],
)
def test_settings_that_do_not_go_with_occlusion(explainer, settings, reason):
    with pytest.raises(UsageError, match=reason):
        explainer.explain(np.ones((3, 16, 16)), **{"method": "occlusion", **settings})


def test_what_needs_layers_does_not_go_with_occlusion(explainer, tmp_path):
    assert explainer.assigned_rules(method="occlusion") == {}
    with pytest.raises(UsageError, match="cannot be compiled"):
        explainer.compile(tmp_path / "out.onnx", method="occlusion")
    compiled = heatcli.load(explainer.model.path, engine="compiled")
    with pytest.raises(UsageError, match="--engine compiled does not go with occlusion"):
        compiled.explain(np.ones((3, 16, 16)), method="occlusion")
