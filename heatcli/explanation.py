"""What an explanation holds: the class explained, its relevance, and the account of where it went."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    import numpy as np
    import PIL.Image

    from heatcli.pictures.preprocessing import Placement
    from heatcli.relevance.ledger import Ledger


@dataclass(frozen=True)
class ClassScore:
    """One class of the network: ``score`` is before softmax or sigmoid, ``probability`` after."""

    index: int
    label: str | None
    score: float
    probability: float


@dataclass(frozen=True)
class ModelInfo:
    """Which file was explained."""

    path: str
    sha256: str
    producer: str


@dataclass(frozen=True, eq=False, repr=False)
class Explanation:
    """The relevance of every input element for one class of one picture.

    ``relevance`` has the network input's own shape without the batch axis, (C, H, W) for an NCHW network, float32.
    ``layers`` holds the relevance of every layer's output by name, where that was asked for; ``notes`` says what the
    method assumed, ``warnings`` what speaks against trusting the map. ``versus`` is the rival whose relevance was taken
    away; ``root`` the root point of simple Taylor decomposition, of the relevance's shape and the
    input's units, and ``root_picture`` the same as the network sees it, where it is a picture.
    """

    relevance: np.ndarray
    layout: str
    target: int
    label: str | None
    score: float
    probability: float
    top: tuple[ClassScore, ...]
    ledger: Ledger
    method: str
    signed: bool
    settings: dict[str, Any]
    preprocessing: dict[str, Any]
    model: ModelInfo
    image: PIL.Image.Image | None = None
    placement: Placement | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    layers: dict[str, np.ndarray] | None = None
    versus: ClassScore | None = None
    root: np.ndarray | None = None
    root_picture: PIL.Image.Image | None = None

    def __repr__(self) -> str:
        """Name the class explained, its score and the method."""
        name = self.label if self.label is not None else f"class {self.target}"
        return f"Explanation({name!r}, score {self.score:.4g}, {self.method}, relevance {self.relevance.shape})"

    @property
    def heatmap(self) -> np.ndarray:
        """Relevance summed over the channels, (H, W) float32 (paper 6.2); the tensor itself where it is no picture."""
        from heatcli.pictures.preprocessing import to_heatmap

        return to_heatmap(self.relevance, self.layout, self.placement.network if self.placement else None)

    def render(
        self,
        *,
        style: str = "overlay",
        colormap: str | None = None,
        scale: str | float = "per-image",
        size_like: str = "picture",
        colorbar: bool = False,
    ) -> PIL.Image.Image:
        """Return the heatmap as a picture.

        ``style`` is heatmap, overlay, side-by-side or contour; ``colormap`` a name or a string such as ``000,f00,fff``;
        ``scale`` per-image, or the relevance that gets the strongest colour; ``size_like`` picture (the map lies on the
        original picture) or network (the map as the network sees it); ``colorbar`` adds a bar of the colours below,
        with numbers: the relevance of one pixel of the network's input. Raises UsageError for an unknown one.
        """
        from heatcli.pictures.rendering import render

        return render(
            self.heatmap,
            self.image,
            self.placement,
            style=style,
            colormap=colormap,
            scale=scale,
            signed=self.signed,
            size_like=size_like,
            colorbar=colorbar,
        )

    def save(self, path: str | Path | BinaryIO, **options: Any) -> Path | None:
        """Write ``render(**options)`` as PNG, whole or not at all; return the path, None for an open file."""
        from heatcli.pictures.rendering import save_png

        save_png(self.render(**options), path)
        return Path(path) if isinstance(path, str | Path) else None
