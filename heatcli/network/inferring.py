"""Shapes as onnx infers them, in steps between which nothing is met that would end the process."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping

import onnx
import onnx.shape_inference
from onnx import TensorProto, numpy_helper

from heatcli import runtime
from heatcli.errors import UnreadableModel, shown

SIZES = ("Shape", "Size")
"""Operations whose outputs do not depend on what is in a tensor."""
FOLLOWED = frozenset(
    ("Add", "Sub", "Mul", "Div", "Mod", "Neg", "Abs", "Min", "Max", "Floor", "Ceil", "Where", "Cast", "Identity")
) | frozenset(("Gather", "Slice", "Squeeze", "Unsqueeze", "Split", "Reshape", "Flatten", "Range", "Expand", "Tile"))
"""Operations through which rows of integers are followed, or might be by another version of onnx."""
RANK = 16
"""More axes than any tensor here has."""
MOST_PROPAGATED = 1 << 16
"""How many numbers of a row the inference of shapes may follow: a shape has eight, and rows can be joined."""
SHRINKING = frozenset(("Conv", "ConvInteger", "ConvTranspose", "DeformConv", "QLinearConv", "Pad", "Split", "Tile")) | {
    *("AveragePool", "LpPool", "MaxPool", "MaxUnpool", "Resize", "Upsample", "CenterCropPad", "Col2Im")
}
"""Operations of which onnx may infer a side below zero: kernels larger than their input, pads that take away."""
HARMLESS = 1 << 16
"""Constants from 0 to this make no side negative where they are pads or lengths."""
ROWS = (FOLLOWED | {"Concat"}) - SHRINKING
"""Operations that make rows of constants and of the sides of tensors: no length of such a row is below zero."""
STANDARD = ("", "ai.onnx")
UNKNOWN = "heatcli.unknown"
"""A domain whose operations onnx passes over."""
MOST_LOOKS = 1 << 20
"""How many nodes may be looked at, one as often as shapes are inferred, which takes some microseconds each."""
MOST_ELEMENTS = 1 << 40
"""Elements that no tensor has: numbers of them may be multiplied further on."""


def inferred(model: onnx.ModelProto, *, data: bool = True) -> onnx.ModelProto | None:
    """Return ``model`` with the shapes that follow from its nodes, None where onnx cannot tell.

    With ``data`` small rows of integers are followed too, where they stay small. The inference of ``Slice``, here and
    in onnxruntime, ends the process where a side is below zero: it is looked at when the shapes above are known.
    Raises UnreadableModel where there is such a side, or more of what could make one than anybody builds.
    """
    data = data and propagates_little(model)
    careful = onnx.ModelProto()
    careful.CopyFrom(model)
    stages = _hidden(careful)
    if len(stages) * sum(1 for _ in nodes(model.graph)) > MOST_LOOKS:
        raise UnreadableModel(
            f"slices and what shrinks their inputs take turns {len(stages):,} times, which takes too long to follow; "
            "simplify the model, for instance with a fixed size of the input"
        )
    for stage in [*stages, None]:
        try:
            whole = onnx.shape_inference.infer_shapes(careful, data_prop=data)
        except Exception:  # its exceptions have no common base; the network itself will tell
            return None
        if stage is None:
            break
        _check_sides(whole)
        for node in stage:
            node.domain = ""
    return whole


def forget_shapes(model: onnx.ModelProto) -> None:
    """Drop what the file says about inner and output shapes: it may speak of another batch or size, or lie."""
    for graph in runtime.graphs(model.graph):
        del graph.value_info[:]
        for entry in graph.output:
            if entry.type.HasField("tensor_type"):
                entry.type.tensor_type.ClearField("shape")


def _hidden(model: onnx.ModelProto) -> list[list[onnx.NodeProto]]:
    """Hide the slices below what may shrink a tensor from the inference, and return those of all graphs in stages.

    Between the slices of one stage there is nothing that could make a side negative. Those of functions stay hidden,
    and what comes from them is not known: functions are put in place before the network is run.
    """
    stages: list[list[onnx.NodeProto]] = []
    reached: dict[str, tuple[int, bool]] = {}  # the stage, 0 where nothing shrinks, and whether there is a slice in it
    once = _named_once(model)
    constants = {name: held for name, held in _constants(model).items() if name in once}
    rows = set(constants)  # what cannot have a side below zero, whatever shrinks
    for node in nodes(model.graph):
        above = runtime.reads(node)
        at, cut = max((reached[name] for name in above if name in reached), default=(0, False))
        standard = node.domain in STANDARD
        if standard and (node.op_type in SIZES or (node.op_type in ROWS and above <= rows)):
            rows.update(once.intersection(node.output))
        elif standard and node.op_type == "Slice":
            cut = True
            if at > 0:
                stages += [[]] if at > len(stages) else []
                stages[at - 1].append(node)
                node.domain = UNKNOWN
        elif (cut or at == 0) and (not standard or _may_shrink(node, constants)):
            at, cut = at + 1, False
        for name in node.output:
            reached[name] = max((at, cut), reached.get(name, (0, False)))
    deeper = []
    for function in model.functions:
        deeper += function.node
        deeper += [part for node in function.node for graph in runtime.inside(node) for part in nodes(graph)]
        function.opset_import.add(domain=UNKNOWN, version=1)
    for node in deeper:
        if node.op_type == "Slice" and node.domain in STANDARD:
            node.domain = UNKNOWN
    model.opset_import.add(domain=UNKNOWN, version=1)
    return stages


def _named_once(model: onnx.ModelProto) -> set[str]:
    """Return the names that stand for one tensor alone: a branch may use that of another, or of what is around it."""
    named: Counter[str] = Counter()
    for graph in runtime.graphs(model.graph):
        named.update(entry.name for entry in (*graph.input, *graph.initializer))
        named.update(name for node in graph.node for name in node.output)
    return {name for name, times in named.items() if times == 1}


def _constants(model: onnx.ModelProto) -> dict[str, onnx.TensorProto]:
    """Return the constants of all graphs by name."""
    found: dict[str, onnx.TensorProto] = {}
    for graph in runtime.graphs(model.graph):
        found.update((entry.name, entry) for entry in graph.initializer)
        for node in graph.node:
            if node.op_type == "Constant" and node.domain in STANDARD and node.attribute:
                found.update((name, node.attribute[0].t) for name in node.output)
    return found


def _may_shrink(node: onnx.NodeProto, constants: Mapping[str, onnx.TensorProto]) -> bool:
    """Whether a side of what ``node`` makes may be below zero, where those of its inputs are not."""
    if node.op_type not in SHRINKING:
        return False
    if node.op_type not in ("Pad", "Split"):
        return True
    told = [number for entry in node.attribute for number in entry.ints]
    if len(node.input) > 1 and node.input[1]:
        held = constants.get(node.input[1])
        if held is None or held.data_type != TensorProto.INT64 or held.data_location or math.prod(held.dims) > HARMLESS:
            return True
        told += numpy_helper.to_array(held).reshape(-1).tolist()
    return not all(0 <= number <= HARMLESS for number in told)


def _check_sides(model: onnx.ModelProto) -> None:
    """Refuse ``model`` where a side of a tensor is negative, or could be in what is made of it."""
    for graph in runtime.graphs(model.graph):
        for entry in (*graph.value_info, *graph.output, *graph.input):
            sides = [dim.dim_value for dim in entry.type.tensor_type.shape.dim]
            if min(sides, default=0) < 0:
                raise UnreadableModel(
                    f"the tensor {shown(entry.name)} would be {'x'.join(map(str, sides))}: what makes it takes more "
                    "away than there is; give a larger --size, or check the file"
                )
            if math.prod(sides) > MOST_ELEMENTS:
                raise UnreadableModel(
                    f"the tensor {shown(entry.name)} would be {'x'.join(map(str, sides))}, more than any computer "
                    "holds; check the file"
                )


def propagates_little(model: onnx.ModelProto) -> bool:
    """Whether rows of integers stay small that inference would follow: joining doubles them, thirty times a billion."""
    lengths: dict[str, int] = {}
    for graph in runtime.graphs(model.graph):
        for entry in graph.initializer:
            if entry.data_type in (TensorProto.INT64, TensorProto.INT32) and len(entry.dims) < 2:
                lengths[entry.name] = math.prod(entry.dims)
    for node in nodes(model.graph):
        if node.op_type == "Concat":
            longest = sum(lengths.get(name, 0) for name in node.input)
        elif node.op_type == "Constant":
            longest = max((math.prod(entry.t.dims) + len(entry.ints) for entry in node.attribute), default=0)
        elif node.op_type in FOLLOWED:
            longest = max((lengths.get(name, 0) for name in node.input), default=0)
        else:
            longest = RANK if node.op_type in SIZES else 0
        if longest > MOST_PROPAGATED and node.op_type == "Concat":
            return False
        for name in node.output:
            lengths[name] = longest
    return True


def nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """Yield the nodes of ``graph``, those inside a node before it."""
    for node in graph.node:
        for inner in runtime.inside(node):
            yield from nodes(inner)
        yield node
