"""Draw the sample pictures: ten scenes of emoji at 512 pixels with masks, and two files that are awkward to read.

    python -m sample_images.make

Needs the emoji font (see models/emoji_scenes/glyphs.py). The same font and Pillow give the same pixels.
"""

# ruff: noqa: T201 - a script that prints what it wrote

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import PIL.Image
import PIL.ImageDraw

from models.emoji_scenes.backgrounds import Colour, gradient, landscape
from models.emoji_scenes.glyphs import CLASSES
from models.emoji_scenes.scenes import Placed, Scene, compose

FOLDER = Path(__file__).parent
MASKS = FOLDER / "masks"
SIDE = 512
FINE = 2 * SIDE
"""Scenes are drawn at twice the size, so that edges are smooth after shrinking."""
EXIF_ORIENTATION = 0x0112
TURNED_LEFT = 6
"""A viewer has to turn the stored pixels 90° clockwise."""


@dataclass(frozen=True)
class Sample:
    """A scene before it is drawn: a background of any size, and what stands before it, the farthest first."""

    name: str
    background: Callable[[int], PIL.Image.Image]
    things: tuple[Placed, ...]

    def drawn(self) -> Scene:
        """Return the scene at 512 × 512."""
        fine = compose(self.background(FINE), self.things)
        picture = fine.picture.resize((SIDE, SIDE), PIL.Image.Resampling.LANCZOS)
        return Scene(picture, {name: mask[::2, ::2] for name, mask in fine.masks.items()})


def a(name: str, x: float, y: float, side: float, angle: float = 0.0, mirrored: bool = False) -> Placed:
    """Return the class ``name`` at a place."""
    return Placed(CLASSES[name], x, y, side, angle, mirrored, name)


def beside(glyph: str, x: float, y: float, side: float, angle: float = 0.0) -> Placed:
    """Return a thing that is no class at a place."""
    return Placed(glyph, x, y, side, angle)


def hills(
    seed: int, sky: tuple[Colour, Colour], *ground: Colour, horizon: float = 0.5
) -> Callable[[int], PIL.Image.Image]:
    """Return a background of hills or waves."""
    return lambda size: landscape(np.random.default_rng(seed), size, sky, ground, horizon)


def starry(
    seed: int, sky: tuple[Colour, Colour], *ground: Colour, horizon: float = 0.8
) -> Callable[[int], PIL.Image.Image]:
    """Return a night with stars above the hills."""

    def drawn(size: int) -> PIL.Image.Image:
        rng = np.random.default_rng(seed)
        picture = landscape(rng, size, sky, ground, horizon)
        draw = PIL.ImageDraw.Draw(picture)
        for x, y, reach in zip(
            rng.random(60), rng.random(60) * (horizon - 0.1), rng.uniform(0.001, 0.004, 60), strict=True
        ):
            draw.ellipse(
                [float(size * edge) for edge in (x - reach, y - reach, x + reach, y + reach)], fill=(255, 250, 225)
            )
        return picture

    return drawn


def wallpaper(size: int) -> PIL.Image.Image:
    """Return a room: a dotted wall above a wooden floor."""
    picture = gradient(size, (188, 214, 219), (150, 190, 200))
    draw = PIL.ImageDraw.Draw(picture)
    for row in range(8):
        for column in range(9):
            x, y, reach = (column + 0.5 * (row % 2)) / 8 * size, (row + 0.5) / 9 * size, size * 0.012
            draw.ellipse((x - reach, y - reach, x + reach, y + reach), fill=(226, 238, 238))
    draw.rectangle((0, size * 0.8, size, size), fill=(176, 124, 82))
    draw.rectangle((0, size * 0.78, size, size * 0.81), fill=(240, 236, 226))
    return picture


