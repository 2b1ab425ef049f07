"""Files that take a fixed number of pictures at a time: made to take one, with the scores that its row has.

The picture is padded with empty ones, which is always right and takes as long as all of them. Where every size in the
graph that counts the pictures can be divided by their number, the smaller graph takes its place; that it gives the same
scores is tried, not assumed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from onnx import helper, numpy_helper

from heatcli import runtime
from heatcli.errors import UnreadableModel
from heatcli.network.head import KINDS, SAME_ORDER
from heatcli.network.inferring import forget_shapes, inferred
from heatcli.network.layers import InputSpec

Array = np.ndarray

PADDED, EMPTY = "heatcli/pictures", "heatcli/empty"
SIZES = {"Reshape": 1, "Expand": 1, "Tile": 1, "Resize": 3}
"""Operations that are told sizes, and at which place of their inputs."""
BROADCAST = ("Add", "Sub", "Mul", "Div", "Concat", "Where", "Pow")
"""Operations whose constants may have been repeated for every picture."""
TOLERANCE = 1e-4


def batch_of(model: onnx.ModelProto) -> int:
    """Return how many pictures the one input takes at a time by the file, 1 where that is open or cannot be told.

    With four axes the first one counts pictures, else it does where an output of several axes begins with it too.
    """
    sides = [d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim]
    if len(sides) < 2 or sides[0] < 2:
        return 1
    if len(sides) == 4:
        return sides[0]
    said = _begins(model.graph, sides[0])
    return sides[0] if said and _begins(_inferred(model).graph, sides[0]) is not False else 1


def _begins(graph: onnx.GraphProto, count: int) -> bool | None:
    """Whether the shape of an output begins with ``count`` and has more axes; None where none is known."""
    shapes = [[d.dim_value for d in entry.type.tensor_type.shape.dim] for entry in graph.output]
    firsts = [shape[0] for shape in shapes if len(shape) > 1 and shape[0]]
    return count in firsts if firsts else None


def _inferred(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return ``model`` with the shapes of outputs that follow from its nodes: what files say there may not be true."""
    bare = onnx.ModelProto()
    bare.CopyFrom(model)
    forget_shapes(bare)
    return inferred(bare) or model  # where that is not to be had, the file's word is all there is


def pad(model: onnx.ModelProto, spec: InputSpec, batch: int) -> None:
    """Put empty pictures behind the one that the input takes, in place, as many as make ``batch``."""
    _rename(model, spec.name, PADDED)
    empty = np.zeros((batch - 1, *spec.shape[1:]), spec.dtype)
    model.graph.initializer.append(numpy_helper.from_array(empty, EMPTY))
    model.graph.node.insert(0, helper.make_node("Concat", [spec.name, EMPTY], [PADDED], axis=0))


def divided(
    model: onnx.ModelProto, weights: Mapping[str, Array], spec: InputSpec, batch: int
) -> tuple[onnx.ModelProto, dict[str, Array]] | None:
    """Return the simplified ``model`` without its empty pictures, and its weights.

    None where its scores are others, or where there is control flow, which may not end.
    """
    _, *inner = runtime.graphs(model.graph)
    if inner:
        return None
    one = onnx.ModelProto()
    one.CopyFrom(model)
    kept = {name: value for name, value in weights.items() if name != EMPTY}
    front = [node for node in one.graph.node if PADDED in node.output]
    for node in front:
        one.graph.node.remove(node)
    _rename(one, PADDED, spec.name)
    _divide(one.graph, kept, batch)
    runtime.prune(one.graph, [entry.name for entry in one.graph.output])
    stored = {entry.name for entry in one.graph.initializer}
    kept = {name: value for name, value in kept.items() if name in stored}
    return (one, kept) if front and _agree(one, kept, model, weights, spec) else None


def said(batch: int, *, divided: bool) -> str:
    """Say what was made of a file that takes ``batch`` pictures at a time."""
    if divided:
        return f"the file takes {batch} pictures at a time and is run on one, for which it gives the same scores"
    return (
        f"the file takes {batch} pictures at a time: {batch - 1} empty ones go in beside yours, which takes as long as "
        f"{batch}; export it for one picture to change that"
    )


