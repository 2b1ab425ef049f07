"""Whether a parsed model is sound and no larger than allowed, before anything of it is copied, folded or run.

What is checked: that every name that is read is made once, and before; that constants have the bytes that their shapes
say, lie in the model's own folder where they are outside the file, and are within the limits; that functions end, and
do not unfold into more than is allowed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

from heatcli import runtime
from heatcli.errors import UnreadableModel, shown
from heatcli.limits import Limits, amount
from heatcli.network.declared import AGAIN, Inside, check_entry, check_tensor, make_dense, tensors
from heatcli.network.weights import value_of
from heatcli.network.wire import DEEPEST, LARGEST, Survey

Node = onnx.NodeProto
Key = tuple[str, str, str]

MOST_OPSET = 1000
MOST_CALLS = 32
"""How deep functions may call each other."""


def examine(model: onnx.ModelProto, folder: Path, limits: Limits, found: Survey) -> None:
    """Refuse what is not sound in ``model``, in whose file ``found`` was counted; mend what can be.

    In place: nodes come in an order in which they can be run, sparse constants become dense ones, and constants of
    functions and inner graphs that lie in other files in ``folder`` are read from there. Raises UnreadableModel.
    """
    _check_versions(model)
    _check_functions(model, limits)
    inside = runtime.inside if found.graphs > 1 else _none
    graphs = list(runtime.graphs(model.graph)) if found.graphs > 1 else [model.graph]
    places = list(tensors(model, graphs, inside))
    total = found.weights + sum(
        check_tensor(tensor, limits, later=place == "graph") for place, held in places for tensor in held
    )
    if total > limits.weights:
        raise UnreadableModel(
            f"has constants of {amount(total)} bytes; {amount(limits.weights)} are accepted; "
            f"{limits.raised('weights', total)}"
        )
    for place, held in places:
        for tensor in held:
            if tensor.data_location != TensorProto.EXTERNAL:
                continue
            value = value_of(tensor, folder)  # mapped, not read: whether it is there
            if place != "graph":
                tensor.CopyFrom(numpy_helper.from_array(np.array(value), tensor.name))
    for graph in graphs:
        make_dense(graph, limits)
        for entry in (*graph.input, *graph.output, *graph.value_info):
            check_entry(entry, limits)
    if not _in_order(model.graph, inside):
        _order(model.graph)
    _check_names(model.graph, [], inside)
    for function in model.functions:
        _check_body(function.node, [{*function.input}], f"the function {shown(function.name)}", inside)


def _none(node: Node) -> list[onnx.GraphProto]:  # noqa: ARG001
    """Return the graphs in a node of a model that has none."""
    return []


def _check_versions(model: onnx.ModelProto) -> None:
    for entry in model.opset_import:
        domain = entry.domain or "ai.onnx"
        if not 1 <= entry.version <= MOST_OPSET:
            raise UnreadableModel(f"asks for version {entry.version} of the operators {shown(domain)}; {AGAIN}")
    if not 1 <= model.ir_version <= MOST_OPSET:
        raise UnreadableModel(f"says that its format has version {model.ir_version}; {AGAIN}")


# functions ------------------------------------------------------------------------------------------------------------


@dataclass
class _Unfolded:
    """What a function becomes where it is called: nodes, bytes, graphs inside each other, calls inside each other."""

    nodes: int = 0
    bytes: int = 0
    depth: int = 0
    calls: int = 0


@dataclass
class _Unfolding:
    """Counts what functions unfold to, each of them once."""

    bodies: dict[Key, onnx.FunctionProto]
    known: dict[Key, _Unfolded] = field(default_factory=dict)
    open: list[Key] = field(default_factory=list)

    def of(self, nodes: Iterable[Node], size: int) -> _Unfolded:
        """Return what ``nodes``, of ``size`` bytes, become; raises UnreadableModel for endless functions."""
        total = _Unfolded(bytes=size)
        for node in nodes:
            called = _key(node.domain, node.op_type, getattr(node, "overload", ""))
            inner = [self.of(graph.node, 0) for graph in runtime.inside(node)]
            if called in self.bodies:
                inner.append(self._function(called))
                total.calls = max(total.calls, inner[-1].calls + 1)
            total.nodes += 1 + sum(part.nodes for part in inner)
            total.bytes += sum(part.bytes for part in inner)
            graphs = [part.depth + 1 for part in inner[: len(runtime.inside(node))]]
            total.depth = max(total.depth, *graphs, *(part.depth for part in inner), 0)
            total.calls = max(total.calls, *(part.calls for part in inner), 0)
        return total

    def _function(self, key: Key) -> _Unfolded:
        if key not in self.known:
            if key in self.open:
                raise UnreadableModel(f"the function {shown(key[1])} calls itself, without end")
            if len(self.open) >= MOST_CALLS:
                raise UnreadableModel(f"has functions that call each other more than {MOST_CALLS} deep")
            self.open.append(key)
            body = self.bodies[key]
            self.known[key] = self.of(body.node, body.ByteSize())
            self.open.pop()
        return self.known[key]


def _check_functions(model: onnx.ModelProto, limits: Limits) -> None:
    bodies: dict[Key, onnx.FunctionProto] = {}
    for function in model.functions:
        key = _key(function.domain, function.name, getattr(function, "overload", ""))
        if key in bodies:
            raise UnreadableModel(f"defines the function {shown(function.name)} twice; {AGAIN}")
        if any(entry.HasField("g") or entry.graphs for entry in function.attribute_proto):
            raise UnreadableModel(f"the function {shown(function.name)} has a graph by default; export without it")
        bodies[key] = function
    if not bodies:
        return
    total = _Unfolding(bodies).of(model.graph.node, 0)
    if total.nodes > limits.nodes:
        raise UnreadableModel(
            f"has functions that unfold into {amount(total.nodes)} nodes; {limits.nodes:,} are accepted; "
            f"{limits.raised('nodes', total.nodes)}"
        )
    if total.bytes > min(limits.weights, LARGEST):
        raise UnreadableModel(
            f"has functions that unfold into {amount(total.bytes)} bytes; "
            f"{amount(min(limits.weights, LARGEST))} are accepted; make their constants inputs"
        )
    if total.depth > DEEPEST:
        raise UnreadableModel(f"has graphs inside graphs, more than {DEEPEST} deep; no classifier needs that")


def _key(domain: str, name: str, overload: str) -> Key:
    return "" if domain == "ai.onnx" else domain, name, overload


# names ----------------------------------------------------------------------------------------------------------------


def _in_order(graph: onnx.GraphProto, inside: Inside) -> bool:
    """Whether no node of ``graph`` reads what a later one makes."""
    to_come = {name for node in graph.node for name in node.output if name}
    for node in graph.node:
        if not to_come.isdisjoint(node.input) or (inside(node) and not to_come.isdisjoint(runtime.reads(node))):
            return False
        to_come.difference_update(node.output)
    return True


def _order(graph: onnx.GraphProto) -> None:
    """Sort the nodes so that each comes after those whose results it reads.

    Raises UnreadableModel where they go round in a circle.
    """
    makers = {name: place for place, node in enumerate(graph.node) for name in node.output if name}
    needs = [
        {makers[name] for name in runtime.reads(node) if name in makers} - ({place} if runtime.inside(node) else set())
        for place, node in enumerate(graph.node)
    ]
    waiting = [len(found) for found in needs]
    users: list[list[int]] = [[] for _ in needs]
    for place, found in enumerate(needs):
        for need in found:
            users[need].append(place)
    ready = [place for place, count in enumerate(waiting) if not count]
    for place in ready:  # grows on the way
        for user in users[place]:
            waiting[user] -= 1
            if not waiting[user]:
                ready.append(user)
    if len(ready) < len(needs):
        node = graph.node[min(set(range(len(needs))) - set(ready))]
        raise UnreadableModel(f"its nodes go round in a circle, at {_named(node)}; {AGAIN}")
    nodes = [Node.FromString(graph.node[place].SerializeToString()) for place in ready]
    del graph.node[:]
    graph.node.extend(nodes)


def _check_names(graph: onnx.GraphProto, around: list[set[str]], inside: Inside) -> None:
    """Refuse names in ``graph`` that are made twice, or read and never made; ``around`` holds those outside of it."""
    constants: set[str] = set()
    for entry in graph.initializer:
        if entry.name in constants or not entry.name:
            raise UnreadableModel(f"has two constants of the name '{shown(entry.name)}', or one without; {AGAIN}")
        constants.add(entry.name)
    inputs = [entry.name for entry in graph.input]
    if len(set(inputs)) < len(inputs):
        twice = next(name for name in inputs if inputs.count(name) > 1)
        raise UnreadableModel(f"has two inputs of the name '{shown(twice)}'; {AGAIN}")
    made = _check_body(graph.node, [*around, constants | {*inputs}], "the graph", inside)
    for entry in graph.output:
        if entry.name not in made and not any(entry.name in names for names in around):
            raise UnreadableModel(f"has an output {shown(entry.name)}, which no node makes; {AGAIN}")


def _check_body(nodes: Iterable[Node], scopes: list[set[str]], what: str, inside: Inside) -> set[str]:
    """Return all names that are there in the end, of the innermost of ``scopes``, to which ``nodes`` add theirs."""
    own = scopes[-1]
    for node in nodes:
        if not node.op_type:
            raise UnreadableModel(f"{what} has a node without an operation ({_named(node)}); {AGAIN}")
        for name in node.input:
            if name and name not in own and not any(name in names for names in scopes):
                raise UnreadableModel(
                    f"{_named(node)} reads {shown(name)}, which no input, constant or node before it is; {AGAIN}"
                )
        for graph in inside(node):
            _check_names(graph, scopes, inside)
        for name in node.output:
            if name and name in own:
                raise UnreadableModel(f"{_named(node)} makes {shown(name)}, which is there already; {AGAIN}")
            if name:
                own.add(name)
    return own


def _named(node: Node) -> str:
    """Return a node for a message: its operation and what it makes."""
    name = next((output for output in node.output if output), node.name)
    return f"{shown(node.op_type) or 'a node'} ({shown(name)})"
