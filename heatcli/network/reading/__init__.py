"""From an ONNX node to a layer: one reader function an operation, a file per family, one registry for all.

A reader's signature is the operation's specification: its inputs in order, then its attributes by name with their
defaults. An input that depends on the picture arrives as a ``Tensor``, a constant as an array, an absent one as None.
A reader returns the layer, or a list of layers, or raises ``Unreadable`` with the reason.

To add an operation: write its reader in the family's file under ``@reads("Name")``, return the layer, done.
"""

from heatcli.network.reading import (  # noqa: F401  (importing them fills the registry)
    activation,
    affine,
    attention,
    linear,
    merging,
    moving,
    normalization,
    pooling,
)
from heatcli.network.reading.registry import Unreadable, supported
from heatcli.network.reading.walk import read_layers

__all__ = ["Unreadable", "read_layers", "supported"]
