"""One layer alone: read from an ONNX node, and sent relevance through by the package."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

from heatcli import network
from heatcli.network.layers import Layer, Network
from heatcli.relevance import rules
from heatcli.relevance.propagate import Assignment, Propagator

Array = np.ndarray


def model(nodes, shapes, constants, output, *, opset=17, dtype=TensorProto.FLOAT) -> onnx.ModelProto:
    """Return a model of ``nodes`` over the inputs ``shapes`` (by name) and ``constants`` (by name)."""
    graph = helper.make_graph(
        nodes,
        "single",
        [helper.make_tensor_value_info(name, dtype, shape) for name, shape in shapes.items()],
        [helper.make_tensor_value_info(output, dtype, None)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def run(proto: onnx.ModelProto, feeds: dict[str, Array]) -> Array:
    """Return the first output of ``proto`` from onnxruntime without any optimisation."""
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    session = ort.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, feeds)[0]


def read_node(node, shapes, constants, outputs, *, opset=17) -> list[Layer]:
    """Return the layers of one node; ``outputs`` gives the shapes of what it puts out."""
    layers, unsupported = network.reading.read_layers(
        [node], next(iter(shapes)), constants, {**shapes, **outputs}, {"": opset}
    )
    assert not unsupported, unsupported
    return layers


def network_of(layers: list[Layer], shapes: dict[str, tuple[int, ...]], source: str) -> Network:
    """Return a network of these layers alone, whose class scores are the last layer's output."""
    last = layers[-1].name
    return Network(
        layers=tuple(layers),
        input=network.layers.InputSpec(source, shapes[source], "float32", "tensor"),
        output=network.layers.OutputSpec(last, "logits", int(np.prod(shapes[last])), last),
        shapes=shapes,
        graph=b"",
    )


def relevance(net, rule, activations, r, *, bounds=None, biases=True, closes=None):
    """Send ``r``, of the last layer's shape, through a network in float64; return (relevance, ledger).

    The walk starts at one class; several are added up, which every rule allows, being linear in r. Unless ``closes``
    is false (the gradient; networks with a second input) the account of every walk must close to 1e-9.
    """
    closes = rule is not rules.GRADIENT if closes is None else closes
    assigned = {layer.name: rule for layer in net.layers}
    propagator = Propagator(Assignment(net, assigned, bounds or {}, biases=biases), np.float64)
    total, booked = np.zeros(net.input.shape), np.zeros(3)
    for index in np.flatnonzero(r):
        ((part, ledger),) = propagator.run(activations, [int(index)], [float(r.reshape(-1)[index])])
        total += part
        booked += [ledger.biases, ledger.constants, ledger.lost]
        assert not closes or abs(ledger.error) < 1e-9
        for row in ledger.layers if closes else ():
            assert abs(row.error) <= 1e-9 * max(1, abs(ledger.start))
    return total, booked


def named(text: str):
    return rules.PROPORTIONAL if text == "proportional" else rules.named(text)
