"""What small networks are made of: patches, tokens, branches, and parameters that no layer would be neutral with."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tests.peers.classifier import Classifier

CLASSES = 5


def drawn(module: nn.Module, seed: int, side: int = 16) -> Classifier:
    """Give every parameter of ``module`` a value from ``seed`` that no layer would be neutral with."""
    generator = torch.Generator().manual_seed(seed)
    for name, value in module.named_parameters():
        kind = name.rpartition(".")[2]
        if kind == "weight" and value.ndim > 1:
            nn.init.normal_(value, 0, (value[0].numel() / (2 if value.ndim > 2 else 1)) ** -0.5, generator=generator)
        elif kind in ("weight", "layer_scale"):
            nn.init.uniform_(value, 0.5, 1.5, generator=generator)
        else:
            nn.init.normal_(value, 0, 0.1 if kind in ("bias", "shift") else 0.3, generator=generator)
    for name, value in module.named_buffers():
        if name.endswith("running_mean"):
            nn.init.normal_(value, 0, 0.1, generator=generator)
        elif name.endswith("running_var"):
            nn.init.uniform_(value, 0.5, 1.5, generator=generator)
    return Classifier(module.eval().requires_grad_(False).double(), (1, 3, side, side), ())


def free(*shape: int) -> nn.Parameter:
    """Return a parameter that ``drawn`` fills: a token, positions, a scale."""
    return nn.Parameter(torch.zeros(shape))


class Patches(nn.Module):
    """A picture as tokens (N, H·W, C), one for each patch."""

    def __init__(self, width: int, patch: int) -> None:
        super().__init__()
        self.project = nn.Conv2d(3, width, patch, patch)

    def forward(self, x: Tensor) -> Tensor:
        return self.project(x).flatten(2).transpose(1, 2)


class Tokens(nn.Module):
    """``count`` learned tokens in front of the picture's, and learned positions where there are ``places``."""

    def __init__(self, width: int, count: int, places: int = 0) -> None:
        super().__init__()
        self.first, self.positions = free(1, count, width), free(1, count + places, width) if places else None

    def forward(self, x: Tensor) -> Tensor:
        x = torch.cat([self.first.expand(x.shape[0], -1, -1), x], 1)
        return x if self.positions is None else x + self.positions


class Positions(nn.Module):
    """Learned positions."""

    def __init__(self, places: int, width: int) -> None:
        super().__init__()
        self.positions = free(1, places, width)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.positions


class Scale(nn.Module):
    """A factor for each channel, which is the axis ``-1 - after``."""

    def __init__(self, width: int, after: int = 0) -> None:
        super().__init__()
        self.layer_scale = free(width, *(1,) * after)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.layer_scale


class Residual(nn.Module):
    """x + branch(x)."""

    def __init__(self, *branch: nn.Module) -> None:
        super().__init__()
        self.branch = nn.Sequential(*branch)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.branch(x)


def perceptron(width: int, inner: int, activation: nn.Module | None = None) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width, inner), activation or nn.GELU(), nn.Linear(inner, width))


def block(width: int, attention: nn.Module, activation: nn.Module | None = None) -> nn.Sequential:
    """Return a block with normalisation before each branch."""
    return nn.Sequential(
        Residual(nn.LayerNorm(width), attention),
        Residual(nn.LayerNorm(width), perceptron(width, 2 * width, activation)),
    )


class Take(nn.Module):
    """One token of all."""

    def __init__(self, place: int = 0) -> None:
        super().__init__()
        self.place = place

    def forward(self, x: Tensor) -> Tensor:
        return x[:, self.place]


class Mean(nn.Module):
    """The mean of the tokens from ``begin`` on."""

    def __init__(self, begin: int = 0) -> None:
        super().__init__()
        self.begin = begin

    def forward(self, x: Tensor) -> Tensor:
        return x[:, self.begin :].mean(1)


class Turn(nn.Module):
    """Axes in another order."""

    def __init__(self, *order: int) -> None:
        super().__init__()
        self.order = order

    def forward(self, x: Tensor) -> Tensor:
        return x.permute(self.order)
