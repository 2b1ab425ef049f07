"""Shapes as onnx infers them, in steps between which nothing is met that would end the process."""

from __future__ import annotations

import math
from collections.abc import Iterator

import onnx
import onnx.shape_inference
from onnx import TensorProto

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
SHRINKING = frozenset(
    ("Conv", "ConvInteger", "ConvTranspose", "DeformConv", "QLinearConv", "Pad", "Split")
) | frozenset(
    ("AveragePool", "LpPool", "MaxPool", "MaxUnpool", "Resize", "Upsample", "CenterCropPad", "Col2Im", "Tile", "Split")
)
"""Operations of which onnx may infer a side below zero: kernels larger than their input, pads that take away."""
STANDARD = ("", "ai.onnx")
UNKNOWN = "heatcli.unknown"
"""A domain whose operations onnx passes over."""
MOST_STAGES = 32
"""How often shapes are inferred; networks need one or two."""


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
    if len(stages) > MOST_STAGES:
        raise UnreadableModel(
            f"slices and what shrinks its input take turns more than {MOST_STAGES} times; simplify it"
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


def _hidden(model: onnx.ModelProto) -> list[list[onnx.NodeProto]]:
    """Hide the slices of ``model`` from the inference, and return those of its graphs in stages.

    Between the slices of one stage there is nothing that could make a side negative. Those of functions stay hidden,
    and what comes from them is not known: functions are put in place before the network is run.
    """
    stages: list[list[onnx.NodeProto]] = []
    reached: dict[str, tuple[int, bool]] = {}  # the stage, and whether there has been a slice in it
    shapes = set()
    for node in nodes(model.graph):
        above = runtime.reads(node)
        at, cut = max((reached[name] for name in above if name in reached), default=(0, False))
        if node.op_type == "Slice" and node.domain in STANDARD:
            if node.input[:1] and node.input[0] not in shapes:  # a shape has as many entries as there are axes
                stages += [[]] if at == len(stages) else []
                stages[at].append(node)
                node.domain, cut = UNKNOWN, True
        elif cut and (node.op_type in SHRINKING or node.domain not in STANDARD):
            at, cut = at + 1, False
        elif node.op_type in SIZES:
            shapes.update(node.output)
        for name in node.output:
            reached[name] = at, cut
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


def _check_sides(model: onnx.ModelProto) -> None:
    """Refuse ``model`` where a side of a tensor is negative."""
    for graph in runtime.graphs(model.graph):
        for entry in (*graph.value_info, *graph.output, *graph.input):
            sides = [dim.dim_value for dim in entry.type.tensor_type.shape.dim]
            if min(sides, default=0) < 0:
                raise UnreadableModel(
                    f"the tensor {shown(entry.name)} would be {'x'.join(map(str, sides))}: what makes it takes more "
                    "away than there is; give a larger --size, or check the file"
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