DAY = ((118, 186, 232), (214, 238, 250))
SAMPLES = (
    Sample(
        "two_frogs",
        hills(3, DAY, (120, 178, 112), (74, 146, 96), (64, 132, 168), (84, 158, 190), horizon=0.36),
        (
            beside("🌾", 0.90, 0.40, 0.22),
            beside("🌷", 0.09, 0.50, 0.18, 8),
            a("frog", 0.30, 0.60, 0.40, 8),
            a("frog", 0.71, 0.68, 0.36, -8, True),
        ),
    ),
    Sample(
        "shark",
        hills(5, ((250, 214, 165), (255, 240, 214)), (64, 148, 190), (42, 120, 172), (28, 92, 148), horizon=0.30),
        (beside("🏝", 0.84, 0.25, 0.24), a("shark", 0.45, 0.58, 0.56, 6)),
    ),
    Sample(
        "cat",
        wallpaper,
        (beside("🪴", 0.86, 0.64, 0.28), beside("🧶", 0.14, 0.86, 0.16), a("cat", 0.44, 0.56, 0.46, -5)),
    ),
    Sample(
        "sheep",
        hills(8, DAY, (142, 196, 122), (110, 176, 92), (86, 156, 74), horizon=0.42),
        (beside("🌳", 0.83, 0.36, 0.32), beside("🌼", 0.12, 0.86, 0.12), a("sheep", 0.42, 0.62, 0.50)),
    ),
    Sample(
        "volcano",
        hills(13, ((92, 60, 110), (246, 160, 112)), (96, 78, 96), (60, 92, 72), (40, 68, 52), horizon=0.58),
        (a("volcano", 0.50, 0.47, 0.53), beside("🌴", 0.13, 0.70, 0.34), beside("🌴", 0.89, 0.76, 0.28, 6)),
    ),
    Sample(
        "cat_and_dog",
        hills(21, DAY, (150, 204, 132), (116, 182, 98), (94, 164, 82), horizon=0.46),
        (
            beside("🏠", 0.50, 0.30, 0.26),
            a("cat", 0.27, 0.66, 0.42, 6),
            a("dog", 0.74, 0.64, 0.42, -4),
        ),
    ),
    Sample(
        "penguin",
        hills(34, ((150, 190, 222), (226, 240, 248)), (196, 220, 236), (222, 236, 244), (240, 246, 250), horizon=0.44),
        (beside("🐟", 0.83, 0.82, 0.20, 10), a("penguin", 0.42, 0.56, 0.56)),
    ),
    Sample(
        "owl",
        starry(55, ((18, 24, 58), (58, 62, 112)), (34, 52, 50), (24, 40, 38)),
        (beside("🌙", 0.82, 0.20, 0.20), beside("🌲", 0.87, 0.66, 0.36), a("owl", 0.42, 0.54, 0.54)),
    ),
    Sample(
        "rocket",
        starry(89, ((12, 14, 40), (44, 34, 88)), (92, 88, 104), (72, 68, 84), horizon=0.86),
        (beside("🌍", 0.22, 0.26, 0.26), a("rocket", 0.58, 0.50, 0.54)),
    ),
    Sample(
        "fox_and_mushroom",
        hills(144, ((196, 214, 190), (232, 236, 212)), (96, 134, 92), (78, 112, 66), (104, 92, 58), horizon=0.40),
        (
            beside("🌲", 0.13, 0.36, 0.34),
            beside("🌲", 0.50, 0.32, 0.28),
            beside("🌲", 0.88, 0.34, 0.36),
            a("fox", 0.32, 0.66, 0.44, 4),
            a("mushroom", 0.75, 0.71, 0.38, -6),
        ),
    ),
)
TURNED = Sample(
    "turned_by_exif",
    hills(233, DAY, (232, 214, 160), (222, 200, 140), horizon=0.45),
    (beside("🌴", 0.76, 0.40, 0.24), a("turtle", 0.46, 0.56, 0.35)),
)
GREY = Sample(
    "grey_with_alpha",
    hills(1, ((60, 60, 60), (110, 110, 110)), (80, 80, 80), (50, 50, 50), horizon=0.6),
    (a("elephant", 0.50, 0.52, 0.42),),
)


def write_scene(sample: Sample) -> list[Path]:
    """Write the picture and its masks; one mask for all classes, and where there are two one each besides."""
    scene = sample.drawn()
    scene.picture.save(FOLDER / f"{sample.name}.png", optimize=True)
    return [FOLDER / f"{sample.name}.png", *_write_masks(sample.name, scene)]


def write_turned() -> list[Path]:
    """Write a JPEG whose pixels lie on their side, with the EXIF entry that says so; its mask is upright."""
    scene = TURNED.drawn()
    lines = slice(SIDE // 8, SIDE - SIDE // 8)
    masks = {name: mask[lines] for name, mask in scene.masks.items()}
    picture = scene.picture.crop((0, lines.start, SIDE, lines.stop))
    exif = PIL.Image.Exif()
    exif[EXIF_ORIENTATION] = TURNED_LEFT
    path = FOLDER / f"{TURNED.name}.jpg"
    picture.transpose(PIL.Image.Transpose.ROTATE_90).save(path, quality=92, exif=exif)
    return [path, *_write_masks(TURNED.name, Scene(picture, masks))]


def write_grey() -> list[Path]:
    """Write a grey picture with an alpha channel: a disc, transparent around."""
    scene = GREY.drawn()
    disc = PIL.Image.new("L", (FINE, FINE))
    PIL.ImageDraw.Draw(disc).ellipse((20, 20, FINE - 20, FINE - 20), fill=255)
    picture = scene.picture.convert("L")
    picture.putalpha(disc.resize((SIDE, SIDE), PIL.Image.Resampling.LANCZOS))
    path = FOLDER / f"{GREY.name}.png"
    picture.save(path, optimize=True)
    return [path, *_write_masks(GREY.name, scene)]


def _write_masks(name: str, scene: Scene) -> list[Path]:
    masks = {name: np.any(list(scene.masks.values()), axis=0)}
    if len(scene.masks) > 1:
        masks |= {f"{name}.{label}": mask for label, mask in scene.masks.items()}
    paths = []
    for stem, mask in masks.items():
        paths.append(MASKS / f"{stem}.png")
        PIL.Image.fromarray(np.where(mask, np.uint8(255), np.uint8(0))).save(paths[-1], optimize=True)
    return paths


def main() -> None:
    """Write every sample."""
    MASKS.mkdir(exist_ok=True)
    for paths in (*map(write_scene, SAMPLES), write_turned(), write_grey()):
        print(*(path.relative_to(FOLDER) for path in paths))


if __name__ == "__main__":
    main()
