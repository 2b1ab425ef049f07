"""The registry of readers, and what a reader is given."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from heatcli.network.layers import Layer

Array = np.ndarray
Shape = tuple[int, ...]


class Unreadable(Exception):
    """This node cannot be read as a layer; the message is the reason, to stand behind the node's name."""


IN_TRAINING = "it is in training mode; export the model for inference"


@dataclass(frozen=True)
class Tensor:
    """A data tensor as a reader sees it; ``pixels`` is true while no linear layer lies between it and the picture."""

    name: str
    shape: Shape
    pixels: bool = False


Argument = Tensor | Array | None
Reader = Callable[..., Layer | list[Layer]]


@dataclass(frozen=True)
class Node:
    """The node being read: operation, names and shapes of its outputs, opset version."""

    operation: str
    outputs: tuple[str, ...]
    shapes: tuple[Shape | None, ...]
    opset: int

    @property
    def name(self) -> str:
        """The first output's name, which names the layer."""
        return self.outputs[0]

    @property
    def shape(self) -> Shape:
        """The first output's shape."""
        if self.shapes[0] is None:
            raise Unreadable("its output's shape is not known")
        return self.shapes[0]


_READERS: dict[tuple[str, str], list[tuple[int, Reader]]] = {}


def reads(*operations: str, since: int = 1, domain: str = "") -> Callable[[Reader], Reader]:
    """Register a reader for ``operations`` of ``domain`` from opset ``since`` on."""

    def register(reader: Reader) -> Reader:
        for operation in operations:
            versions = _READERS.setdefault((domain, operation), [])
            versions.append((since, reader))
            versions.sort(key=lambda entry: entry[0])
        return reader

    return register


def reader_of(operation: str, domain: str, opset: int) -> Reader:
    """Return the reader with the highest ``since`` not above ``opset``; raises Unreadable where there is none."""
    versions = [reader for since, reader in _READERS.get((domain, operation), ()) if since <= opset]
    if not versions:
        raise Unreadable("the operation is not known to heatcli")
    return versions[-1]


def supported() -> list[str]:
    """Return the names of all operations that have a reader."""
    return sorted(f"{domain}:{operation}" if domain else operation for domain, operation in _READERS)


def families() -> dict[str, list[tuple[str, str]]]:
    """Return the (domain, operation) of all readers by the file they stand in, one file a family."""
    found: dict[str, list[tuple[str, str]]] = {}
    for key, versions in sorted(_READERS.items()):
        found.setdefault(versions[-1][1].__module__.rpartition(".")[2], []).append(key)
    return dict(sorted(found.items()))


def data(argument: Argument, role: str = "its input") -> Tensor:
    """Return ``argument`` as a data tensor, or refuse the node because ``role`` is a constant."""
    if not isinstance(argument, Tensor):
        raise Unreadable(f"{role} is a constant or absent, where data is needed")
    return argument


def constant(argument: Argument, role: str) -> Array:
    """Return ``argument`` as an array, or refuse the node because ``role`` depends on the picture."""
    if not isinstance(argument, np.ndarray):
        raise Unreadable(f"{role} is not a constant")
    return argument


def integers(argument: Argument | Sequence[int], role: str) -> tuple[int, ...]:
    """Return a constant list of integers given as an attribute (early opsets) or as an input (later ones)."""
    if isinstance(argument, np.ndarray):
        return tuple(int(value) for value in argument.reshape(-1))
    if argument is None or isinstance(argument, Tensor):
        raise Unreadable(f"{role} is not a constant")
    return tuple(int(value) for value in argument)


def operands(arguments: Sequence[Argument]) -> tuple[tuple[str, ...], tuple[str | Array, ...]]:
    """Split merged arguments into the names of the data tensors, and all operands in order."""
    entries: list[str | Array] = []
    for argument in arguments:
        if argument is None:
            raise Unreadable("an operand is absent")
        entries.append(argument.name if isinstance(argument, Tensor) else np.asarray(argument))
    return tuple(entry for entry in entries if isinstance(entry, str)), tuple(entries)


def attributes(node: Any) -> dict[str, Any]:
    """Return the attributes of an ONNX node as Python values, strings decoded."""
    import onnx

    values: dict[str, Any] = {}
    for attribute in node.attribute:
        value = onnx.helper.get_attribute_value(attribute)
        if isinstance(value, bytes):
            value = value.decode("utf-8", "replace")
        values[attribute.name] = value
    return values
