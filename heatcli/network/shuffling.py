"""Weights put in disorder from the scores down: a network that has forgotten what it learned (Adebayo et al. 2018)."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

from heatcli import runtime
from heatcli.network.layers import Network

Array = np.ndarray
TYPES = (TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16, TensorProto.INT8, TensorProto.UINT8)
"""Types that weights have; other integers are sizes and places."""
BESIDE = ("Add", "Sub", "Mul", "Div", "PRelu", "Where", "Concat")
"""Operations whose constants are no weights of connections: biases, scales, slopes, tokens, positions."""


@dataclass(frozen=True)
class Shuffle:
    """The ``top`` layers next to the scores get their own weights in another order, which ``seed`` decides.

    What is only reordered keeps its mean, its deviation and, where it is quantised, its scale. A layer's order depends
    on the seed and its name alone: more layers leave those above as they were.
    """

    top: int
    seed: int = 0


def weighted(network: Network) -> tuple[str, ...]:
    """Return the names of what comes out of the nodes that have weights, from the scores down to the picture."""
    graph = onnx.ModelProto.FromString(network.graph).graph
    return tuple(_weights(graph, network.weights, network.input.name))[::-1]


def shuffle(model: onnx.ModelProto, weights: dict[str, Array], picture: str, how: Shuffle) -> None:
    """Reorder the weights of the topmost layers of ``model`` in place; ``weights`` are those kept outside it."""
    names = [*_weights(model.graph, weights, picture).values()]
    chosen = {name for node in names[max(0, len(names) - how.top) :] for name in node}
    for entry in model.graph.initializer:
        if entry.name not in chosen:
            continue
        value = _value(entry, weights)
        random = np.random.default_rng([how.seed, zlib.crc32(entry.name.encode())])
        other = random.permutation(value.reshape(-1)).reshape(value.shape)
        if entry.name in weights:
            weights[entry.name] = other
        else:
            entry.CopyFrom(numpy_helper.from_array(other, entry.name))


def _weights(graph: onnx.GraphProto, weights: Mapping[str, Array], picture: str) -> dict[str, tuple[str, ...]]:
    """Return the names of the weights of every node that has any, by the node's output, in forward order.

    Weights are what a node takes beside what depends on the ``picture``, also through other nodes such as a
    dequantisation: matrices and kernels, which have two axes or more and more than one value. Weights that several
    nodes share belong to the first.
    """
    carried = {entry.name: (entry.name,) for entry in graph.initializer if _learned(entry, weights)}
    moved, taken = {picture}, set[str]()
    found: dict[str, tuple[str, ...]] = {}
    for node in graph.node:
        reads = runtime.reads(node)
        names = tuple(dict.fromkeys(name for read in sorted(reads) for name in carried.get(read, ())))
        if moved.isdisjoint(reads):
            carried |= dict.fromkeys(node.output, names)
            continue
        moved.update(node.output)
        own = tuple(name for name in names if name not in taken and node.op_type not in BESIDE)
        if own:
            found[node.output[0]] = own
            taken.update(own)
    return found


def _learned(entry: onnx.TensorProto, weights: Mapping[str, Array]) -> bool:
    if len(entry.dims) < 2 or entry.data_type not in TYPES:
        return False
    value = _value(entry, weights)
    return bool(value.size and np.isfinite(value).all() and value.min() < value.max())


def _value(entry: onnx.TensorProto, weights: Mapping[str, Array]) -> Array:
    return weights[entry.name] if entry.name in weights else numpy_helper.to_array(entry)
