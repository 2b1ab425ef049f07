"""Every operation that has a reader, in every form of its attributes and inputs, inside a tiny classifier.

Picture → Conv → LeakyRelu → c (and a second branch d) → the operation → y → Flatten → Gemm → logits. Scores and finite
differences come from onnxruntime on the untouched file; the account of deep Taylor decomposition has to close.
"""

from __future__ import annotations

import itertools
import zlib
from dataclasses import dataclass
from functools import cache

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import helper, numpy_helper

import heatcli
from heatcli.errors import UnsupportedModel
from heatcli.forward import Forward
from heatcli.kernels.maps import linear_map
from heatcli.kernels.terms import ALL, WeightParts
from heatcli.network.layers import AveragePooling, Chain, Linear, Reduction, Summation
from heatcli.network.reading import supported
from heatcli.network.rewriting import rewritten
from tests.network.chain_table import ACTIVATION_CHAINS, NORMALISATION_CHAINS, flat
from tests.network.operation_table import (
    AFFINE,
    CLASSES,
    FLOAT,
    HEADS,
    KINDS,
    LINEAR,
    MERGING,
    OPERATIONS,
    POOLING,
    Case,
    Op,
    case,
    f,
    ints,
    op,
    positive,
)

CASES = OPERATIONS | flat(ACTIVATION_CHAINS) | flat(NORMALISATION_CHAINS)
RANGE = (-1.0, 1.0)
STEP = 2e-3


def proto_of(example: Case, seed: int) -> onnx.ModelProto:
    """Build the classifier around the nodes of ``example``."""
    constants: dict[str, np.ndarray] = {}

    def node(entry: Op) -> onnx.NodeProto:
        names = []
        for value in entry.inputs:
            name = value if isinstance(value, str) else f"k{len(constants)}"
            if not isinstance(value, str):
                constants[name] = value
            names.append(name)
        return helper.make_node(entry.operation, names, entry.outputs, domain=entry.domain, **entry.attributes)

    random = np.random.default_rng(seed)
    front = []
    for place, branch in enumerate("cd"):
        if any(branch in (name for name in entry.inputs if isinstance(name, str)) for entry in example.ops):
            w = random.normal(scale=0.3, size=(4, 3, 3, 3)).astype("float32")
            b = random.normal(scale=0.1, size=4).astype("float32")
            front += [
                op("Conv", "x", w, b, pads=[1, 1, 1, 1], out=f"{branch}/v"),
                op("LeakyRelu", f"{branch}/v", alpha=0.2 + 0.1 * place, out=branch),
            ]
    nodes = [node(entry) for entry in (*front, *example.ops)]
    shape = [1, 3, example.size, example.size]
    if not any("logits" in entry.outputs for entry in example.ops):
        x = np.zeros(shape, "float32")
        size = session(graph_of(nodes, constants, shape, ["y"], example.opset)).run(None, {"x": x})[0].size
        w = random.normal(size=(size, CLASSES)).astype("float32") / np.float32(np.sqrt(size))
        nodes += [
            node(op("Reshape", "y", ints(1, size), out="flat")),
            node(op("Gemm", "flat", w, f(CLASSES, low=0.1, high=0.5), out="logits")),
        ]
    return graph_of(nodes, constants, shape, [example.scores], example.opset)


def graph_of(nodes, constants, shape, outputs, opset) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", FLOAT, shape)],
        [helper.make_tensor_value_info(name, FLOAT, None) for name in outputs],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def session(proto: onnx.ModelProto) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    return ort.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])


@dataclass(frozen=True)
class Reference:
    """A written case and what onnxruntime alone says about it: logits, scores and ∂logit/∂x of the best class."""

    proto: bytes
    x: np.ndarray
    logits: np.ndarray
    scores: np.ndarray
    target: int
    gradient: np.ndarray


