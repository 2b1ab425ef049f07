"""What turns a picture into the network's input tensor, and black and white into its range."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL.Image import Image, fromarray

from heatcli.pictures.layouts import Form, arranged, by_channel, chw
from heatcli.pictures.placement import Placement, place
from heatcli.pictures.presets import PRESETS

Numbers = tuple[float, ...]


@dataclass(frozen=True)
class Preprocessing:
    """x = (pixel·``scale`` − ``mean``)/``std`` with pixels 0–255, after the picture was fitted into ``size``.

    ``size`` is (height, width). ``fit`` and ``resize`` are those of ``placement.place``. ``mean`` and ``std`` have one
    value a channel, in the order of ``channels`` (rgb, bgr or grey). ``source`` says who decided: option, sidecar,
    metadata, config, graph or default; ``evidence`` is every statement that counted, the strongest first. ``shape`` is
    the input's, which has axes more than its layout where a row of numbers has some of length 1 around it.
    """

    size: tuple[int, int]
    fit: str
    resize: int | None
    mean: Numbers
    std: Numbers
    scale: float
    channels: str
    layout: str
    dtype: str
    source: str
    preset: str
    shape: tuple[int, ...]
    evidence: tuple[str, ...] = ()

    def tensor(self, image: Image) -> tuple[np.ndarray, Placement]:
        """Return the network input for an upright RGB ``image``, batch axis included, and where the network looked.

        The array has the network's own layout and dtype; integer inputs are rounded.
        """
        placement = place((image.height, image.width), self.size, self.fit, self.resize)
        seen = placement.view(image.convert("L") if self.channels == "grey" else image, self._padding())
        pixels = np.asarray(seen)
        pixels = pixels[:, :, None] if self.channels == "grey" else pixels
        if self.channels == "bgr":
            pixels = pixels[:, :, ::-1]
        return self._normalised(arranged(pixels, self.layout)).reshape(self.shape), placement

    def picture(self, x: np.ndarray) -> Image:
        """Return the picture that the network input ``x`` shows, ``size`` pixels, RGB: the inverse of ``tensor``."""
        pixels = chw(x.astype(np.float64), self.layout, self.size)
        assert pixels is not None
        mean, std = (np.asarray(values).reshape(-1, 1, 1) for values in (self.mean, self.std))
        pixels = np.clip(np.rint((pixels * std + mean) / self.scale), 0, 255).astype(np.uint8)
        pixels = np.repeat(pixels, 3, axis=0) if len(pixels) == 1 else pixels
        pixels = pixels[::-1] if self.channels == "bgr" else pixels
        return fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0)))

    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the range (l, h) of the network input, float32, broadcastable to it: one value a channel.

        Black and white go the same way as every pixel, so that l ≤ x ≤ h holds to the last bit.
        """
        ends = [
            self._normalised(by_channel(np.full(len(self.mean), pixel, np.uint8), self._form)).astype(np.float32)
            for pixel in (0, 255)
        ]
        if self.layout.startswith("flat"):  # one number, or one for every element
            ends = [end.reshape(self.shape if end.size > 1 else (1,) * len(self.shape)) for end in ends]
        return np.minimum(*ends), np.maximum(*ends)

    def record(self) -> dict[str, Any]:
        """Return all of it in types that JSON has."""
        return {
            "preset": self.preset,
            "source": self.source,
            "size": list(self.size),
            "fit": self.fit,
            "resize": self.resize,
            "scale": self.scale,
            "mean": list(self.mean),
            "std": list(self.std),
            "channels": self.channels,
            "layout": self.layout,
            "dtype": self.dtype,
            "evidence": list(self.evidence),
        }

    def words(self) -> str:
        """Say in a few words what is done: ``imagenet (RGB/255, ImageNet mean and std)``."""
        if self.preset in PRESETS and (self.channels != "grey"):
            return f"{self.preset} ({PRESETS[self.preset].words})"
        mean, std = (", ".join(f"{value:g}" for value in dict.fromkeys(values)) for values in (self.mean, self.std))
        order = {"rgb": "RGB", "bgr": "BGR", "grey": "grey"}[self.channels]
        text = order + (" 0–255" if self.scale == 1 else f"/{1 / self.scale:g}")
        text += f", mean {mean}" if any(self.mean) else ""
        text += f", std {std}" if set(self.std) != {1.0} else ""
        return f"{self.preset} ({text})"

    def fitting(self) -> str:
        """Say in a few words how a picture gets the input's size: ``shorter side to 256, centre crop 224×224``."""
        height, width = self.size
        frame = f"{height}×{width}"
        margin = self.resize is not None and self.resize > min(self.size)
        if self.fit == "crop":
            return (
                f"shorter side to {self.resize}, centre crop {frame}" if margin else f"centre crop, scaled to {frame}"
            )
        if self.fit == "squash" and margin:
            larger = (self.resize or 0) / min(self.size)
            return f"squash to {round(height * larger)}×{round(width * larger)}, crop {frame}"
        return f"{self.fit} to {frame}"

    @property
    def _form(self) -> Form:
        return Form(self.size, len(self.mean), self.layout)

    def _padding(self) -> tuple[int, ...] | int:
        """Return the pixel that becomes zero in the network input, as far as there is one: an RGB triple or a grey."""
        values = [min(255, max(0, round(value / self.scale))) for value in self.mean]
        if self.channels == "grey":
            return values[0]
        return tuple(reversed(values)) if self.channels == "bgr" else tuple(values)

    def _normalised(self, pixels: np.ndarray) -> np.ndarray:
        """Normalise uint8 ``pixels`` that already have the input's layout."""
        mean, std = np.asarray(self.mean, np.float64), np.asarray(self.std, np.float64)
        slope = by_channel((self.scale / std).astype(np.float32), self._form)
        shift = by_channel((-mean / std).astype(np.float32), self._form)
        x = pixels.astype(np.float32)
        x *= slope
        x += shift
        kind = np.dtype(self.dtype)
        if kind.kind in "iu":
            limits = np.iinfo(kind)
            x = np.clip(np.rint(x), limits.min, limits.max)
        return np.asarray(x.astype(kind, copy=False))
