"""The compiled explainer: a network and its explanation as one ONNX model of standard operations.

The graph is the network's own, and behind it the walk of relevance, written by the same rules that run in NumPy. Beside
the network's input it takes ``target``: class indices, or −1 for the best class, −2 for the second. Beside the
network's outputs it gives ``relevance``, of the input's shape; ``heatmap``, relevance summed over the channels; and
``ledger``, a row (start, pixels, biases, constants, lost) for every explanation. One picture goes with any number of
targets, several pictures with one target for each or one for all.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from heatcli import runtime
from heatcli.errors import HeatcliError, UnsupportedModel
from heatcli.kernels.protocol import Tensor
from heatcli.kernels.symbols import Graph, Symbol
from heatcli.kernels.written import GraphKernels
from heatcli.methods import Method
from heatcli.network.layers import Network
from heatcli.pictures.layouts import Form
from heatcli.relevance.batching import batched
from heatcli.relevance.propagate import Assignment, Walk, write_denominators

Array = np.ndarray
Dims = tuple[int | str, ...]

OPSET = 17
"""The oldest operator set that has every operation of the walk."""
LIMIT = 2_000_000_000
"""Bytes that one ONNX file can hold."""
OURS = ("target", "relevance", "heatmap", "ledger")


@dataclass(frozen=True, eq=False)
class Compiled:
    """A graph without its large constants, which are ``weights`` by name.

    ``names`` gives the names of target, relevance, heatmap and ledger in the graph: their own, unless the model has
    taken them. ``several`` says that one picture can go with several targets, ``open_batch`` that the number of
    pictures is open.
    """

    model: onnx.ModelProto
    weights: dict[str, Array]
    names: dict[str, str]
    several: bool
    open_batch: bool

    def serialised(self) -> bytes:
        """Return the whole model, constants included; raises HeatcliError where it is too large for one file."""
        size = sum(value.nbytes for value in self.weights.values())
        if size > LIMIT:
            raise HeatcliError(f"the explainer takes {size / 1e9:.1f} GB; an ONNX file cannot hold more than 2 GB")
        whole = onnx.ModelProto()
        whole.CopyFrom(self.model)
        for entry in whole.graph.initializer:
            if entry.name in self.weights:
                entry.CopyFrom(numpy_helper.from_array(self.weights[entry.name], entry.name))
        return whole.SerializeToString()


def compile_walk(
    assignment: Assignment,
    method: Method,
    *,
    conserves: bool,
    evidence: str,
    activation: str,
    form: Form | None,
    open_batch: bool,
    metadata: Mapping[str, str],
) -> Compiled:
    """Write the explainer of ``assignment``.

    ``evidence`` is what is put in at the top: logit, one or probability (by ``activation``: softmax or sigmoid).
    ``conserves`` says that there is an account. ``form`` is what kind of picture the input holds, None for no heatmap.
    ``open_batch`` leaves the number of pictures open where the network allows. Raises UnsupportedModel for a network
    with operations outside the standard ones.
    """
    network = assignment.network
    model = onnx.ModelProto.FromString(network.graph)
    _refuse_foreign(model)
    _standard(model)
    several = batched(network)
    open_batch = open_batch and several
    if open_batch:
        leave_batch_open(model, network)

    graph = Graph()
    kernels = GraphKernels(graph, network.shapes, batched=several, initializers=network.weights)
    symbols = kernels.activations(network.input.name, network.input.dtype)
    written = write_denominators(Walk(assignment, kernels, symbols, {}), pools=True)
    walk = Walk(assignment, kernels, symbols, written)
    taken = {name for node in model.graph.node for name in (*node.input, *node.output)}
    names = {name: name if name not in taken else f"heatcli/{name}" for name in OURS}
    top, begun = _start(network, kernels, names["target"], evidence, activation, gradient=not method.conserves)
    arrived, rows = walk.run(top)
    x: Tensor = symbols[network.input.name]
    relevance: Tensor = method.finish(arrived, x)
    account = [sum(getattr(row, column) for row in rows) for column in ("biases", "constants", "lost")]
    if not conserves:
        account = [math.nan] * 3
    ledger = _columns(kernels, begun, [kernels.total(relevance), *account])
    axis: int | str = "explanations" if several else 1
    outputs: dict[str, tuple[Symbol, Dims]] = {
        "relevance": (relevance, (axis, *relevance.shape[1:]) if several else relevance.shape)
    }
    if form is not None:
        outputs["heatmap"] = (_heatmap(kernels, relevance, form), (axis, *form.size))
    outputs["ledger"] = (ledger, (axis, 5))
    _assemble(model, network, graph, names, outputs, open_batch=open_batch, several=several)
    del model.metadata_props[:]
    for key, value in {**network.metadata, **metadata}.items():
        model.metadata_props.add(key=key, value=value)
    return Compiled(model, network.weights | _large(model, graph), names, several, open_batch)


def _refuse_foreign(model: onnx.ModelProto) -> None:
    """Raise UnsupportedModel for operations outside the standard ones, each with the first node that has it."""
    nodes: dict[str, list[str]] = {}
    for node in model.graph.node:
        if node.domain not in ("", "ai.onnx"):
            nodes.setdefault(f"{node.domain}:{node.op_type}", []).append(node.name or node.output[0])
    if nodes:
        listed = [
            f"{operation} ({names[0]}{f' and {len(names) - 1} more' if len(names) > 1 else ''})"
            for operation, names in sorted(nodes.items())
        ]
        raise UnsupportedModel(
            f"the network has operations that are not standard ones and cannot be compiled: {', '.join(listed)}"
        )


def open_compiled(compiled: Compiled, outputs: Iterable[str], *, threads: int | None, provider: str) -> runtime.Session:
    """Open a session on an explainer whose network is to put out ``outputs`` too."""
    model = onnx.ModelProto()
    model.CopyFrom(compiled.model)
    present = {entry.name for entry in model.graph.output}
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in outputs if name not in present)
    stored = {entry.name for entry in model.graph.initializer}
    weights = {name: value for name, value in compiled.weights.items() if name in stored}
    return runtime.open_session(
        model.SerializeToString(), weights=weights, level="all", threads=threads, provider=provider
    )


# what goes in at the top ----------------------------------------------------------------------------------------------


def _start(
    network: Network, kernels: GraphKernels, target: str, evidence: str, activation: str, *, gradient: bool
) -> tuple[Symbol, Symbol]:
    """Write the relevance of the class scores, and its sum for every explanation; a gradient starts with 1.

    Class and rank are looked up in a list of all places, which fails in every runtime where they are not in it.
    """
    graph, classes = kernels.graph, network.output.classes
    logits = graph.real(network.output.logits, network.shapes[network.output.logits])
    scores: Tensor = kernels.reshape(logits, (1, classes))
    order = [f"{target}/scores", f"{target}/order"]
    graph.several("TopK", [scores.name, graph.integers(classes)], order, axis=1)
    row = graph.node("Unsqueeze", [target, graph.integers(1)])
    zero, places = graph.constant(np.asarray(0, np.int64)), graph.integers(*range(classes))
    ranking = graph.node("Less", [row, zero])
    rank = graph.node("Sub", [graph.node("Neg", [row]), graph.integers(1)])
    rank = graph.node("Gather", [places, graph.node("Where", [ranking, rank, zero])])
    # The class at that rank: where place equals rank, by a sum over all places, which lets pictures and targets meet.
    at_rank = graph.node("Equal", [places, rank])
    ranked = graph.node("Where", [at_rank, order[1], zero])
    best = graph.node("ReduceSum", [ranked, graph.integers(1)], keepdims=1)
    chosen = graph.node("Gather", [places, graph.node("Where", [ranking, best, row])])
    hit: Tensor = graph.symbol("Equal", [places, chosen], (1, classes))
    values: Tensor = np.maximum(scores, 0)
    if evidence == "one":
        values = kernels.constant(np.ones((1, classes)))
    elif evidence == "probability":
        values = _probabilities(network, kernels, scores, activation)
    begun: Tensor = np.where(hit, values, 0.0)
    top: Tensor = np.where(hit, 1.0, 0.0) if gradient else begun
    return kernels.reshape(top, logits.shape), kernels.total(begun)


def _probabilities(network: Network, kernels: GraphKernels, scores: Symbol, activation: str) -> Symbol:
    """Write the probability of every class, as ``targets.probabilities`` computes it."""
    classes, graph = network.output.classes, kernels.graph
    if network.output.kind != "logits":
        own = graph.real(network.output.name, network.shapes[network.output.name])
        values: Tensor = kernels.reshape(own, (1, classes))
        return np.exp(values) if network.output.kind == "log-softmax" else values
    if classes == 1 or activation == "sigmoid":
        return graph.symbol("Sigmoid", [scores], scores.shape)
    return graph.symbol("Softmax", [scores], scores.shape, axis=1)


# what comes out -------------------------------------------------------------------------------------------------------


def _columns(kernels: GraphKernels, begun: Symbol, others: list[Symbol | float]) -> Symbol:
    """Write numbers of every explanation side by side, as many rows as ``begun`` has."""
    graph = kernels.graph
    cells = [graph.node("Unsqueeze", [begun.name, graph.integers(1)])]
    for value in others:
        column = begun * 0.0 + value  # as many rows, whatever broadcasts
        cells.append(graph.node("Unsqueeze", [column.name, graph.integers(1)]))
    return graph.symbol("Concat", cells, (1, 5), axis=1)


def _heatmap(kernels: GraphKernels, relevance: Symbol, form: Form) -> Symbol:
    """Write the sum over the channels, (explanations, H, W)."""
    height, width = form.size
    graph, layout = kernels.graph, form.layout.removeprefix("N")
    if layout.startswith("flat"):
        layout = "HWC" if layout == "flat-HWC" else "CHW"
    elif layout == "HW":
        layout = "CHW"
    shape = (height, width, form.channels) if layout == "HWC" else (form.channels, height, width)
    pictures = graph.symbol("Reshape", [relevance, graph.integers(-1, *shape)], (1, *shape))
    axis = 3 if layout == "HWC" else 1
    return graph.symbol("ReduceSum", [pictures, graph.integers(axis)], (1, height, width), keepdims=0)


def _assemble(
    model: onnx.ModelProto,
    network: Network,
    graph: Graph,
    names: Mapping[str, str],
    outputs: Mapping[str, tuple[Symbol, Dims]],
    *,
    open_batch: bool,
    several: bool,
) -> None:
    """Put the walk behind the network, with inputs and outputs and what is known of their shapes."""
    proto = model.graph
    proto.node.extend(graph.nodes)
    for name, (symbol, _) in outputs.items():
        proto.node.append(helper.make_node("Identity", [symbol.name], [names[name]], name=names[name]))
    proto.initializer.extend(runtime.initializer(*entry) for entry in graph.constants.items())
    proto.input.append(helper.make_tensor_value_info(names["target"], TensorProto.INT64, ["targets" if several else 1]))
    for entry in proto.output:
        if entry.name in network.shapes and entry.type.HasField("tensor_type"):
            shape = network.shapes[entry.name]
            sides: list[int | str | None] = ["batch", *shape[1:]] if open_batch else [*shape]
            entry.CopyFrom(helper.make_tensor_value_info(entry.name, entry.type.tensor_type.elem_type, sides))
    for name, (_, dims) in outputs.items():
        proto.output.append(helper.make_tensor_value_info(names[name], TensorProto.FLOAT, list(dims)))
    proto.name = "explainer"
    model.ir_version = max(model.ir_version, 8)
    model.producer_name = "heatcli"
    kept = [network.output.name, *(entry.name for entry in (*proto.output, *proto.input))]
    runtime.prune(proto, kept)  # sums of single layers go


def _large(model: onnx.ModelProto, graph: Graph) -> dict[str, Array]:
    """Return the constants that stand in the model as placeholders."""
    present = {entry.name for entry in model.graph.initializer}
    return {name: value for name, value in graph.constants.items() if value.nbytes >= runtime.LARGE and name in present}


# the network's own part -----------------------------------------------------------------------------------------------


def _standard(model: onnx.ModelProto) -> None:
    """Bring the model to an operator set that has all that the walk is written in, and drop what it does not use."""
    versions = [entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")]
    version = max(versions, default=1)
    del model.opset_import[:]
    model.opset_import.add(domain="", version=version)
    if version >= OPSET:
        return
    # Weights that stand elsewhere are inputs for the time of the conversion.
    elsewhere = [entry for entry in model.graph.initializer if entry.data_location == TensorProto.EXTERNAL]
    here = [entry for entry in model.graph.initializer if entry.data_location != TensorProto.EXTERNAL]
    del model.graph.initializer[:]
    model.graph.initializer.extend(here)
    model.graph.input.extend(
        helper.make_tensor_value_info(entry.name, entry.data_type, list(entry.dims)) for entry in elsewhere
    )
    model.ir_version = max(model.ir_version, 8)
    from onnx import version_converter

    try:
        converted = version_converter.convert_version(model, OPSET)
    except Exception as error:  # its exceptions have no common base
        raise UnsupportedModel(
            f"the network's operator set {version} cannot be brought to {OPSET}: {runtime.reason(error)}"
        ) from error
    known = {"", *(entry.name for entry in (*converted.graph.input, *converted.graph.initializer))}
    for node in converted.graph.node:
        known.update(node.output)
    lost = [node for node in converted.graph.node if not known.issuperset(node.input)]
    if lost:
        raise UnsupportedModel(
            f"the network's operator set {version} cannot be brought to {OPSET}: {lost[0].op_type} loses its input"
        )
    names = {entry.name for entry in elsewhere}
    inputs = [entry for entry in converted.graph.input if entry.name not in names]
    del converted.graph.input[:]
    converted.graph.input.extend(inputs)
    converted.graph.initializer.extend(elsewhere)
    del converted.graph.value_info[:]
    model.CopyFrom(converted)


def leave_batch_open(model: onnx.ModelProto, network: Network) -> None:
    """Rewrite every reshape so that axis 0 keeps the length it has, and name it batch."""
    graph = model.graph
    constants = {entry.name for entry in graph.initializer}
    added: dict[tuple[int, ...], str] = {}
    for node in graph.node:
        if node.op_type == "Reshape" and node.input[1] in constants and node.output[0] in network.shapes:
            target = (-1, *network.shapes[node.output[0]][1:])
            if target not in added:
                added[target] = f"heatcli/shape/{len(added)}"
                graph.initializer.append(numpy_helper.from_array(np.asarray(target, np.int64), added[target]))
            node.input[1] = added[target]
    for entry in graph.input:
        if entry.name == network.input.name:
            entry.type.tensor_type.shape.dim[0].Clear()
            entry.type.tensor_type.shape.dim[0].dim_param = "batch"
