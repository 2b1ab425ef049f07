"""The head of the network: which output is the row of class scores, and where it is before softmax or sigmoid."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import onnx

from heatcli.errors import NotAClassifier
from heatcli.network.layers import OutputSpec

Array = np.ndarray
Shape = tuple[int, ...]
KINDS = {"Softmax": "softmax", "LogSoftmax": "log-softmax", "Sigmoid": "sigmoid"}
SAME_ORDER = ("Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Cast", "Dropout", "QuantizeLinear")
MOST_OUTPUTS = 1000
"""Every one of them is walked back from."""
SCORES = (
    onnx.TensorProto.UNDEFINED,
    onnx.TensorProto.FLOAT,
    onnx.TensorProto.FLOAT16,
    onnx.TensorProto.DOUBLE,
    onnx.TensorProto.BFLOAT16,
    onnx.TensorProto.UINT8,
    onnx.TensorProto.INT8,
)
"""Types that class scores have, quantised ones included; a label is int64 or a string."""


def find_output(
    model: onnx.ModelProto,
    nodes: Sequence[onnx.NodeProto],
    shapes: Mapping[str, Shape],
    constants: Mapping[str, Array],
    batch: int = 1,
) -> tuple[OutputSpec, list[str]]:
    """Return the output that holds class scores and what was chosen about it; ``nodes`` are those that are read.

    Class scores are one row of numbers, such as 1x1000, 1x1000x1x1 or 1000, or ``batch`` such rows. Of several such
    rows those are one that come from the same logits, and a row of one number gives way to one of several. Raises
    NotAClassifier where no output is left, or more than one.
    """
    if len(model.graph.output) > MOST_OUTPUTS:
        raise NotAClassifier(f"has {len(model.graph.output):,} outputs; heatcli explains classifiers, which have few")
    producers = {name: node for node in nodes for name in node.output if name}
    described: list[str] = []
    rows: list[OutputSpec] = []
    for entry in model.graph.output:
        shape = shapes.get(entry.name)
        said = "x".join(map(str, shape)) if shape is not None else "(no tensor)"
        described.append(f"{entry.name} {'(the same for every picture)' if entry.name in constants else said}")
        if shape is not None and is_row(shape, batch) and entry.name not in constants:
            if entry.type.tensor_type.elem_type in SCORES:
                rows.append(output_of(producers, opset_of(model), entry.name, shapes, constants, batch))
            else:
                kind = onnx.TensorProto.DataType.Name(entry.type.tensor_type.elem_type).lower()
                described[-1] += f" {kind}"
    outputs = ", ".join(described)
    if not rows:
        raise NotAClassifier(f"no output is one row of class scores: {outputs}; heatcli explains classifiers")
    found = distinct(rows)
    if len(found) > 1:
        raise NotAClassifier(f"several outputs could be the class scores: {outputs}; keep one of them in the file")
    notes = []
    if len(model.graph.output) > 1:
        chosen = found[0].declared
        notes.append(f"of the outputs {outputs} heatcli explains {chosen}; the file must be changed for another")
    return found[0], notes


def distinct(rows: list[OutputSpec]) -> list[OutputSpec]:
    """Return ``rows`` without those that say the same, the one behind a softmax first, or that are one number."""
    by_logits: dict[str, OutputSpec] = {}
    for row in sorted(rows, key=lambda row: row.kind == "logits"):
        by_logits.setdefault(row.logits, row)
    several = [row for row in by_logits.values() if row.classes > 1]
    return several or list(by_logits.values())


def is_row(shape: Shape, batch: int = 1) -> bool:
    """Whether all elements lie along one axis, as in 1x1000x1x1, for each of ``batch`` pictures."""
    if batch > 1:
        return len(shape) > 0 and shape[0] == batch and is_row((1, *shape[1:]))
    return 1 <= len(shape) <= 4 and sum(1 for length in shape if length > 1) <= 1 and math.prod(shape) >= 1


def output_of(
    producers: Mapping[str, onnx.NodeProto],
    opset: int,
    output: str,
    shapes: Mapping[str, Shape],
    constants: Mapping[str, Array],
    batch: int = 1,
) -> OutputSpec:
    """Walk back from ``output`` through moves and a last softmax or sigmoid to the logits.

    Probabilities over their own sum are walked through too, and of [1 − p, p] it is p that is walked back from.
    ``producers`` are the nodes by the names of what they make.
    """
    start = one_of_two(output, producers, shapes, constants, batch) or output
    spec = OutputSpec(start, "logits", math.prod(shapes[start]) // batch, start, declared=output)
    name, squashed = start, False
    while name in producers:
        node = producers[name]
        if node.domain not in ("", "ai.onnx") or node.input[0] in constants:
            break
        source = node.input[0]
        if node.op_type in KINDS and not squashed and over_classes(node, shapes[source], opset, batch):
            squashed = True
            spec = replace(spec, kind=KINDS[node.op_type], logits=source)
        elif node.op_type in ("Identity", "Dropout") and spec.logits == name:
            spec = replace(spec, logits=source)  # the same tensor under another name
        elif squashed or not (node.op_type in SAME_ORDER or over_its_sum(node, producers, shapes, constants, batch)):
            break
        name = source
    return spec


def over_classes(node: onnx.NodeProto, shape: Shape, opset: int, batch: int = 1) -> bool:
    """Whether a softmax runs over all class scores; before opset 13 it flattened everything from its axis on."""
    if node.op_type == "Sigmoid":
        return True
    axis = next((a.i for a in node.attribute if a.name == "axis"), 1 if opset < 13 else -1)
    covered = math.prod(shape[axis % len(shape) :]) if opset < 13 else shape[axis % len(shape)]
    return covered * batch == math.prod(shape)


def over_its_sum(
    node: onnx.NodeProto,
    producers: Mapping[str, onnx.NodeProto],
    shapes: Mapping[str, Shape],
    constants: Mapping[str, Array],
    batch: int,
) -> bool:
    """Whether the node divides probabilities by their sum, which keeps the order of the classes."""
    if node.op_type != "Div" or math.prod(shapes.get(node.input[1], ())) != batch:
        return False
    above, below = producers.get(node.input[0]), node.input[1]
    while (divisor := producers.get(below)) is not None and divisor.op_type in ("Max", "Abs", "ReduceSum", "ReduceL1"):
        below = next((name for name in divisor.input if name and name not in constants), "")
    return above is not None and above.op_type in ("Softmax", "Sigmoid") and below == node.input[0]


def one_of_two(
    output: str,
    producers: Mapping[str, onnx.NodeProto],
    shapes: Mapping[str, Shape],
    constants: Mapping[str, Array],
    batch: int,
) -> str | None:
    """Return p where ``output`` is the two probabilities [1 − p, p] of one sigmoid, else None."""
    name = output
    while (node := producers.get(name)) is not None and node.op_type in SAME_ORDER:
        name = node.input[0]
    if node is None or node.op_type != "Concat" or len(node.input) != 2:
        return None
    p = node.input[1]
    other, chance = (producers.get(part) for part in node.input)
    if other is None or other.op_type != "Sub" or other.input[1] != p or other.input[0] not in constants:
        return None
    complement = bool(np.all(np.asarray(constants[other.input[0]]) == 1))
    single = math.prod(shapes.get(p, ())) == batch and chance is not None and chance.op_type == "Sigmoid"
    return p if complement and single else None


def opset_of(model: onnx.ModelProto) -> int:
    """Return the version of the standard operator set."""
    return max((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), default=1)
