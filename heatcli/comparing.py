"""Comparing: one class of every picture explained by several methods, the maps side by side (the paper's Fig. 5, 7, 8).

Methods are taken one after the other, and pictures within each: what a method needs to know of the network is worked
out once. Of an explanation only its (H, W) map is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Unpack, cast

import numpy as np
from PIL.Image import Image

from heatcli.errors import HeatcliError, ModelError, PictureError, UsageError
from heatcli.explainer import Explainer
from heatcli.explanation import Explanation
from heatcli.inputs import Picture
from heatcli.methods import named
from heatcli.pictures.colormaps import colormap as colours_of
from heatcli.pictures.grid import PER_IMAGE, PER_METHOD, Maps, cell_size, full_of, grid
from heatcli.pictures.seen import fitted, seen_in_picture, seen_in_tensor
from heatcli.pictures.sheet import MOST_PIXELS, Sheet
from heatcli.pictures.zoom import Region, busiest, zoom
from heatcli.settings import Settings
from heatcli.targets import wanted

METHODS = ("deep-taylor", "sensitivity")
"""What is compared where nothing else is asked for, as in the paper's Fig. 7."""
FINEST = 6
"""So many times finer than the network saw it, at most, a picture is kept to be enlarged."""


class Cell(NamedTuple):
    """What became of a method on the picture at ``place``: its ``explanation``, or the ``error`` that was raised."""

    place: int
    method: str
    explanation: Explanation | None
    error: Exception | None


@dataclass(frozen=True, eq=False)
class _Shown:
    """A picture of the sheet: ``seen`` by the network, in the cells' size; the class explained; the words beside it."""

    seen: Image
    target: int
    caption: tuple[str, ...]


