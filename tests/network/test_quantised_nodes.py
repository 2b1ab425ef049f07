"""The standard's own node tests of quantised operations: the integers are those expected, and so is what is read.

The first input of a node is the picture. onnxruntime runs the graph in which real tensors stand beside the integers;
the layers that are read are computed by heatcli's kernels and may differ from that by the rounding of the output.
"""

from __future__ import annotations

import warnings
from functools import cache
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from heatcli.kernels.maps import linear_map
from heatcli.kernels.terms import ALL, WeightParts
from heatcli.network.layers import Activation, Affine, Linear
from heatcli.network.precision import lift
from heatcli.network.quantised import quantised, realise
from heatcli.network.reading import read_layers
from tests.network.test_backend_nodes import collected, named

NOT_RUN = "onnxruntime does not run it"
OTHERWISE = "onnxruntime answers otherwise than onnx expects"
REFUSED = ("the picture's integers have a scale for every channel", "scales for blocks of them")
"""What is said of nodes that some versions of onnxruntime run and heatcli does not read."""
LEAST = 14


@cache
def cases():
    """Return the node tests of quantised operations of the standard, by name."""
    known = {operation for domain, operation in quantised() if not domain}
    return {c.name: c for c in collected() if {node.op_type for node in c.model.graph.node} <= known}


def computed(layers, values, shapes):
    """Add to ``values`` what every layer puts out."""
    for layer in layers:
        x = values[layer.inputs[0]]
        if isinstance(layer, Affine):
            y = x * (1 if layer.scale is None else layer.scale) + (0 if layer.shift is None else layer.shift)
        elif isinstance(layer, Activation):
            y = np.clip(x, *layer.constants)
        elif isinstance(layer, Linear):
            linear = linear_map(layer, ALL, [x.shape], shapes[layer.name], WeightParts(np.float64))
            y = linear.apply([x])
            s = np.random.default_rng(0).normal(size=y.shape)
            assert np.vdot(y, s) == pytest.approx(np.vdot(x, linear.adjoint(s)[0]), rel=1e-9)  # ⟨Ax, s⟩ = ⟨x, Aᵀs⟩
            y = y if layer.bias is None else y + layer.bias
        else:
            y = x
        values[layer.name] = y.reshape(shapes[layer.name])
    return values


def run(model, inputs):
    options = ort.SessionOptions()
    options.log_severity_level = 4
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, inputs)


def answer(case) -> str:
    """Return nothing where the node is read and right, else why not; raises AssertionError where it is wrong."""
    ((given, expected),) = case.data_sets
    inputs, outputs = named(case.model.graph.input, given), named(case.model.graph.output, expected)
    try:
        untouched = run(case.model, inputs)
    except Exception:  # onnxruntime's exceptions have no common base
        return NOT_RUN
    if not np.array_equal(untouched[0], expected[0]):
        return OTHERWISE
    picture, *rest = inputs
    model = onnx.ModelProto()
    model.CopyFrom(case.model)
    del model.graph.input[1:]
    constants = {name: inputs[name] for name in rest}
    model.graph.initializer.extend(onnx.numpy_helper.from_array(value, name) for name, value in constants.items())
    lift(model, Path())
    constants = {name: v.astype(np.float32) if v.dtype == np.float16 else v for name, v in constants.items()}
    shapes = {name: np.shape(value) for name, value in (outputs | {picture: inputs[picture]}).items()}
    nodes, unclear = realise(model, constants, shapes, picture)
    if unclear:
        return unclear[0].reason
    opset = next(entry.version for entry in model.opset_import if not entry.domain)
    layers, unsupported = read_layers(nodes, picture, constants, shapes, {"": opset})
    assert not unsupported, unsupported
    (name, *_) = outputs
    integers = f"{name}/quantised"
    written = {output for node in model.graph.node for output in node.output}
    del model.graph.output[:]
    model.graph.output.extend(onnx.ValueInfoProto(name=n) for n in (name, integers) if n in written)
    x = inputs[picture].astype(np.float32) if inputs[picture].dtype == np.float16 else inputs[picture]
    results = run(model, {picture: x})
    found = dict(zip([entry.name for entry in model.graph.output], results, strict=True))
    np.testing.assert_array_equal(found.get(integers, found[name]), outputs[name])
    mine = computed(layers, {picture: inputs[picture].astype(np.float64)}, shapes)[name]
    step = np.abs(np.diff(np.unique(found[name]))).min() if integers in found and np.ptp(found[name]) else 1e-6
    np.testing.assert_allclose(mine, found[name], atol=0.51 * step if outputs[name].dtype.kind in "iu" else 1e-4)
    return ""


@pytest.mark.parametrize("name", cases())
def test_node(name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        reason = answer(cases()[name])
    assert reason in ("", NOT_RUN, OTHERWISE) or reason.endswith(REFUSED)


def test_what_runs_is_answered():
    assert sum(not answer(case) for case in cases().values()) >= LEAST
