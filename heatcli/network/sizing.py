"""How much memory a network takes for one picture, told before any of it is taken.

Shapes by static inference are looked at first. Where these are not known, the network is run once as it stands, with
every allocation counted: onnxruntime's optimiser, which comes later, would compute constants of any size unasked.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import onnx
from onnx import TensorProto

from heatcli import runtime
from heatcli.errors import UnreadableModel, UnsupportedModel, UnsupportedNode, shown
from heatcli.limits import Limits, amount
from heatcli.network.declared import bits
from heatcli.network.inferring import SIZES, inferred, nodes
from heatcli.network.layers import InputSpec

Array = np.ndarray
Shape = tuple[int, ...]

TOLD = {
    **dict.fromkeys(("ConstantOfShape", "HannWindow", "HammingWindow", "BlackmanWindow"), (0,)),
    **dict.fromkeys(("Expand", "Tile", "Upsample", "Pad", "OneHot", "CenterCropPad", "DFT"), (1,)),
    "Range": (0, 1, 2),
    "Resize": (2, 3),
    "Col2Im": (1, 2),
    "MaxUnpool": (2,),
    "MelWeightMatrix": (0, 1),
    **dict.fromkeys(("NonZero", "Unique", "Compress", "NonMaxSuppression"), (0, 1)),
}
"""Operations whose result has as many elements as an input says, and at which places such inputs are."""
COLUMNS = {"ConvTranspose": 1, "ConvInteger": 1, "QLinearConv": 3}
"""Operations that lay out what meets a kernel side by side, and at which place of their inputs the kernel is."""
ATTENTION = frozenset(("Attention", "MultiHeadAttention", "GroupQueryAttention", "QAttention", "DecoderAttention"))
WIDE_LRN = 1000
"""Channels that an LRN may sum over: it takes as many planes beside its own."""
TEXT = 32
"""Bytes of a short text in a tensor; what is longer has its letters elsewhere."""
COPIES = 6
"""How often empty pictures that go in beside the one are held until the network is simplified."""


def check(
    model: onnx.ModelProto,
    spec: InputSpec,
    weights: Mapping[str, Array],
    limits: Limits,
) -> None:
    """Refuse ``model``, with its ``weights`` apart from it, where it takes more memory than ``limits`` allow.

    Raises UnreadableModel, or UnsupportedModel where how much depends on what the picture shows.
    """
    seen = _check_told(model, spec)
    longest = _longest_text(model)
    computed = any(node.op_type in SIZES for node in model.graph.node)
    shapes = None
    for data in (True, False) if computed else (False, True):  # shapes that are computed are hardly known without
        whole = inferred(model, data=data)
        shapes = None if whole is None else _sum(whole, limits, TEXT + longest)
        if shapes is not None or (data and whole is not None):
            break
    if shapes is None:
        _check_chosen(model, seen)
    elif not any(_may_take_more(node, shapes, limits) for node in model.graph.node):
        return
    # bytes of letters are taken from elsewhere, unseen: at most so many for every one that is counted
    _run(model, spec, weights, limits, limits.activations * TEXT // (TEXT + longest))


def _may_take_more(node: onnx.NodeProto, shapes: Mapping[str, Shape], limits: Limits) -> bool:
    """Whether ``node`` may take much memory beside its inputs and outputs, of which their shapes tell nothing."""
    if node.op_type in ATTENTION or (node.op_type == "Einsum" and len(node.input) > 2):
        return True
    if node.op_type == "LRN":
        return any(entry.name == "size" and entry.i > WIDE_LRN for entry in node.attribute)
    if node.op_type not in COLUMNS:
        return False
    kernel = shapes.get(node.input[COLUMNS[node.op_type]])
    planes = [shapes[name][2:] for name in (node.input[0], node.output[0]) if name in shapes]
    if kernel is None or not planes:
        return True
    return 16 * math.prod(kernel) * max(map(math.prod, planes)) > limits.activations


def _longest_text(model: onnx.ModelProto) -> int:
    """Return the bytes of the longest text that a tensor can hold, 0 where no tensor of the model holds any."""
    lengths = [0]
    for graph in runtime.graphs(model.graph):
        tensors = [entry for entry in graph.initializer if entry.data_type == TensorProto.STRING]
        for node in graph.node:
            if node.op_type == "Constant" or node.domain == "ai.onnx.ml":
                for attribute in node.attribute:
                    tensors += [attribute.t] if attribute.t.data_type == TensorProto.STRING else []
                    lengths += [len(attribute.s), *map(len, attribute.strings)]
        lengths += [len(text) for entry in tensors for text in entry.string_data]
    return max(lengths)


def check_input(spec: InputSpec, batch: int, limits: Limits) -> None:
    """Refuse an input that is itself larger than ``limits`` allow, ``batch`` times."""
    elements = math.prod(spec.shape) * batch
    sides = "x".join(map(str, spec.shape))
    copies = COPIES if batch > 1 else 1
    if elements > limits.dimension or copies * 4 * elements > limits.activations:
        name = "dimension" if elements > limits.dimension else "activations"
        needed = elements if name == "dimension" else copies * 4 * elements
        raise UnreadableModel(
            f"the input {shown(spec.name)} is {sides}{f', {batch} times' if batch > 1 else ''}: more than is accepted; "
            f"{limits.raised(name, needed)}"
        )


def _check_told(model: onnx.ModelProto, spec: InputSpec) -> set[str]:
    """Refuse nodes whose size depends on what the picture shows: it would have no bound.

    Return the names of all tensors that depend on what it shows.
    """
    seen = {spec.name}
    for node in nodes(model.graph):
        inputs = node.input
        if seen.isdisjoint(inputs) and not runtime.inside(node):
            continue
        if node.op_type in SIZES:
            continue
        told = TOLD.get(node.op_type, ())
        if node.op_type == "Resize" and len(inputs) == 2:
            told = (1,)
        if any(place < len(inputs) and inputs[place] in seen for place in told):
            raise _untold(node, "its size depends on what the picture shows")
        if not seen.isdisjoint(runtime.reads(node)):
            seen.update(node.output)
    return seen


def _check_chosen(model: onnx.ModelProto, seen: set[str]) -> None:
    """Refuse branches of which the picture chooses one, where their sizes are not known: a run shows one of them."""
    for node in nodes(model.graph):
        if node.op_type == "If" and node.input[0] in seen:
            raise _untold(node, "which of its branches is run depends on what the picture shows")


def _untold(node: onnx.NodeProto, reason: str) -> UnsupportedModel:
    name = next((output for output in node.output if output), node.name)
    entry = UnsupportedNode(name, node.op_type, node.domain, f"{reason}, so nobody can tell how much memory it takes")
    return UnsupportedModel(f"heatcli cannot explain 1 node of this network:\n  {entry}", (entry,))


def _sum(whole: onnx.ModelProto, limits: Limits, text: int) -> dict[str, Shape] | None:
    """Add up all tensors between the input and the outputs, in all branches.

    Return the shapes of those of the outermost graph and of its constants and inputs, None where one is not known.

    ``text`` are the bytes that one entry of a tensor of texts may take.
    Raises UnreadableModel where they are more than ``limits`` allow.
    """
    total, sure = 0, True
    shapes = {entry.name: tuple(entry.dims) for entry in whole.graph.initializer}
    for entry in whole.graph.input:
        shapes[entry.name] = tuple(dim.dim_value for dim in entry.type.tensor_type.shape.dim)
    largest: tuple[int, str, tuple[int, ...]] = (0, "", ())
    for graph in runtime.graphs(whole.graph):
        read = {entry.name for entry in graph.output}.union(*(runtime.reads(node) for node in graph.node))
        made = {name for node in graph.node for name in node.output if name in read or name == node.output[0]}
        known: set[str] = set()
        for entry in (*graph.value_info, *graph.output):
            tensor = entry.type.tensor_type
            if entry.name in known or entry.name not in made or not tensor.HasField("shape"):
                continue
            sides = tuple(dim.dim_value if dim.HasField("dim_value") else -1 for dim in tensor.shape.dim)
            if min(sides, default=0) < 0:
                continue
            known.add(entry.name)
            shapes.setdefault(entry.name, sides)
            elements = math.prod(sides)
            size = elements * (text if tensor.elem_type == TensorProto.STRING else max(1, bits(tensor.elem_type) // 8))
            total += size
            if size >= largest[0]:
                largest = (size, entry.name, sides)
            if elements > limits.dimension:
                raise UnreadableModel(
                    f"the tensor {shown(entry.name)} is {'x'.join(map(str, sides))}; {amount(limits.dimension)} "
                    f"elements are accepted; {limits.raised('dimension', elements)}"
                )
        sure = sure and made <= known
    if total > limits.activations:
        raise UnreadableModel(
            f"its activations take {amount(total)} bytes for one picture, the largest being {shown(largest[1])}, "
            f"{'x'.join(map(str, largest[2]))}; {amount(limits.activations)} are accepted; "
            f"{limits.raised('activations', total)}"
        )
    return shapes if sure else None


def _run(model: onnx.ModelProto, spec: InputSpec, weights: Mapping[str, Array], limits: Limits, most: int) -> None:
    """Run ``model`` as it stands on an empty picture, within ``most`` bytes."""
    outputs = [entry.name for entry in model.graph.output]
    session = runtime.open_session(model.SerializeToString(), weights=weights, level="none", most=most)
    try:
        runtime.run(session, outputs, {spec.name: np.zeros(spec.shape, spec.dtype)})
    except runtime.TooMuch as error:
        raise UnreadableModel(
            f"its activations take more than {amount(limits.activations)} bytes for one picture ({error}); "
            f"{limits.raised('activations', 2 * limits.activations)}"
        ) from error
