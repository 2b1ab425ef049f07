"""Pictures × methods (the paper's Fig. 5 and 7): which cell shows what, in which colours, to which scale."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import PIL.Image
import PIL.ImageDraw
from PIL.Image import Image, Resampling

from heatcli.errors import UsageError
from heatcli.pictures.colormaps import colormap
from heatcli.pictures.colour_bar import EMPTY, FAINT, Bar, figure, scale_bar
from heatcli.pictures.lettering import font, small
from heatcli.pictures.paint import full_colour, paint_of
from heatcli.pictures.placement import Placement
from heatcli.pictures.rendering import render
from heatcli.pictures.seen import as_image, fitted
from heatcli.pictures.sheet import Sheet

STYLES = ("heatmap", "overlay")
PER_METHOD, PER_IMAGE = "per-method", "per-image"
CELL = 224
"""The longer side of a cell in pixels at least: small maps are enlarged by a whole factor."""
LARGEST_CELL = 640
"""The longer side of a cell at most, where nothing else is asked for."""


@dataclass(frozen=True, eq=False)
class Maps:
    """The maps of one method, one a picture: (H, W) each, the same size for all; None where the method failed.

    ``signed`` says that negative values are drawn too, symmetrically about zero; without it they count as zero.
    ``colormap`` is a name or string of ``colormaps``, None for the usual one: red on white, or seismic if signed.
    """

    heading: str
    maps: Sequence[np.ndarray | None]
    signed: bool = False
    colormap: str | None = None


def grid(
    pictures: Sequence[Image | np.ndarray],
    methods: Sequence[Maps],
    *,
    captions: Sequence[Sequence[str]] | None = None,
    cell: int | None = None,
    scale: str | float = PER_METHOD,
    style: str = "heatmap",
    transposed: bool = False,
    text: int | None = None,
) -> Sheet:
    """Return the sheet of a row a picture, a column a method, the pictures themselves in the first; ``draw()`` it.

    ``pictures`` are RGB or grey images of what the network saw, or arrays (H, W) or (H, W, 3): uint8, or floats, of
    which the smallest becomes black and the largest white. ``captions`` are lines of words for each picture. ``cell``
    is the longer side of every cell in pixels; without it small maps are enlarged by a whole factor to at least
    ``CELL``. ``scale`` is the relevance that gets the strongest colour: ``per-method`` (see ``full_of``),
    ``per-image`` (each map's own ``full_colour``), or a number. ``style`` is heatmap, or overlay on the picture;
    ``transposed`` makes methods the rows, as in the paper's Fig. 5; ``text`` is the size of letters in pixels, None for
    one that suits the cells. Raises UsageError for what is not known or does not fit together.
    """
    if style not in STYLES:
        raise UsageError(f"unknown style '{style}'; known: {', '.join(STYLES)}")
    for method in methods:
        if len(method.maps) != len(pictures):
            raise UsageError(f"{len(method.maps)} maps of {method.heading} for {len(pictures)} pictures")
    if captions is not None and len(captions) != len(pictures):
        raise UsageError(f"{len(captions)} captions for {len(pictures)} pictures")
    shapes = {drawn.shape for method in methods for drawn in method.maps if drawn is not None}
    if len(shapes) != 1 or len(shape := shapes.pop()) != 2 or 0 in shape:
        raise UsageError("the maps of a grid are (H, W), all of one size, and at least one is needed")
    size = cell_size((shape[0], shape[1]), cell)
    letters = letters_for(size) if text is None else text
    columns = [_Column(method, scale, style) for method in methods]

    def picture(row: int, column: int) -> Image:
        seen = fitted(as_image(pictures[row]), size)
        return seen if column == 0 else columns[column - 1].cell(row, size, seen, letters)

    return Sheet(
        picture,
        size,
        ("picture", *(method.heading for method in methods)),
        captions or [()] * len(pictures),
        (None, *(column.bar() for column in columns)),
        transposed,
        letters,
    )


def cell_size(shape: tuple[int, int], longer: int | None = None) -> tuple[int, int]:
    """Return the (height, width) of cells for maps of ``shape``; ``longer`` is the longer side, None for the usual."""
    largest = max(shape)
    if longer is None:
        longer = largest * math.ceil(CELL / largest) if largest < LARGEST_CELL else LARGEST_CELL
    return max(1, round(shape[0] * longer / largest)), max(1, round(shape[1] * longer / largest))


def letters_for(cell: tuple[int, int]) -> int:
    """Return the size of letters in pixels that suits cells of (height, width)."""
    return max(12, round(max(cell) / 14))


def enlarged(image: Image, size: tuple[int, int]) -> Image:
    """Return the drawn map ``image`` in (height, width) ``size``, its pixels as squares, or averaged if it shrinks."""
    height, width = size
    smaller = height < image.height or width < image.width
    return image.resize((width, height), Resampling.BOX if smaller else Resampling.NEAREST)


def finite(map: np.ndarray) -> np.ndarray:
    """Return ``map`` (H, W) with zero for what is not finite, float32."""
    return np.where(np.isfinite(map), map, 0).astype(np.float32)


class _Column:
    """One method's column: its maps in their colours."""

    def __init__(self, method: Maps, scale: str | float, style: str) -> None:
        self.method, self.style, self.own = method, style, scale == PER_IMAGE
        self.colormap = method.colormap or usual_colormap(signed=method.signed, style=style)
        chosen = colormap(self.colormap)
        if method.signed and chosen.diverging is False:
            raise UsageError(
                f"the colour map {chosen.name} starts at zero, but maps of {method.heading} are signed; "
                "use seismic or bwr"
            )
        self.full = 0.0 if self.own else full_of(method, scale)

    def cell(self, row: int, size: tuple[int, int], seen: Image, text: int) -> Image:
        """Return the cell of picture ``row``, over ``seen`` where the style says so."""
        map = self.method.maps[row]
        if map is None:
            return _said("failed", PIL.Image.new("RGB", size[::-1], (235, 235, 235)), text)
        relevance = finite(map)
        if self.style == "heatmap":
            drawn = enlarged(coloured(relevance, self.colormap, self.full, signed=self.method.signed), size)
        else:
            frame = Placement(
                size, (relevance.shape[0], relevance.shape[1]), (0.0, 0.0, float(size[1]), float(size[0]))
            )
            drawn = render(
                relevance,
                seen,
                frame,
                style="overlay",
                colormap=self.colormap,
                scale=self.full or PER_IMAGE,
                signed=self.method.signed,
            )
        empty = not (relevance.any() if self.method.signed else (relevance > 0).any())
        return _said(EMPTY, drawn, text) if empty else drawn

    def bar(self) -> Bar | None:
        """Return the colours from the lowest value to the highest, with numbers; None where all maps are empty."""
        if not (self.own or self.full):
            return None
        return colour_bar(self.colormap, None if self.own else self.full, signed=self.method.signed, style=self.style)


def full_of(method: Maps, scale: str | float) -> float:
    """Return the relevance that gets the strongest colour in all maps of ``method``, 0 where all are empty.

    With ``per-method`` it is the median of what each map that is not empty would have alone, ``full_colour``: beside
    one strong map the others would be pale if it were the largest, and a strong one is known by its broad full colour.
    """
    if scale != PER_METHOD:
        return full_colour(np.zeros((1, 1)), scale)
    values = [finite(map) for map in method.maps if map is not None]
    own = [full_colour(map if method.signed else np.maximum(map, 0)) for map in values]
    return float(np.median([full for full in own if full] or [0.0]))


def usual_colormap(*, signed: bool, style: str = "heatmap") -> str:
    """Return the name of the colour map of a method for which none is given: the paper's red on white where it fits."""
    if style == "overlay":
        return "coldhot" if signed else "hot"
    return "seismic" if signed else "red"


def coloured(relevance: np.ndarray, colormap: str, full: float, *, signed: bool) -> Image:
    """Return ``relevance`` (H, W) in colours, a pixel each; ``full`` gets the strongest, 0 stands for the map's own."""
    options = {"colormap": colormap, "scale": full or PER_IMAGE, "signed": signed}
    return render(relevance, None, None, style="heatmap", **options)  # type: ignore[arg-type]


def colour_bar(colormap: str, full: float | None, *, signed: bool, style: str = "heatmap") -> Bar:
    """Return the bar of a scale that ends at ``full``, None where every map has its own end."""
    low, high = ("-maximum", "maximum" if signed else "own maximum") if full is None else (figure(-full), figure(full))
    return scale_bar(paint_of(colormap, full or 1.0, signed=signed), low, high, blended=style == "overlay")


def _said(words: str, image: Image, text: int) -> Image:
    """Write ``words`` into the middle of ``image``."""
    marked = image.copy()
    spot = (image.width / 2, image.height / 2)
    PIL.ImageDraw.Draw(marked).text(spot, words, FAINT, font(small(text)), anchor="mm")
    return marked
