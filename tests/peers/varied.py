"""Other activations, normalisation, sums and gates: classifiers whose values and derivatives can be compared."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from tests.peers.classifier import Catalogue, Classifier, seeded

varied = Catalogue()


def activated(activation: nn.Module, seed: int) -> Classifier:
    """Return two convolutions and a linear layer with ``activation`` between them."""
    module = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        activation,
        nn.Conv2d(8, 8, 3, 2, 1),
        activation,
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(32, 10),
    )
    return seeded(module, (1, 3, 12, 12), ("0",), seed)


ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
    "leaky_relu": lambda: nn.LeakyReLU(0.1),
    "prelu": lambda: nn.PReLU(8, 0.2),
    "elu": lambda: nn.ELU(0.7),
    "selu": nn.SELU,
    "celu": lambda: nn.CELU(1.3),
    "softplus": nn.Softplus,
    "softsign": nn.Softsign,
    "relu6": nn.ReLU6,
    "hard_sigmoid": nn.Hardsigmoid,
    "hard_swish": nn.Hardswish,
    "silu": nn.SiLU,
    "gelu": nn.GELU,
    "gelu_by_tanh": lambda: nn.GELU("tanh"),
    "mish": nn.Mish,
}


def enter_activations() -> None:
    """Enter one classifier for each activation."""
    for seed, (name, activation) in enumerate(ACTIVATIONS.items()):
        varied.builders[name] = lambda seed=seed, activation=activation: activated(activation(), 20 + seed)


enter_activations()


@varied
def batch_normalised() -> Classifier:
    module = nn.Sequential(
        nn.BatchNorm2d(3),
        nn.Conv2d(3, 8, 3, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.BatchNorm2d(8),
        nn.MaxPool2d(2),
        nn.BatchNorm2d(8),
        nn.Conv2d(8, 8, 3),
        nn.ReLU(),
        nn.AdaptiveMaxPool2d(1),
        nn.Flatten(),
        nn.Linear(8, 10),
    )
    return seeded(module, (1, 3, 14, 14), ("1",), seed=50)


class Residual(nn.Module):
    """Two normalised convolutions and a shortcut, summed before the rectifier."""

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            nn.Conv2d(channels, width, 3, stride, 1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or width != channels:
            self.shortcut = nn.Sequential(nn.Conv2d(channels, width, 1, stride, bias=False), nn.BatchNorm2d(width))
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.branch(x) + self.shortcut(x))


@varied
def resnet() -> Classifier:
    module = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        Residual(8, 8, 1),
        Residual(8, 12, 2),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(12, 10),
    )
    return seeded(module, (1, 3, 16, 16), ("0",), seed=51)


class Excitation(nn.Module):
    """Squeeze and excitation: each channel times a gate computed from all channels' means."""

    def __init__(self, channels: int, gate: nn.Module) -> None:
        super().__init__()
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(channels, 4, 1), nn.ReLU(), nn.Conv2d(4, channels, 1), gate
        )

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gate(x)


@varied
def squeeze_and_excitation() -> Classifier:
    module = nn.Sequential(
        nn.Conv2d(3, 8, 3, 2, 1),
        nn.ReLU(),
        Excitation(8, nn.Sigmoid()),
        nn.Conv2d(8, 12, 3),
        nn.Hardswish(),
        Excitation(12, nn.Hardsigmoid()),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(12, 10),
    )
    return seeded(module, (1, 3, 16, 16), ("0",), seed=52)


@varied
def transposed_convolution() -> Classifier:
    module = nn.Sequential(
        nn.Conv2d(3, 8, 3, 2, 1),
        nn.ReLU(),
        nn.ConvTranspose2d(8, 6, 3, 2, 1, output_padding=1, groups=2),
        nn.ReLU(),
        nn.Conv2d(6, 6, 3, 2),
        nn.Flatten(),
        nn.Linear(6 * 7 * 7, 10),
    )
    return seeded(module, (1, 3, 16, 16), ("0",), seed=53)