@cache
def reference(name: str) -> Reference:
    """Measure a case at a picture without a kink nearby: where both one-sided slopes agree for every pixel."""
    example = CASES[name]
    seed = zlib.crc32(name.encode())
    proto = proto_of(example, seed)
    probed = onnx.ModelProto.FromString(proto.SerializeToString())
    if example.scores != "logits":
        probed.graph.output.append(onnx.ValueInfoProto(name="logits"))
    plain = session(probed)

    def logits(z):
        return plain.run(["logits"], {"x": z})[0].astype(np.float64).reshape(-1)

    for attempt in range(40):
        x = np.random.default_rng([seed, attempt]).uniform(-0.9, 0.9, (1, 3, example.size, example.size))
        x = x.astype("float32")
        middle = logits(x)
        if middle.max() <= 0.05:
            continue
        target = int(middle.argmax())
        slopes, kinks = np.zeros(x.shape), np.zeros(x.shape)
        for place in itertools.product(*map(range, x.shape)):
            up, down = x.copy(), x.copy()
            up[place] += np.float32(STEP)
            down[place] -= np.float32(STEP)
            above, below = logits(up)[target], logits(down)[target]
            slopes[place] = (above - below) / (2 * STEP)
            kinks[place] = (above + below - 2 * middle[target]) / (2 * STEP)
        if np.linalg.norm(kinks) <= 3e-3 * np.linalg.norm(slopes):
            return Reference(
                proto.SerializeToString(), x, middle, plain.run([example.scores], {"x": x})[0], target, slopes[0]
            )
    raise AssertionError("no picture with a positive score and without kinks")


@pytest.fixture
def opened(tmp_path):
    """A function from the name of a case to its explainer."""

    def load(name, precision):
        path = tmp_path / "model.onnx"
        path.write_bytes(reference(name).proto)
        return heatcli.load(path, range=RANGE, precision=precision)

    return load


def test_every_operation_is_in_the_table():
    tried = {f"{entry.domain}:{entry.operation}".lstrip(":") for example in CASES.values() for entry in example.ops}
    written = {f"{domain}:{operation}".lstrip(":") for domain, operation in rewritten()}
    elsewhere = {"QuantizeLinear", *(name for name in written if name.startswith("ai.onnx.ml"))}  # tables of their own
    assert {*supported(), *written} - elsewhere <= tried


@pytest.mark.parametrize("name", CASES)
def test_score_and_gradient(opened, name):
    expected, explainer = reference(name), opened(name, "float64")
    explanation = explainer.explain(expected.x, method="gradient")
    assert explanation.target == expected.target
    assert explanation.score == pytest.approx(expected.logits[expected.target], rel=1e-5, abs=1e-6)
    scale = np.linalg.norm(expected.gradient)
    assert np.linalg.norm(explanation.relevance - expected.gradient) <= 1e-2 * scale


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("name", CASES)
def test_account_of_deep_taylor(opened, name, precision):
    expected, explainer = reference(name), opened(name, precision)
    tolerance = {"float32": 1e-4, "float64": 1e-9}[precision]
    explanation = explainer.explain(expected.x)
    ledger = explanation.ledger
    assert explanation.target == expected.target
    assert ledger.start == explanation.score > 0
    assert abs(ledger.error) <= tolerance
    for row in ledger.layers:
        assert abs(row.error) <= tolerance * ledger.start, row
    assert explanation.relevance.min() >= 0
    assert explanation.relevance.max() > 0
    assert min(ledger.biases, ledger.constants, ledger.lost) >= 0
    assert ledger.pixels == pytest.approx(explanation.relevance.sum(dtype=np.float64), rel=1e-5)


