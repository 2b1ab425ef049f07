"""Single layers under the rules of innvestigate, from a file of its inputs, weights and attributions.

The start is its largest output, all else zero. The parameters of its rules were read off the numbers: ε = 1e-7, z^B on
[−128, 128] or [−10, 10]. All its biases are zero, so what it does to biases cannot be seen here.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import heatcli

LAYERS = ("Dense", "Dense_relu", "Conv2D", "Conv2D_relu", "AveragePooling2D", "MaxPooling2D")


@dataclass(frozen=True)
class Counterpart:
    """Our settings for one of its analyzers: the ``rule`` of linear layers, that of average ``pools``, the range."""

    rule: str
    pools: str = "proportional"
    biases: str = "neurons"
    range: tuple[float, float] | None = None


COUNTERPARTS = {
    # Its deep Taylor spreads an average evenly, where the paper (5.2) shares in proportion to the activations.
    "BoundedDeepTaylor": Counterpart("zB", pools="flat", range=(-128, 128)),
    "DeepTaylor": Counterpart("z+", pools="flat"),
    "LRPAlpha1Beta0": Counterpart("alpha-beta:1,0"),
    "LRPAlpha1Beta0IgnoreBias": Counterpart("alpha-beta:1,0", biases="ignore"),
    "LRPAlpha2Beta1": Counterpart("alpha-beta:2,1"),
    "LRPAlpha2Beta1IgnoreBias": Counterpart("alpha-beta:2,1", biases="ignore"),
    "LRPEpsilon": Counterpart("epsilon:1e-7"),
    "LRPFlat": Counterpart("flat"),
    "LRPWSquare": Counterpart("w2"),
    "LRPZ": Counterpart("epsilon:0"),
    "LRPZIgnoreBias": Counterpart("epsilon:0", biases="ignore"),
    "LRPZPlus": Counterpart("z+"),
    "LRPZ_boxed_input_layer_rule": Counterpart("zB", range=(-10, 10)),
}
METHODS = {"Gradient": "gradient", "InputTimesGradient": "gradient-x-input"}
WITHOUT_COUNTERPART = {
    "Deconvnet": "changes what rectifiers do to negative values, of which a single layer at a positive output has none",
    "GuidedBackprop": "the same",
}


@pytest.fixture(scope="module")
def recorded(data: Path) -> dict[str, np.ndarray]:
    path = data / "references" / "innvestigate_layers.npz"
    if not path.exists():
        pytest.skip(f"no {path.name} in the test data")
    with np.load(path) as arrays:
        return dict(arrays)


def model_of(layer: str, recorded: dict[str, np.ndarray], analyzer: str) -> onnx.ModelProto:
    """Return one layer on a picture (1, 10, 10, 3), channels last, and its outputs as a row, as an ONNX model.

    Behind a pool stands a unit matrix, since a network without any learned layer is refused.
    """
    nodes: list[onnx.NodeProto] = []
    constants: dict[str, np.ndarray] = {}
    last = "input"

    def then(operation: str, *operands: str, **attributes: object) -> None:
        nonlocal last
        output = f"{operation}_{len(nodes)}"
        nodes.append(helper.make_node(operation, [last, *operands], [output], **attributes))
        last = output

    kind = layer.removesuffix("_relu")
    if kind in ("Dense", "Conv2D"):
        constants["w"] = recorded[f"{analyzer}/{layer}/weights/0"]
        constants["b"] = recorded[f"{analyzer}/{layer}/weights/1"]
    if kind == "Dense":
        then("MatMul", "w")
        then("Add", "b")
    else:
        then("Transpose", perm=[0, 3, 1, 2])
        if kind == "Conv2D":
            constants["w"] = constants["w"].transpose(3, 2, 0, 1)
            then("Conv", "w", "b")
        else:
            then(kind.removesuffix("ing2D"), kernel_shape=[2, 2], strides=[2, 2])
        then("Transpose", perm=[0, 2, 3, 1])
    if layer.endswith("_relu"):
        then("Relu")
    then("Flatten")
    if kind.endswith("Pooling2D"):
        constants["unit"] = np.eye(75, dtype=np.float32)
        then("MatMul", "unit")
    graph = helper.make_graph(
        nodes,
        layer,
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 10, 10, 3])],
        [helper.make_tensor_value_info(last, TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.ascontiguousarray(value), name) for name, value in constants.items()],
    )
    return helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 13)])


def compare(analyzer: str, layer: str, recorded: dict[str, np.ndarray], folder: Path, **settings) -> None:
    """Explain the eight recorded inputs and compare outputs and attributions, 1e-6 of their maximum."""
    onnx.save(model_of(layer, recorded, analyzer), folder / "model.onnx")
    explainer = heatcli.load(folder / "model.onnx", precision="float64")
    explanations = [explainer.explain(x.astype(np.float32), **settings) for x in recorded[f"{analyzer}/input"]]
    outputs = recorded[f"{analyzer}/{layer}/output"]
    assert [entry.target for entry in explanations] == list(outputs.argmax(axis=1))
    np.testing.assert_allclose([entry.score for entry in explanations], outputs.max(axis=1), rtol=1e-6)
    theirs = recorded[f"{analyzer}/{layer}/attribution"]
    ours = np.stack([entry.relevance for entry in explanations])
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-6 * np.abs(theirs).max())


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("analyzer", COUNTERPARTS)
def test_rule(analyzer: str, layer: str, recorded: dict[str, np.ndarray], tmp_path: Path):
    counterpart = COUNTERPARTS[analyzer]
    rules = [f"*={counterpart.rule}"]
    if layer.endswith("Pooling2D"):
        rules = [f"AveragePool*={counterpart.pools}"] * layer.startswith("Average") + ["MatMul*=epsilon:0"]
    settings = {"rules": rules, "pool": "winner", "biases": counterpart.biases, "range": counterpart.range}
    compare(analyzer, layer, recorded, tmp_path, **settings)


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("analyzer", METHODS)
def test_method(analyzer: str, layer: str, recorded: dict[str, np.ndarray], tmp_path: Path):
    compare(analyzer, layer, recorded, tmp_path, method=METHODS[analyzer])


def test_every_recorded_analyzer_is_accounted_for(recorded: dict[str, np.ndarray]):
    assert {key.split("/")[0] for key in recorded} == {*COUNTERPARTS, *METHODS, *WITHOUT_COUNTERPART}
