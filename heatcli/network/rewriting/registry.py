"""The registry of rewriters, what a rewriter works with, and the pass over a graph."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import onnx
from onnx import helper, numpy_helper

from heatcli.errors import UnsupportedNode

Array = np.ndarray
Shape = tuple[int, ...]
STANDARD = ("", "ai.onnx")


class Unwritable(Exception):
    """This form of the operation cannot be written in steps; the message is the reason."""


class Steps:
    """Collects the nodes that take the place of one node.

    ``opset`` is the version of the standard operators, ``attributes`` are those of the node. ``node`` and ``constant``
    return the name of what they make, which stays unique in the graph.
    """

    def __init__(
        self, prefix: str, opset: int, constants: Mapping[str, Array], shapes: Mapping[str, Shape], given: Any
    ) -> None:
        """Start with nothing; new tensors are named after ``prefix``, ``given`` is the node."""
        self.prefix, self.opset = prefix, opset
        self.nodes: list[onnx.NodeProto] = []
        self.added: dict[str, Array] = {}
        self._constants, self._shapes = constants, shapes
        self.attributes = {entry.name: _plain(helper.get_attribute_value(entry)) for entry in given.attribute}
        self.inputs: tuple[str, ...] = tuple(given.input)

    def attribute(self, name: str, default: Any = None) -> Any:
        """Return an attribute of the node, or ``default``."""
        return self.attributes.get(name, default)

    def accept(self, *names: str) -> None:
        """Refuse the node where it has an attribute that is not among ``names``: it could change what is computed."""
        unknown = sorted(set(self.attributes) - set(names))
        if unknown:
            raise Unwritable(f"a form of the operation that heatcli does not know (attribute {', '.join(unknown)})")

    def operand(self, place: int) -> str | None:
        """Return the name of an input, None where it is absent."""
        return self.inputs[place] if place < len(self.inputs) and self.inputs[place] else None

    def value(self, name: str | None) -> Array | None:
        """Return the value of a constant, None for data and what is absent."""
        if name is None:
            return None
        return self.added[name] if name in self.added else self._constants.get(name)

    def certain(self, name: str | None, role: str) -> Array:
        """Return the value of a constant, or refuse the node because ``role`` depends on the picture."""
        value = self.value(name)
        if value is None:
            raise Unwritable(f"{role} is not a constant")
        return value

    def shape(self, name: str) -> Shape:
        """Return the shape of an input at batch 1."""
        value = self.value(name)
        if value is not None:
            return value.shape
        if name not in self._shapes:
            raise Unwritable(f"the shape of its input {name} is not known")
        return self._shapes[name]

    def constant(self, value: Any, dtype: Any = None) -> str:
        """Add a constant and return its name."""
        name = f"{self.prefix}/constant/{len(self.added)}"
        self.added[name] = np.ascontiguousarray(np.asarray(value, dtype)).reshape(np.shape(value))
        return name

    def number(self, value: float) -> str:
        """Add one float32 number."""
        return self.constant(value, np.float32)

    def node(self, operation: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        """Add a node with one output and return its name."""
        return self.several(operation, inputs, 1, domain=domain, **attributes)[0]

    def several(
        self, operation: str, inputs: Sequence[str], outputs: int, *, domain: str = "", **attributes: Any
    ) -> list[str]:
        """Add a node with several outputs and return their names."""
        stem = f"{self.prefix}/{operation}/{len(self.nodes)}"
        names = [stem] if outputs == 1 else [f"{stem}/{place}" for place in range(outputs)]
        given = {key: value for key, value in attributes.items() if value is not None}
        self.nodes.append(helper.make_node(operation, list(inputs), names, domain=domain, **given))
        return names

    # steps whose form changed over the operator sets ------------------------------------------------------------------

    def reduce(self, operation: str, x: str, axes: Iterable[int], *, keepdims: int = 1) -> str:
        """Add ReduceSum, ReduceMean or ReduceMax over ``axes``."""
        if self.opset >= (13 if operation == "ReduceSum" else 18):
            return self.node(operation, x, self.constant(list(axes), np.int64), keepdims=keepdims)
        return self.node(operation, x, axes=list(axes), keepdims=keepdims)

    def unsqueeze(self, x: str, axes: Iterable[int]) -> str:
        """Add Unsqueeze."""
        if self.opset >= 13:
            return self.node("Unsqueeze", x, self.constant(list(axes), np.int64))
        return self.node("Unsqueeze", x, axes=list(axes))

    def reshape(self, x: str, shape: Sequence[int]) -> str:
        """Add Reshape to a known shape."""
        return self.node("Reshape", x, self.constant(list(shape), np.int64))

    def transpose(self, x: str, order: Sequence[int]) -> str:
        """Add Transpose, unless nothing changes its place."""
        return x if list(order) == list(range(len(order))) else self.node("Transpose", x, perm=list(order))

    def cut(self, x: str, axis: int, start: int, stop: int) -> str:
        """Add Slice along one axis."""
        if self.opset >= 10:
            return self.node("Slice", x, *(self.constant([value], np.int64) for value in (start, stop, axis)))
        return self.node("Slice", x, starts=[start], ends=[stop], axes=[axis])

    def times(self, x: str, factor: float) -> str:
        """Add the product with one number, unless it is 1."""
        return x if factor == 1 else self.node("Mul", x, self.number(factor))

    def at_least(self, x: str, least: float) -> str:
        """Add Clip from below."""
        return self.node("Clip", x, self.number(least)) if self.opset >= 11 else self.node("Clip", x, min=float(least))

    def swap(self, x: str, rank: int) -> str:
        """Add Transpose of the last two of ``rank`` axes."""
        return self.transpose(x, (*range(rank - 2), rank - 1, rank - 2))


Rewriter = Callable[[onnx.NodeProto, Steps], Sequence[str] | str | None]
Function = TypeVar("Function", bound=Rewriter)
_REWRITERS: dict[tuple[str, str], Rewriter] = {}


def rewrites(*operations: str, domain: str = "") -> Callable[[Function], Function]:
    """Register a rewriter for ``operations`` of ``domain``.

    It returns the name that takes the place of the first output, or one for each of the first outputs; None where the
    node stays as it is.
    """

    def register(rewriter: Function) -> Function:
        for operation in operations:
            _REWRITERS[domain, operation] = rewriter
        return rewriter

    return register


def rewritten() -> list[tuple[str, str]]:
    """Return the (domain, operation) of everything that is written in steps."""
    return sorted(_REWRITERS)


def rewrite(
    model: onnx.ModelProto, constants: Mapping[str, Array], shapes: Mapping[str, Shape]
) -> tuple[list[UnsupportedNode], list[UnsupportedNode]]:
    """Write every node that has a rewriter in steps, in place; return those nodes, and those that cannot be written.

    ``constants`` are values that do not depend on the picture, ``shapes`` those of all other tensors.
    """
    opsets = {"" if e.domain in STANDARD else e.domain: e.version for e in model.opset_import}
    refused: list[UnsupportedNode] = []
    kept: list[onnx.NodeProto] = []
    written: list[UnsupportedNode] = []
    fixed = dict(constants)
    used = {name for node in model.graph.node for name in node.input} | {entry.name for entry in model.graph.output}
    for node in model.graph.node:
        domain = "" if node.domain in STANDARD else node.domain
        rewriter = _REWRITERS.get((domain, node.op_type))
        if rewriter is None or all(name in fixed for name in node.output if name):
            kept.append(node)
            continue
        steps = Steps(f"heatcli/{node.output[0]}", opsets.get("", 1), fixed, shapes, node)
        try:
            made = rewriter(node, steps)
        except Unwritable as error:
            refused.append(UnsupportedNode(node.output[0], node.op_type, domain, str(error)))
            kept.append(node)
            continue
        if made is None:
            kept.append(node)
            continue
        made = [made] if isinstance(made, str) else list(made)
        missing = [name for name in node.output[len(made) :] if name in used]
        if missing:
            refused.append(UnsupportedNode(node.output[0], node.op_type, domain, f"its output {missing[0]} is used"))
            kept.append(node)
            continue
        written.append(UnsupportedNode(node.output[0], node.op_type, domain, ""))
        fixed |= {name: steps.added[mine] for mine, name in zip(made, node.output, strict=False) if mine in steps.added}
        kept += steps.nodes
        kept += [
            helper.make_node("Identity", [mine], [name]) for mine, name in zip(made, node.output, strict=False) if name
        ]
        model.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in steps.added.items())
    if written:
        kept = without_identities(kept, {entry.name for entry in model.graph.output})
        del model.graph.node[:]
        model.graph.node.extend(kept)
    return written, refused


def without_identities(nodes: Sequence[onnx.NodeProto], outputs: set[str]) -> list[onnx.NodeProto]:
    """Return ``nodes`` with what stands before an Identity of ours named as it is, where that is possible."""
    made = {name: node for node in nodes for name in node.output if name}
    uses: dict[str, int] = {}
    for node in nodes:
        for name in node.input:
            uses[name] = uses.get(name, 0) + 1
    kept = []
    for node in nodes:
        source = node.input[0] if node.input else ""
        before = made.get(source)
        ours = node.op_type == "Identity" and source.startswith("heatcli/") and uses[source] == 1
        if ours and before is not None and source not in outputs:
            before.output[list(before.output).index(source)] = node.output[0]
        else:
            kept.append(node)
    return kept


def _plain(value: Any) -> Any:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
