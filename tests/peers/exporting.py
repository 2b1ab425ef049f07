"""From a torch module to an ONNX file, by the exporter that writes the operation sets most files in use have."""

from __future__ import annotations

import copy
import warnings
from pathlib import Path

import torch

from tests.peers.classifier import Classifier


def export(classifier: Classifier, path: Path) -> Path:
    """Write ``classifier`` in float32 to ``path`` and return ``path``; input and output are named input and logits."""
    module = copy.deepcopy(classifier.module).float()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", torch.jit.TracerWarning)
        warnings.filterwarnings("ignore", "Constant folding|ONNX export mode", UserWarning)
        torch.onnx.export(
            module,
            (torch.zeros(classifier.shape),),
            path,
            dynamo=False,
            opset_version=classifier.opset,
            input_names=["input"],
            output_names=["logits"],
        )
    return path
