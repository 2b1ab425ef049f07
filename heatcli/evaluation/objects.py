"""Objects in pictures: boxes and masks in a picture's own pixels, and where the network sees them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

import numpy as np

from heatcli.errors import PictureError
from heatcli.limits import Limits
from heatcli.pictures.labels import Labels
from heatcli.pictures.placement import Placement
from heatcli.pictures.reading import read_picture

Array = np.ndarray
Box = tuple[float, float, float, float]
"""(left, upper, right, lower) edges in pixels of the upright picture: the whole of w×h pixels is (0, 0, w, h)."""


@dataclass(frozen=True)
class Thing:
    """One object: the ``name`` of its class, where that is known, and its ``box``, or the file of its ``mask``."""

    name: str | None = None
    box: Box | None = None
    mask: Path | None = None


@dataclass(frozen=True)
class Annotation:
    """What is said of the picture ``file``: its objects, its ``size`` (width, height) where that is said too.

    ``source`` is the file that says it.
    """

    file: PurePath
    things: tuple[Thing, ...]
    source: str
    size: tuple[int, int] | None = None


def class_names(labels: Sequence[str] | None) -> tuple[frozenset[str], ...]:
    """Return all that each class is called: its label, its names between commas, its WordNet id; plainly written."""
    labels = labels or ()
    synsets = (labels.synsets if isinstance(labels, Labels) else ()) or ("",) * len(labels)
    return tuple(
        frozenset(map(_plain, (label, *label.split(","), synset or ""))) - {""}
        for label, synset in zip(labels, synsets, strict=True)
    )


def belonging(things: Sequence[Thing], names: Sequence[frozenset[str]], target: int) -> tuple[tuple[Thing, ...], bool]:
    """Return those of ``things`` that belong to class ``target``, and whether nothing speaks against them.

    ``names`` are those of every class. Things that bear one of the class belong to it. Where there are none, those
    belong to it that have no name, or one that is no class of the network's; else all do, though they are said to be of
    other classes.
    """
    classes = names[target] if names else frozenset[str]()
    named = tuple(thing for thing in things if thing.name is not None and _plain(thing.name) in classes)
    known = frozenset[str]().union(*names)
    other = tuple(thing for thing in things if thing.name is None or _plain(thing.name) not in known)
    return named or other or tuple(things), bool(named or other)


def mask_of(annotation: Annotation, things: Sequence[Thing], placement: Placement) -> Array:
    """Return where the network sees ``things`` of a picture: (h, w) bool in its own frame.

    A pixel of the network belongs to a box where its centre lies inside, to a mask where more than half of it does.
    Raises PictureError where a size does not fit the picture's, a box lies outside it, or a mask cannot be read.
    """
    tall, wide = placement.picture
    if annotation.size is not None and annotation.size != (wide, tall):
        stated = "×".join(map(str, annotation.size))
        raise PictureError(
            f"{annotation.source}: its boxes are for a picture of {stated} pixels; this one has {wide}×{tall}, upright"
        )
    found = np.zeros(placement.network, bool)
    for thing in things:
        if thing.box is not None and not _overlaps(thing.box, wide, tall):
            raise PictureError(
                f"{annotation.source}: the box {list(thing.box)} lies outside the picture of {wide}×{tall} pixels, "
                "upright"
            )
        found |= _boxed(thing.box, placement) if thing.box is not None else _masked(thing.mask, placement)
    return found


def _overlaps(box: Box, wide: int, tall: int) -> bool:
    left, upper, right, lower = box
    return left < wide and upper < tall and right > 0 and lower > 0


def _boxed(box: Box, placement: Placement) -> Array:
    height, width = placement.network
    left, upper, right, lower = placement.box
    x = left + (np.arange(width) + 0.5) * (right - left) / width  # centres of the network's pixels in the picture
    y = upper + (np.arange(height) + 0.5) * (lower - upper) / height
    return ((y >= box[1]) & (y < box[3]))[:, None] & ((x >= box[0]) & (x < box[2]))[None, :]


def _masked(file: Path | None, placement: Placement) -> Array:
    if file is None:
        return np.zeros(placement.network, bool)
    tall, wide = placement.picture
    most = max(Limits.pixels, tall * wide)  # as large as a picture that was accepted
    mask = read_picture(file, most).convert("L").point([0] + [255] * 255)
    if mask.size != (wide, tall):
        stated = "×".join(map(str, mask.size))
        raise PictureError(f"{file}: the mask has {stated} pixels; its picture has {wide}×{tall}, upright")
    return np.asarray(placement.view(mask)) > 127


def _plain(name: str) -> str:
    return " ".join(name.replace("_", " ").casefold().split())