def _rename(model: onnx.ModelProto, old: str, new: str) -> None:
    """Let every node that reads the tensor ``old`` read ``new``, in place."""
    for graph in runtime.graphs(model.graph):
        for node in graph.node:
            for place, name in enumerate(node.input):
                if name == old:
                    node.input[place] = new


def _divide(graph: onnx.GraphProto, weights: dict[str, Array], batch: int) -> None:
    """Divide the sizes that nodes are told along the first axis, and keep one of equal rows of constants."""
    constants = {entry.name: entry for entry in graph.initializer}
    for node in graph.node:
        for place, name in enumerate(node.input):
            told = place == SIZES.get(node.op_type)
            if name not in constants or not (told or node.op_type in BROADCAST):
                continue
            value = weights[name] if name in weights else numpy_helper.to_array(constants[name])
            smaller = _sizes_of_one(value, batch) if told else _rows_of_one(value, batch, node.op_type)
            if smaller is not None:
                node.input[place] = f"{node.output[0]}/one/{place}"
                graph.initializer.append(runtime.initializer(node.input[place], smaller))
                if smaller.nbytes >= runtime.LARGE:
                    weights[node.input[place]] = smaller


def _sizes_of_one(sizes: Array, batch: int) -> Array | None:
    """Return sizes whose first one counts pictures for one of them, None where it does not."""
    counts = sizes.ndim == 1 and sizes.size and sizes[0] > 0 and sizes[0] % batch == 0
    return np.concatenate([sizes[:1] // batch, sizes[1:]]) if counts else None


def _rows_of_one(rows: Array, batch: int, operation: str) -> Array | None:
    """Return what a constant repeats for every picture, None where it does not.

    Rows that are all the same become one, which broadcasts whatever they stand for, unless they are to stand side by
    side with others.
    """
    if rows.ndim < 2 or not len(rows) or len(rows) % batch:
        return None
    own = rows[: len(rows) // batch]
    if not np.array_equal(rows, np.concatenate([own] * batch)):
        return None
    return own[:1] if operation != "Concat" and np.array_equal(own, np.broadcast_to(own[:1], own.shape)) else own


def _agree(
    one: onnx.ModelProto,
    kept: Mapping[str, Array],
    many: onnx.ModelProto,
    weights: Mapping[str, Array],
    spec: InputSpec,
) -> bool:
    """Whether the ends of ``one`` are the first rows of those of ``many``, on noise."""
    names = _ends(many)
    try:
        sessions = [_open(proto, values, names) for proto, values in ((one, kept), (many, weights))]
        random = np.random.default_rng(0)
        for high in (1.0, 100.0):
            x = random.uniform(0, high, spec.shape).astype(spec.dtype)
            found = [runtime.run(session, names, {spec.name: x}) for session in sessions]
            for alone, among in zip(*found, strict=True):
                if alone.shape != (1, *among.shape[1:]) or not _close(alone, among[:1]):
                    return False
    except UnreadableModel:
        return False
    return True


def _open(model: onnx.ModelProto, weights: Mapping[str, Array], names: Sequence[str]) -> runtime.Session:
    proto = onnx.ModelProto()
    proto.CopyFrom(model)
    runtime.prune(proto.graph, names)
    del proto.graph.output[:]
    proto.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    stored = {entry.name for entry in proto.graph.initializer}
    return runtime.open_session(
        proto.SerializeToString(), weights={name: value for name, value in weights.items() if name in stored}
    )


def _ends(model: onnx.ModelProto) -> list[str]:
    """Return the outputs and what lies behind them before softmax, which hides differences where it is saturated."""
    producers = {name: node for node in model.graph.node for name in node.output}
    names = [entry.name for entry in model.graph.output]
    for name in names:  # grows on the way
        node = producers.get(name)
        if node is not None and (node.op_type in KINDS or node.op_type in SAME_ORDER) and node.input[0] in producers:
            names.append(node.input[0])
    return list(dict.fromkeys(names))


def _close(one: Array, other: Array) -> bool:
    if one.dtype.kind != "f":
        return bool(np.array_equal(one, other))
    slack = TOLERANCE * float(np.abs(other).max(initial=0))
    return bool(np.allclose(one, other, rtol=0, atol=slack if np.isfinite(slack) else 0, equal_nan=True))