class Comparison:
    """Pictures × methods: ``run`` explains, ``sheet`` and ``zoom`` lay out what was found."""

    def __init__(
        self,
        explainer: Explainer,
        pictures: Sequence[Picture],
        methods: Sequence[str] = METHODS,
        *,
        names: Sequence[str] | None = None,
        target: str | int = "top",
        versus: str | int | None = None,
        settings: Settings | None = None,
        cell: int | None = None,
    ) -> None:
        """Settle what is compared; ``names`` are those of the pictures, ``cell`` is the longer side of cells in pixels.

        ``settings`` are keywords of ``Explainer.explain``; each goes to the methods that it fits. Raises UsageError for
        an unknown method and for a setting that fits none of them, UnsupportedModel where one needs layers that lack.
        """
        twice = [method for method in methods if methods.count(method) > 1]
        if twice or not methods:
            raise UsageError(f"the method {twice[0]} is named twice" if twice else "no method is named to compare")
        for asked in (target, versus):
            classes = [] if asked is None else wanted((asked,), explainer.network.output.classes, explainer.labels)
            if len(classes) > 1:
                raise UsageError(f"the target '{asked}' names {len(classes)} classes; one of each picture is compared")
        self.explainer, self.methods = explainer, tuple(methods)
        self.names = tuple(names or (_name(picture, place) for place, picture in enumerate(pictures, 1)))
        self.pictures = tuple(_kept(picture) for picture in pictures)
        self.target, self.versus, self.longer = target, versus, cell
        self.settings = divided(explainer, self.methods, settings or {})
        if explainer.preprocessing is not None:
            self._check_size(explainer.preprocessing.size)
        self.failures: list[Cell] = []
        self._shown: dict[int, _Shown] = {}
        self._maps: dict[str, dict[int, np.ndarray]] = {method: {} for method in self.methods}
        self._signed: dict[str, bool] = {}
        self._first: tuple[int, str, Image] | None = None

    @property
    def steps(self) -> int:
        """In how many steps ``run`` does its work: one a cell, or as many as its method takes."""
        return len(self.pictures) * sum(self._steps(method) for method in self.methods)

    def run(self, advance: Callable[[], None] = lambda: None) -> Iterator[Cell]:
        """Explain, and yield every cell when it is done; ``advance`` is called after each of ``steps``.

        A picture that cannot be read is yielded once, with its error, and has no row; where a method fails on one that
        others explain, its cell says so. Raises a usage or model error that strikes before a method had any success.
        """
        unread: set[int] = set()
        for method in self.methods:
            whole = self._steps(method) == 1
            for place in range(len(self.pictures)):
                if place in unread:
                    continue
                try:
                    explanation = self._explain(place, method, advance)
                except Exception as error:  # whatever a picture brings about belongs to its cell
                    if isinstance(error, UsageError | ModelError) and not self._maps[method]:
                        raise
                    if isinstance(error, PictureError) and place not in self._shown:
                        unread.add(place)
                    self.failures.append(Cell(place, method, None, error))
                    yield self.failures[-1]
                    error.__traceback__ = None  # it holds on to all that was computed until then
                else:
                    yield Cell(place, method, explanation, None)
                if whole:
                    advance()

    def sheet(
        self,
        *,
        style: str = "heatmap",
        scale: str | float = PER_METHOD,
        colormap: str | None = None,
        transposed: bool = False,
    ) -> Sheet:
        """Return the sheet of all pictures that were explained; options as for ``pictures.grid.grid``.

        A ``colormap`` that starts at zero goes to the methods without negative values. Raises HeatcliError where
        nothing was explained, UsageError where the colour map fits no method.
        """
        if not self._shown:
            raise HeatcliError("no picture could be explained, so there is nothing to draw")
        shown = [self._shown[place] for place in self._rows]
        return grid(
            [entry.seen for entry in shown],
            self.columns(colormap),
            captions=[entry.caption for entry in shown],
            cell=self.longer,
            scale=scale,
            style=style,
            transposed=transposed,
        )

    def zoom(
        self, region: Region | None = None, *, scale: str | float = PER_METHOD, colormap: str | None = None
    ) -> Sheet:
        """Return the sheet of the first map, whole and with ``region`` enlarged, beside its picture.

        The region is in pixels of the network; None looks for the one that holds most relevance. The strongest colour
        is for the map's own strongest relevance, or for the number ``scale``. Raises UsageError for
        a region that is not inside the map, HeatcliError where nothing was explained.
        """
        if self._first is None:
            raise HeatcliError("no picture could be explained, so there is nothing to zoom into")
        place, method, fine = self._first
        column = next(column for column in self.columns(colormap) if column.heading == method)
        map = self._maps[method][place]
        alone = Maps(column.heading, (map,), column.signed, column.colormap)
        full = full_of(alone, PER_METHOD if scale == PER_IMAGE else scale)
        caption = self._shown[place].caption
        return zoom(fine, alone, region or busiest(map), full=full, caption=caption)

    @property
    def _rows(self) -> list[int]:
        return sorted(self._shown)

    def columns(self, colormap: str | None) -> list[Maps]:
        """Return the maps of every method, None where it failed; ``colormap`` and errors as for ``sheet``."""
        from_zero = colormap is not None and colours_of(colormap).diverging is False
        against = self.versus is not None
        signed = [self._signed.get(method, named(method).signed or against) for method in self.methods]
        if from_zero and all(signed):
            raise UsageError(f"the colour map {colormap} starts at zero, but all maps are signed; use seismic or bwr")
        return [
            Maps(
                method,
                [self._maps[method].get(place) for place in self._rows],
                negative,
                None if negative and from_zero else colormap,
            )
            for method, negative in zip(self.methods, signed, strict=True)
        ]

    def _check_size(self, shape: tuple[int, int]) -> None:
        """Refuse before any work what would be too large a sheet; ``shape`` is the (height, width) of maps."""
        height, width = cell_size(shape, self.longer)
        if len(self.pictures) * (len(self.methods) + 1) * height * width > MOST_PIXELS:
            raise UsageError(
                f"{len(self.pictures)} pictures × {len(self.methods)} methods in cells of {width}×{height} make more "
                f"than {MOST_PIXELS // 10**6} million pixels; give fewer pictures or a smaller --cell"
            )

    def _steps(self, method: str) -> int:
        return self.explainer.steps(**self.settings[method])

    def _explain(self, place: int, method: str, advance: Callable[[], None]) -> Explanation:
        """Explain one cell and keep its map; the first method that succeeds settles the class for the others."""
        shown, picture = self._shown.get(place), self.pictures[place]
        explanations = self.explainer.explain_targets(
            picture,
            targets=(self.target if shown is None else shown.target,),
            versus=self.versus,
            advance=advance,
            **self.settings[method],
        )
        (explanation,) = explanations
        map = explanation.heatmap
        if map.ndim != 2:
            raise UsageError("the input of this model is no picture, so there are no pictures to compare")
        if shown is None:
            size = cell_size((map.shape[0], map.shape[1]), self.longer)
            caption = (self.names[place], *class_and_score(explanation))
            self._shown[place] = _Shown(self._seen(picture, explanation, size), explanation.target, caption)
        if self._first is None:
            finest = (FINEST * map.shape[0], FINEST * map.shape[1])
            self._first = place, method, self._seen(picture, explanation, finest)
        self._maps[method][place], self._signed[method] = map, explanation.signed
        return explanation

    def _seen(self, picture: Picture, explanation: Explanation, size: tuple[int, int]) -> Image:
        """Return what the network saw of ``picture`` in (height, width) ``size``."""
        if explanation.image is not None and explanation.placement is not None:
            return seen_in_picture(explanation.image, explanation.placement, size)
        explainer = self.explainer
        prepared = explainer.network_input(picture)
        drawn = seen_in_tensor(prepared.x, explainer.preprocessing, explanation.layout)
        assert drawn is not None, "a map of two dimensions has channels to sum over"
        return fitted(drawn, size)


