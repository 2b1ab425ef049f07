"""The usual ways in which pictures become network inputs, by name."""

from __future__ import annotations

from dataclasses import dataclass

MARGIN = 256 / 224
"""The shorter side is resized to this much more than what is cut out of its middle."""

SMALL = 64
"""Networks with fewer pixels a side see the picture without a margin. Measured with four CIFAR networks (onnc_resnet20,
resnet4b, vit_pgd, large_keras) on the 21 photographs that show a CIFAR class: of 84 answers 46 were right cut square
without a margin, 42 with it, 46 squashed, 31 padded."""


@dataclass(frozen=True)
class Preset:
    """x = (pixel·``scale`` − ``mean``)/``std``, one mean and std a channel in the order of ``channels``.

    The picture is cut to the frame: its shorter side is resized with the usual margin, then the centre is taken.
    """

    name: str
    words: str
    scale: float = 1.0
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    channels: str = "rgb"


PRESETS = {
    preset.name: preset
    for preset in (
        Preset(
            "imagenet",
            "RGB/255, ImageNet mean and std",
            scale=1 / 255,
            mean=(0.485, 0.456, 0.406),
            std=(0.229, 0.224, 0.225),
        ),
        # Caffe squashes the picture to 256×256 and cuts out the middle; here its shorter side becomes 256, so that
        # shapes keep their proportions. Both were measured on 62 photographs of known class, squash first:
        # bvlc_googlenet 50 and 47 right, mean log probability −0.78 and −0.83; squeezenet 1.1 45 and 44, −1.09 and
        # −1.15; squeezenet 1.0 44 and 45, −1.14 and −1.25. The counts are within noise of each other.
        Preset("caffe", "BGR 0–255 minus 104, 117, 123", mean=(104.0, 117.0, 123.0), channels="bgr"),
        Preset("half", "RGB/127.5 − 1", scale=1 / 127.5, mean=(1.0, 1.0, 1.0)),
        Preset("unit", "RGB/255", scale=1 / 255),
        Preset("raw", "RGB 0–255"),
    )
}


def margin(size: tuple[int, int], fit: str) -> int | None:
    """Return the length of the shorter side before the crop to ``size`` (height, width), None for no margin."""
    short = min(size)
    return round(short * MARGIN) if fit != "pad" and short >= SMALL else None