@pytest.mark.parametrize("engine", ["numpy", "compiled"])
@pytest.mark.parametrize("name", CASES)
def test_classes_together_as_each_alone(tmp_path, name, engine):
    path = tmp_path / "model.onnx"
    path.write_bytes(reference(name).proto)
    explainer, x = heatcli.load(path, range=RANGE, engine=engine), reference(name).x
    together = explainer.explain_targets(x, targets=("top-2",))
    assert len(together) == min(2, explainer.network.output.classes)
    for explanation in together:
        alone = explainer.explain(x, target=explanation.target)
        slack = 1e-5 * max(np.abs(alone.relevance).max(), 1e-6)
        np.testing.assert_allclose(explanation.relevance, alone.relevance, rtol=1e-4, atol=slack)
        for part in ("start", "pixels", "biases", "constants", "lost"):
            mine, theirs = getattr(explanation.ledger, part), getattr(alone.ledger, part)
            assert mine == pytest.approx(theirs, rel=1e-4, abs=1e-4 * max(alone.ledger.start, 1e-6)), part


@pytest.mark.parametrize("name", AFFINE | MERGING | POOLING | LINEAR)
def test_linear_layers_compute_what_the_file_does(opened, name):
    """Weights and bias of a layer, whatever was folded into them, lead from its input to its output."""
    net = opened(name, "float64").network
    layers = [layer for layer in net.layers if isinstance(layer, Linear | AveragePooling | Reduction | Summation)]
    values = Forward(net, [name for layer in layers for name in (*layer.inputs, layer.name)]).run(reference(name).x)
    assert layers
    for layer in layers:
        operands = [values.get(o) if isinstance(o, str) else o for o in getattr(layer, "operands", layer.inputs)]
        linear = linear_map(layer, ALL, [o.shape for o in operands], net.shapes[layer.name], WeightParts(np.float64))
        found = linear.apply([o.astype(np.float64) for o in operands])
        found = found if layer.bias is None else found + layer.bias
        np.testing.assert_allclose(found, values[layer.name], rtol=1e-4, atol=1e-5, err_msg=layer.name)


@pytest.mark.parametrize("name", HEADS)
def test_heads_are_walked_through(opened, name):
    expected, explainer = reference(name), opened(name, "float32")
    output = explainer.network.output
    kinds = [KINDS[entry.operation] for entry in HEADS[name].ops if entry.operation in KINDS]
    assert [output.kind] == kinds
    assert output.classes == CLASSES
    explanation = explainer.explain(expected.x)
    values = expected.scores.reshape(-1).astype(np.float64)
    chances = np.exp(values) if output.kind == "log-softmax" else values
    assert explanation.probability == pytest.approx(chances[expected.target], rel=1e-4)
    order = np.argsort(-expected.logits)
    assert [entry.index for entry in explanation.top] == list(order)
    np.testing.assert_allclose([entry.score for entry in explanation.top], expected.logits[order], atol=1e-5)


REFUSED = {
    "indices as a signal": case(op("MaxPool", kernel_shape=[2, 2], out=("m", "i")), op("Cast", "i", to=FLOAT)),
    "a mean as a signal": case(op("LayerNormalization", "c", f(6), out=("n", "mean")), op("Add", "n", "mean")),
    "Pow of two": case(*positive(), op("Pow", "p", "d")),
}


@pytest.mark.parametrize("name", REFUSED)
def test_forms_that_are_refused(tmp_path, name):
    path = tmp_path / "model.onnx"
    path.write_bytes(proto_of(REFUSED[name], 0).SerializeToString())
    with pytest.raises(UnsupportedModel, match=REFUSED[name].ops[-1].operation):
        heatcli.load(path, range=RANGE).network.require_layers()


@pytest.mark.parametrize(
    "name", ["Slice negative step", "Gather repeated", "Max with channels", "Pad axes", "Mul of two"]
)
def test_the_readers_see_the_operation(opened, name):
    """What the optimiser would have folded or dropped proves nothing about a reader."""
    seen = set()
    for layer in opened(name, "float32").network.layers:
        seen |= {step.operation for step in layer.steps} if isinstance(layer, Chain) else {layer.operation}
    assert name.split()[0] in seen
