"""Readers of what compares tensors, and of what takes elements from several."""

from __future__ import annotations

from heatcli.network.layers import Activation, Comparison, Extremum, Layer, Selection
from heatcli.network.reading.registry import Argument, Node, Tensor, data, operands, reads


@reads("Max", "Min")
def extremum(node: Node, *arguments: Argument) -> Layer:
    tensors = [argument for argument in arguments if isinstance(argument, Tensor)]
    if len(tensors) == 1 and all(a is tensors[0] or getattr(a, "size", 0) == 1 for a in arguments):
        bounds = tuple(argument for argument in arguments if argument is not tensors[0] and argument is not None)
        return Activation(
            name=node.name,
            operation=node.operation,
            inputs=(tensors[0].name,),
            function=node.operation,
            constants=bounds,  # type: ignore[arg-type]
        )
    inputs, entries = operands(arguments)
    return Extremum(name=node.name, operation=node.operation, inputs=inputs, operands=entries)


@reads("Where")
def where(node: Node, condition: Argument, x: Argument, y: Argument) -> Layer:
    inputs, (chosen, *either) = operands((condition, x, y))
    return Selection(name=node.name, operation=node.operation, inputs=inputs, condition=chosen, operands=tuple(either))


@reads("IsNaN", "Not")
def condition_of_one(node: Node, x: Argument) -> Layer:
    return Comparison(name=node.name, operation=node.operation, inputs=(data(x).name,))


@reads("Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "And", "Or")
def comparison(node: Node, a: Argument, b: Argument) -> Layer:
    return Comparison(name=node.name, operation=node.operation, inputs=operands((a, b))[0])
