"""Deep Taylor maps by zennit: z^B on the first layers, z⁺ above, averages and sums by shares, the rest passed."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from tests.peers.classifier import Classifier
from tests.peers.ladder import LocalResponseNormalization

STABILIZER = 1e-12
"""Far below any denominator that matters in float64, so that rules are compared and not their stabilisers."""


class Sum(nn.Module):
    """The sum of two operands as a module, since a rule needs one to stand at."""

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return a + b


def shares(a: Tensor, b: Tensor, r: Tensor) -> tuple[Tensor, Tensor]:
    """Share ``r`` among two summands by their positive parts, and by their negative ones where neither is positive."""
    positive = a.clamp(min=0) + b.clamp(min=0)
    some = positive > 0
    total = torch.where(some, positive, a.clamp(max=0) + b.clamp(max=0))
    s = torch.where(total == 0, 0, r / torch.where(total == 0, 1, total))
    return tuple(torch.where(some, x.clamp(min=0), x.clamp(max=0)) * s for x in (a, b))


class Mix(nn.Module):
    """Attention weights times values as a module, since a rule needs one to stand at."""

    def forward(self, a: Tensor, v: Tensor) -> Tensor:
        return a @ v


def mixed(a: Tensor, v: Tensor, r: Tensor) -> tuple[Tensor, Tensor]:
    """Share ``r`` among the values in proportion to a v⁺, the weights a ≥ 0 being constants."""
    positive = v.clamp(min=0)
    z = a @ positive
    s = torch.where(z == 0, 0, r / torch.where(z == 0, 1, z))
    return torch.zeros_like(a), positive * (a.transpose(-1, -2) @ s)


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


def deep_taylor(
    classifier: Classifier, picture: Tensor, target: int | Sequence[int], low: Tensor, high: Tensor
) -> Tensor:
    """Return the relevance of every input element for the logit ``target``, in the shape of ``picture``.

    A batch of pictures takes one target each. ``low`` and ``high`` bound the input and broadcast to it. Max pools hand
    their relevance to the winner.
    """
    make_importable()
    from zennit.attribution import Gradient
    from zennit.core import Composite, Hook
    from zennit.rules import Norm, Pass, ZBox, ZPlus
    from zennit.types import Activation, AvgPool, Linear

    class Shares(Hook):
        def __init__(self, share: Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]) -> None:
            super().__init__()
            self.share = share

        def copy(self) -> Shares:
            return Shares(self.share)

        def forward(self, module: nn.Module, input: tuple[Tensor, ...], output: Tensor) -> None:
            self.stored_tensors["input"] = tuple(x.detach() for x in input)

        def backward(self, module: nn.Module, grad_input: tuple, grad_output: tuple) -> tuple[Tensor, Tensor]:
            return self.share(*self.stored_tensors["input"], grad_output[0])

    targets = [target] if isinstance(target, int) else list(target)

    def rule(context: dict, name: str, module: nn.Module) -> Hook | None:
        if name in classifier.first:
            return ZBox(low, high, stabilizer=STABILIZER)
        if isinstance(module, Linear):
            return ZPlus(stabilizer=STABILIZER)
        if isinstance(module, AvgPool):
            return Norm(stabilizer=STABILIZER)
        if isinstance(module, Sum):
            return Shares(shares)
        if isinstance(module, Mix):
            return Shares(mixed)
        if isinstance(module, (Activation, LocalResponseNormalization, nn.Dropout, nn.GELU, nn.LayerNorm)):
            return Pass()
        return None

    def start(output: Tensor) -> Tensor:
        return output * torch.eye(output.shape[1], dtype=output.dtype)[targets]

    with Gradient(model=classifier.module, composite=Composite(module_map=rule)) as attributor:
        _, relevance = attributor(picture, start)
    return relevance.detach()
