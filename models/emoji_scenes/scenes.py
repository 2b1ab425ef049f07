"""Scenes for training and evaluation: emoji and distractors before a background, with the mask of every thing.

A scene is drawn from a random generator alone: the same seed gives the same pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import PIL.Image
import PIL.ImageFilter

from models.emoji_scenes.backgrounds import Random, some_background
from models.emoji_scenes.glyphs import CLASSES, TRAINED_DISTRACTORS, sprite

Array = np.ndarray
SIZE = 128
"""Side of a scene in pixels, which is the network's input."""
NAMES = tuple(CLASSES)


@dataclass(frozen=True, eq=False)
class Scene:
    """``picture`` RGB; ``masks`` holds, for every class in it by label, where it is visible: (H, W) bool."""

    picture: PIL.Image.Image
    masks: dict[str, Array]

    @property
    def targets(self) -> Array:
        """1 for every class in the scene, else 0: (24,) float32."""
        return np.array([name in self.masks for name in NAMES], np.float32)


@dataclass(frozen=True)
class Placed:
    """One thing in a scene: ``x`` and ``y`` of its middle and its longer side as shares of the scene's side, degrees.

    ``name`` is a class label, None for a distractor.
    """

    glyph: str
    x: float
    y: float
    side: float
    angle: float = 0.0
    mirrored: bool = False
    name: str | None = None


def compose(background: PIL.Image.Image, things: Sequence[Placed]) -> Scene:
    """Paste ``things`` onto a copy of ``background``, in order; a later one hides what lies behind it."""
    picture, size = background.copy(), background.width
    visible: list[tuple[str | None, Array]] = []
    for thing in things:
        piece = sprite(thing.glyph)
        side = max(4, round(thing.side * size))
        piece = piece.resize((side, side), PIL.Image.Resampling.BICUBIC)
        if thing.mirrored:
            piece = piece.transpose(PIL.Image.Transpose.FLIP_LEFT_RIGHT)
        if thing.angle:
            piece = piece.rotate(thing.angle, PIL.Image.Resampling.BILINEAR, expand=True)
        corner = (round(thing.x * size - piece.width / 2), round(thing.y * size - piece.height / 2))
        picture.paste(piece, corner, piece)
        alpha = PIL.Image.new("L", picture.size)
        alpha.paste(piece.getchannel("A"), corner)
        covered = np.asarray(alpha) > 127
        visible = [(name, mask & ~covered) for name, mask in visible]
        visible.append((thing.name, covered))
    masks: dict[str, Array] = {}
    for name, mask in visible:
        if name is not None:
            masks[name] = masks[name] | mask if name in masks else mask
    return Scene(picture, masks)


def some_scene(
    rng: Random, classes: int, distractors: Sequence[str] = TRAINED_DISTRACTORS, names: Sequence[str] | None = None
) -> Scene:
    """Draw a scene with 0, 1 or 2 ``classes`` and up to three things from ``distractors`` (at least one of 0 classes).

    A lone class fills 30–60 % of the side and comes twice in one scene of eight; each of two classes fills 32–50 %.
    Things are turned up to 30°, mirrored, and overlap little. ``names`` gives the classes instead of chance.
    """
    if names is None:
        names = [NAMES[index] for index in rng.permutation(len(NAMES))[:classes]]
    twice = len(names) == 1 and rng.random() < 0.125
    things: list[Placed] = []
    for name in [*names, *names] if twice else names:
        low, high = (0.30, 0.60) if len(names) == 1 and not twice else (0.32, 0.50)
        things.append(_place(rng, things, CLASSES[name], rng.uniform(low, high), name))
    for _ in range(int(rng.integers(len(names) == 0, 4 if len(names) < 2 else 3))):
        glyph = distractors[int(rng.integers(len(distractors)))]
        things.append(_place(rng, things, glyph, rng.uniform(0.15, 0.50 if not names else 0.35), None))
    # The classes lie in front: a distractor hides none of them, one class may hide a little of another.
    things.sort(key=lambda thing: thing.name is not None)
    scene = compose(some_background(rng, SIZE), things)
    return Scene(_spoiled(rng, scene.picture), scene.masks)


def _place(rng: Random, things: Sequence[Placed], glyph: str, side: float, name: str | None) -> Placed:
    """Find a place inside the scene, of twelve the one that overlaps least with ``things``."""
    x, y = rng.uniform(side * 0.52, 1 - side * 0.52, (2, 12))
    overlap = np.zeros(12)
    for other in things:
        apart = np.maximum(abs(x - other.x), abs(y - other.y))
        overlap += np.maximum(0.0, 0.5 * (side + other.side) - apart)
    best = int(np.argmin(overlap))
    angle, mirrored = rng.uniform(-30, 30), bool(rng.random() < 0.5)
    return Placed(glyph, float(x[best]), float(y[best]), side, float(angle), mirrored, name)


def _spoiled(rng: Random, picture: PIL.Image.Image) -> PIL.Image.Image:
    """Return ``picture`` with other colours and contrast, sometimes blurred, sometimes noisy."""
    if rng.random() < 0.4:
        picture = picture.filter(PIL.ImageFilter.GaussianBlur(rng.uniform(0.2, 1.0)))
    pixels = np.asarray(picture, np.float32)
    gain = (rng.uniform(0.75, 1.2) * rng.uniform(0.88, 1.12, 3)).astype(np.float32)
    pixels = (pixels - 128) * gain + np.float32(128 + rng.uniform(-20, 20))
    if rng.random() < 0.6:
        pixels += np.float32(rng.uniform(0, 10)) * rng.standard_normal(pixels.shape, np.float32)
    return PIL.Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
