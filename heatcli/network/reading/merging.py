"""Readers of extrema between tensors."""

from __future__ import annotations

from heatcli.network.layers import Activation, Extremum, Layer
from heatcli.network.reading.registry import Argument, Node, Tensor, operands, reads


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