def compare(
    explainer: Explainer,
    pictures: Sequence[Picture],
    methods: Sequence[str] = METHODS,
    *,
    target: str | int = "top",
    versus: str | int | None = None,
    cell: int | None = None,
    **settings: Unpack[Settings],
) -> Comparison:
    """Explain one class of every picture by every method; ``settings`` are keywords of ``Explainer.explain``.

    ``compare(explainer, ["cat.jpg"]).sheet().draw().save("grid.png")`` draws it. What failed is in ``failures``.
    """
    comparison = Comparison(explainer, pictures, methods, target=target, versus=versus, settings=settings, cell=cell)
    for _ in comparison.run():
        pass
    return comparison


def divided(explainer: Explainer, methods: Sequence[str], settings: Settings) -> dict[str, Settings]:
    """Return for each method the settings to explain with: those of ``settings`` that fit it, and its name.

    Raises UsageError where one fits no method, or several do not go together in one, and UnsupportedModel where a
    method needs layers and the network has none.
    """
    found: dict[str, dict[str, Any]] = {method: {"method": method} for method in methods}
    for method in methods:
        explainer.assigned_rules(method=method)
    for name, value in settings.items():
        refusals = {method: _refusal(explainer, {"method": method, name: value}) for method in methods}
        first = refusals[methods[0]]
        if first is not None and all(refusals.values()):
            raise first
        for method in methods:
            if refusals[method] is None:
                found[method][name] = value
    for fitting in found.values():
        refusal = _refusal(explainer, fitting)
        if refusal is not None:
            raise refusal
    return {method: cast("Settings", fitting) for method, fitting in found.items()}


def _refusal(explainer: Explainer, settings: Mapping[str, Any]) -> UsageError | None:
    """Return what a method says against ``settings``, None where it takes them."""
    try:
        explainer.assigned_rules(**settings)
    except UsageError as error:
        return error
    return None


def class_and_score(explanation: Explanation) -> tuple[str, str]:
    """Return in words the class explained, and f(x) with the probability."""
    share = explanation.probability
    chance = "<0.1 %" if 0 < share < 0.001 else f"{100 * share:.1f} %"
    name = explanation.label or f"class {explanation.target}"
    if explanation.versus is not None:
        name += f" against {explanation.versus.label or f'class {explanation.versus.index}'}"
    return name, f"f(x) {explanation.score:.4g}, {chance}"


def _kept(picture: Picture) -> Picture:
    """Return ``picture`` so that it can be read several times."""
    return picture.read() if hasattr(picture, "read") else picture


def _name(picture: Picture, place: int) -> str:
    """Return what ``picture`` is called on a sheet: its file's name, or which one it is."""
    source = (
        picture if isinstance(picture, str | Path) else getattr(picture, "filename", getattr(picture, "name", None))
    )
    return Path(str(source)).name if source else f"picture {place}"
