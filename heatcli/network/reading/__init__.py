"""From an ONNX node to a layer: one reader function an operation, a file per family, one registry for all.

A reader's signature is the operation's specification: its inputs in order, then its attributes by name with their
defaults. An input that depends on the picture arrives as a ``Tensor``, a constant as an array, an absent one as None.
A reader returns the layer, or a list of layers, or raises ``Unreadable`` with the reason.

To add an operation, choose the first that fits:

1.  It is several known steps under one name, such as a norm or what an optimiser fuses: write the steps, in
    ``rewriting``, under ``@rewrites("Name", domain="…")``. Every step then has its own rule, and the compiled explainer
    writes it.
2.  It is a quantised form of a known operation: say which, in ``quantised``, under ``@means("Name")``.
3.  Otherwise write its reader, in the file of its family here, under ``@reads("Name", since=13)`` and return a layer of
    ``layers``. An elementwise function needs one line more, its derivative in ``kernels/derivatives``. A layer of a new
    kind needs what it does with relevance in ``relevance/families``, and, if it is linear, its map and transpose in
    ``kernels/maps`` and ``kernels/written_maps``.

Then put every form of it into ``tests/network/operation_table`` (quantised ones into ``test_quantised``): each line is
compared with finite differences of onnxruntime on the untouched file, has its account checked, and is explained by both
engines. A test fails as long as an operation is in no table; ONNX's own node tests of it are tried at once
(``test_backend_nodes``). ``python -m tests.operations_in_readme`` brings the README's table up to date.
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
