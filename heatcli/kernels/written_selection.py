"""Relevance moved to the largest element of every window, as ONNX nodes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from heatcli.kernels.symbols import Symbol
from heatcli.kernels.written_maps import full_pads
from heatcli.kernels.written_tensors import GraphTensors
from heatcli.network.layers import Window

SMALL_WINDOW = 9
"""Windows of up to so many elements are marked; a search for the place is faster for larger ones."""


def apart_from_another(window: Window, size: tuple[int, ...], output: tuple[int, ...]) -> bool:
    """Return whether windows lie side by side from the first element on, none over the end."""
    covered = all(o * k <= n for o, k, n in zip(output, window.kernel, size, strict=True))
    return covered and window.kernel == window.strides and not any(window.pads) and max(window.dilations) == 1


def largest_by_marks(kernels: GraphTensors, x: Symbol, y: Symbol, r: Symbol, window: Window) -> Symbol:
    """Move ``r`` where windows lie side by side; x (N, C, …), y and r (N, C, …) with one element for every window.

    The elements of a window are numbered downwards, so that the first of its largest elements has the largest number
    of them. All but two nodes are the same for all explanations of one picture.
    """
    graph, kernel, output = kernels.graph, window.kernel, r.shape[2:]
    covered = tuple(o * k for o, k in zip(output, kernel, strict=True))
    rest = [n - length for n, length in zip(x.shape[2:], covered, strict=True)]
    inner = kernels.pad(x, [(0, 0), (0, 0), *((0, -behind) for behind in rest)])
    numbers = kernels.constant(np.arange(math.prod(kernel), 0, -1).reshape(1, 1, *kernel))
    marks = graph.symbol("Tile", [numbers, graph.integers(1, 1, *output)], (1, 1, *covered))
    largest = graph.symbol("Equal", [inner, kernels.repeat(y, kernel)], inner.shape) * marks
    first = graph.symbol("MaxPool", [largest], y.shape, kernel_shape=list(kernel), strides=list(kernel))
    hit = graph.symbol("Equal", [marks, kernels.repeat(first, kernel)], inner.shape)
    return kernels.pad(hit * kernels.repeat(r, kernel), [(0, 0), (0, 0), *((0, behind) for behind in rest)])


def largest_by_places(kernels: GraphTensors, x: Symbol, r: Symbol, window: Window) -> Symbol:
    """Move ``r`` to the places that MaxPool tells, which count over the whole of ``x``, batch included.

    ``x`` is laid out as one row, and ``r`` as rows as long as there are places: a single one if both have the same
    batch, one for every explanation of one picture.
    """
    graph = kernels.graph
    names = [f"{r.name}/largest/values", f"{r.name}/largest/indices"]
    graph.several(
        "MaxPool",
        [x.name],
        names,
        kernel_shape=list(window.kernel),
        strides=list(window.strides),
        dilations=list(window.dilations),
        **_ends(window, x.shape[2:], r.shape[2:]),
    )
    one_row = graph.integers(1, -1)
    places = graph.node("Reshape", [names[1], one_row])
    lengths = graph.node("Mul", [graph.node("Shape", [places]), graph.integers(-1, 1)])
    rows = graph.symbol("Reshape", [r, lengths], (1, math.prod(r.shape)))
    width = kernels.part_of_size(graph.node("Reshape", [x.name, one_row]), 1)
    size = graph.node("Concat", [kernels.part_of_size(rows.name, 0), width], axis=0)
    return kernels.reshape(kernels.scatter(rows, (1, math.prod(x.shape)), 1, places, size), x.shape)


def _ends(window: Window, size: tuple[int, ...], output: tuple[int, ...]) -> dict[str, Any]:
    """Return the pads that ``output`` asks for, which no operator takes if they reach the length of the kernel.

    Only windows with holes that lie over the end ask for so many; ``ceil_mode`` lets such windows be.
    """
    pads = full_pads(window.kernel, window.strides, window.dilations, window.pads, size, output)
    if all(pad < k for pad, k in zip(pads, window.kernel * 2, strict=True)):
        return {"pads": pads}
    ends = [max(0, end - s + 1) for end, s in zip(pads[len(size) :], window.strides, strict=True)]
    return {"pads": [*window.pads, *ends], "ceil_mode": 1}
