"""Deep Taylor maps by zennit: z^B on the first layers, z⁺ above, average pools by shares, everything else passed."""

from __future__ import annotations

import sys
import types

import torch
from torch import Tensor, nn

from tests.peers.classifier import Classifier
from tests.peers.ladder import LocalResponseNormalization

STABILIZER = 1e-12
"""Far below any denominator that matters in float64, so that rules are compared and not their stabilisers."""


def make_importable() -> None:
    """Let zennit be imported where torchvision is absent or does not fit the installed torch.

    zennit names two classes of torchvision for its canonizers, which are not used here; empty ones do.
    """
    try:
        import torchvision  # noqa: F401
    except (ImportError, RuntimeError):
        for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
            del sys.modules[name]
        package, models, resnet = (
            types.ModuleType(name) for name in ("torchvision", "torchvision.models", "torchvision.models.resnet")
        )
        package.models, models.resnet = models, resnet
        resnet.Bottleneck, resnet.BasicBlock = type("Bottleneck", (), {}), type("BasicBlock", (), {})
        sys.modules |= {module.__name__: module for module in (package, models, resnet)}


def deep_taylor(classifier: Classifier, picture: Tensor, target: int, low: Tensor, high: Tensor) -> Tensor:
    """Return the relevance of every input element for the logit ``target``, in the shape of ``picture``.

    ``low`` and ``high`` bound the input and broadcast to it. Max pools hand their relevance to the winner.
    """
    make_importable()
    from zennit.attribution import Gradient
    from zennit.core import Composite, Hook
    from zennit.rules import Norm, Pass, ZBox, ZPlus
    from zennit.types import Activation, AvgPool, Linear

    def rule(context: dict, name: str, module: nn.Module) -> Hook | None:
        if name in classifier.first:
            return ZBox(low, high, stabilizer=STABILIZER)
        if isinstance(module, Linear):
            return ZPlus(stabilizer=STABILIZER)
        if isinstance(module, AvgPool):
            return Norm(stabilizer=STABILIZER)
        if isinstance(module, (Activation, LocalResponseNormalization, nn.Dropout)):
            return Pass()
        return None

    def start(output: Tensor) -> Tensor:
        return output * torch.eye(output.shape[1], dtype=output.dtype)[[target]]

    with Gradient(model=classifier.module, composite=Composite(module_map=rule)) as attributor:
        _, relevance = attributor(picture, start)
    return relevance.detach()
