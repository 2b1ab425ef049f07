"""A small torch classifier with seeded weights, and catalogues of them by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Classifier:
    """A module in evaluation mode, the shape of one input (batch axis included), its first linear layers.

    The module is float64 unless its builder says otherwise.
    """

    module: nn.Module
    shape: tuple[int, ...]
    first: tuple[str, ...]
    opset: int = 17

    def picture(self, low: float, high: float, seed: int = 1) -> Tensor:
        """Draw one input, uniform in [low, high], exactly representable in float32."""
        generator = torch.Generator().manual_seed(seed)
        return (low + (high - low) * torch.rand(self.shape, generator=generator)).clamp(low, high).double()


@dataclass
class Catalogue:
    """Classifiers by name; a builder is called with no argument and returns a fresh one."""

    builders: dict[str, Callable[[], Classifier]] = field(default_factory=dict)

    def __call__(self, builder: Callable[[], Classifier]) -> Callable[[], Classifier]:
        """Enter ``builder`` under its own name."""
        self.builders[builder.__name__] = builder
        return builder


def seeded(
    module: nn.Module,
    shape: tuple[int, ...],
    first: tuple[str, ...],
    seed: int,
    opset: int = 17,
    dtype: torch.dtype = torch.float64,
) -> Classifier:
    """Give every layer of ``module`` weights from ``seed``: He's normal distribution, biases N(0, 0.1²).

    The biases of the ``first`` layers are at most 0: zennit's z^B leaves biases out of the denominator, the paper puts
    the positive ones in. Statistics of batch normalisations differ from 0 and 1.
    """
    generator = torch.Generator().manual_seed(seed)
    for name, layer in module.named_modules():
        if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu", generator=generator)
            if layer.bias is not None:
                nn.init.normal_(layer.bias, 0, 0.1, generator=generator)
                if name in first:
                    layer.bias.data = -layer.bias.data.abs()
        elif isinstance(layer, nn.BatchNorm2d):
            nn.init.uniform_(layer.weight, 0.8, 1.2, generator=generator)
            nn.init.normal_(layer.bias, 0, 0.1, generator=generator)
            nn.init.normal_(layer.running_mean, 0, 0.1, generator=generator)
            nn.init.uniform_(layer.running_var, 0.5, 1.5, generator=generator)
    return Classifier(module.eval().to(dtype), shape, first, opset)
