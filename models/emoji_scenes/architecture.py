"""The network: convolutions at full resolution first, pooled to one vector, one logit a class; and its ONNX file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

WIDTHS: tuple[int | None, ...] = (16, None, 32, None, 64, None, 96, 96, None, 128, 128)
"""Channels of the 3×3 convolutions; None halves height and width. A first layer with strides would print its grid on
the heatmaps."""
FEATURES = 128
OPSET = 17


class Network(nn.Module):
    """(N, 3, 128, 128) float32 within −1 … 1 to (N, classes) logits; one yes or no a class, hence no softmax.

    No bias is ever positive: then no relevance ends in biases, and a picture without evidence has logits below 0.
    """

    def __init__(self, classes: int) -> None:
        """Draw Kaiming weights from torch's global generator."""
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for width in WIDTHS:
            if width is None:
                layers.append(nn.MaxPool2d(2))
                continue
            convolution = nn.Conv2d(channels, width, 3, padding=1)
            nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
            nn.init.zeros_(convolution.bias)  # type: ignore[arg-type]
            layers += [convolution, nn.ReLU()]
            channels = width
        self.layers = nn.Sequential(*layers)
        self.classifier = nn.Linear(FEATURES, classes)
        nn.init.constant_(self.classifier.bias, -3.0)

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """Return the pooled features (N, 128), all ≥ 0."""
        pooled: torch.Tensor = self.layers(x).mean(dim=(2, 3))
        return pooled

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the logits (N, classes)."""
        logits: torch.Tensor = self.classifier(self.features(x))
        return logits

    @torch.no_grad()
    def clamp_biases(self) -> None:
        """Set positive biases to 0; done after every step."""
        for name, parameter in self.named_parameters():
            if name.endswith("bias"):
                parameter.clamp_(max=0.0)


def write_onnx(network: Network, path: Path, side: int) -> None:
    """Write ``network`` as ONNX, opset 17, free in the batch, input ``image`` (N, 3, ``side``, ``side``) float32.

    The nodes are written one by one, so that the file is the same whatever torch's exporter does and its layers have
    names that are good to read: conv1, relu1, pool1, ...
    """
    nodes, weights, last, convolutions, pools = [], [], "image", 0, 0
    for layer in network.layers:
        if isinstance(layer, nn.Conv2d):
            convolutions += 1
            name = f"conv{convolutions}"
            weights += _parameters(name, layer)
            inputs = [last, f"{name}.weight", f"{name}.bias"]
            nodes.append(helper.make_node("Conv", inputs, [name], name, kernel_shape=[3, 3], pads=[1, 1, 1, 1]))
        elif isinstance(layer, nn.ReLU):
            name = f"relu{convolutions}"
            nodes.append(helper.make_node("Relu", [last], [name], name))
        else:
            pools += 1
            name = f"pool{pools}"
            nodes.append(helper.make_node("MaxPool", [last], [name], name, kernel_shape=[2, 2], strides=[2, 2]))
        last = name
    weights += _parameters("classifier", network.classifier)
    nodes += [
        helper.make_node("GlobalAveragePool", [last], ["average"], "average"),
        helper.make_node("Flatten", ["average"], ["features"], "features"),
        helper.make_node(
            "Gemm", ["features", "classifier.weight", "classifier.bias"], ["logits"], "classifier", transB=1
        ),
    ]
    classes = network.classifier.out_features
    graph = helper.make_graph(
        nodes,
        "emoji_scenes",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 3, side, side])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", classes])],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="heatcli")
    model.ir_version = 8
    onnx.checker.check_model(model, full_check=True)
    temporary = path.with_suffix(".onnx.part")
    onnx.save(model, temporary)
    temporary.replace(path)


def _parameters(name: str, layer: nn.Conv2d | nn.Linear) -> list[onnx.TensorProto]:
    weight, bias = layer.weight, layer.bias
    assert bias is not None
    return [
        numpy_helper.from_array(np.ascontiguousarray(array.detach().numpy()), f"{name}.{kind}")
        for kind, array in (("weight", weight), ("bias", bias))
    ]
