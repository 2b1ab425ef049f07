"""heatcli shows why an ONNX image classifier decided as it did: relevance heatmaps straight from the ONNX file.

import heatcli

explainer = heatcli.load("googlenet.onnx", preprocess="caffe", labels="synset_words.txt")
explanation = explainer.explain("cat.jpg")
explanation.save("cat.heatmap.png")
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

from heatcli.errors import HeatcliError, ModelError, PictureError, UsageError

# NumPy's OpenBLAS reads this when it is loaded: after a product its threads wait busily for 2^N processor cycles. Half
# a millisecond reaches from product to product; its usual 30 take a core from the forward pass that comes next.
os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "20")

if TYPE_CHECKING:
    from heatcli.explainer import Explainer
    from heatcli.explanation import Explanation
    from heatcli.loading import load

__version__ = "0.1.0"
__all__ = [
    "Explainer",
    "Explanation",
    "HeatcliError",
    "ModelError",
    "PictureError",
    "UsageError",
    "__version__",
    "load",
]

_HOMES = {
    "Explainer": "heatcli.explainer",
    "load": "heatcli.loading",
    "Explanation": "heatcli.explanation",
}


def __getattr__(name: str) -> Any:
    """Import what needs onnxruntime only when it is asked for, so that ``heatcli --help`` answers at once."""
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'heatcli' has no attribute '{name}'")
