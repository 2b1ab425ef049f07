"""The same maps written as ONNX nodes, so that onnxruntime computes denominators beside the forward pass."""

from __future__ import annotations

from functools import singledispatchmethod
from typing import Any

import numpy as np
import onnx
from onnx import helper

from heatcli.kernels.terms import Denominator, InputPart, WeightPart
from heatcli.network.layers import Convolution, Dense, Linear, TransposedConvolution

Array = np.ndarray
Shape = tuple[int, ...]


class Writer:
    """Collects nodes and constants; equal parts of one tensor are written once."""

    def __init__(self, shapes: dict[str, Shape]) -> None:
        """Take the ``shapes`` of all data tensors, by name."""
        self.shapes = shapes
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, Array] = {}
        self._parts: dict[tuple[str, str, str], str] = {}
        self._count = 0

    def denominator(self, request: Denominator) -> None:
        """Write z_j = Σ_t Σ_i a_i v_ij + c_j under the name ``request.key``."""
        layer = request.layer
        summands: list[str] = []
        bias = request.bias
        for source, part in request.terms:
            weights = part.of(layer.weights)
            if not weights.any():
                continue
            x = self.input_part(layer.inputs[0], source, request.bounds, layer.name)
            summands.append(self.product(layer, x, weights, bias if not summands else None))
        if not summands:
            zeros = np.zeros(self.shapes[layer.name], "float32")
            summands = [self.constant(zeros if bias is None or layer.bias is None else zeros + bias.of(layer.bias))]
        if len(summands) == 1:
            self.node("Identity", summands, request.key)
        else:
            self.node("Sum", summands, request.key)

    def input_part(self, x: str, part: InputPart, bounds: tuple[Array, Array] | None, owner: str) -> str:
        """Write a part of the tensor ``x`` and return its name; ``owner`` keeps bounds of different layers apart."""
        if part is InputPart.X:
            return x
        key = (x, part.value, owner if part in (InputPart.ABOVE_LOW, InputPart.BELOW_HIGH) else "")
        if key not in self._parts:
            match part:
                case InputPart.POSITIVE:
                    name = self.node("Relu", [x])
                case InputPart.NEGATIVE:
                    name = self.node("Sub", [x, self.input_part(x, InputPart.POSITIVE, None, owner)])
                case InputPart.ONE:
                    name = self.constant(np.ones(self.shapes[x], "float32"))
                case _ if bounds is not None:
                    low, high = bounds
                    name = self.node("Sub", [x, self.constant(low if part is InputPart.ABOVE_LOW else high)])
                case _:
                    raise ValueError(f"{part.value} needs the bounds of the input's range")
            self._parts[key] = name
        return self._parts[key]

    @singledispatchmethod
    def product(self, layer: Linear, x: str, weights: Array, bias: WeightPart | None) -> str:
        """Write Σ_i x_i v_ij (+ a part of the layer's bias) and return its name."""
        raise TypeError(f"{type(layer).__name__} has no written form")

    @product.register
    def _(self, layer: Convolution, x: str, weights: Array, bias: WeightPart | None) -> str:
        """Write a convolution, or a transposed one, which maps from the smaller side to the larger."""
        transposed = isinstance(layer, TransposedConvolution)
        sides = self.shapes[layer.inputs[0]][2:], self.shapes[layer.name][2:]
        large, small = reversed(sides) if transposed else sides
        ends = [
            (o - 1) * s + (k - 1) * d + 1 - n - begin
            for n, o, k, s, d, begin in zip(
                large, small, weights.shape[2:], layer.strides, layer.dilations, layer.pads, strict=True
            )
        ]
        inputs = [x, self.constant(weights)]
        if bias is not None and layer.bias is not None:
            inputs.append(self.constant(bias.of(layer.bias).reshape(-1)))
        more: dict[str, Any] = {"output_padding": [max(0, -end) for end in ends]} if transposed else {}
        return self.node(
            "ConvTranspose" if transposed else "Conv",
            inputs,
            strides=list(layer.strides),
            dilations=list(layer.dilations),
            pads=[*layer.pads, *(max(0, end) for end in ends)],
            group=layer.groups,
            **more,
        )

    @product.register
    def _(self, layer: Dense, x: str, weights: Array, bias: WeightPart | None) -> str:
        name = self.node("MatMul", [x, self.constant(weights)])
        if bias is not None and layer.bias is not None:
            name = self.node("Add", [name, self.constant(bias.of(layer.bias))])
        return name

    def constant(self, value: Array) -> str:
        """Keep a constant and return its name."""
        name = self._name()
        self.constants[name] = np.ascontiguousarray(value)
        return name

    def node(self, operation: str, inputs: list[str], output: str | None = None, **attributes: Any) -> str:
        """Append a node and return its output's name."""
        name = output or self._name()
        self.nodes.append(helper.make_node(operation, inputs, [name], **attributes))
        return name

    def _name(self) -> str:
        self._count += 1
        return f"heatcli/{self._count}"
