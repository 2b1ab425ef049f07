"""What lies behind the things: gradients, hills, patterns and clutter, drawn from a seed.

Every function returns an RGB picture of ``size`` × ``size`` pixels; lengths are shares of the side, so that a scene
looks the same at every size.
"""

from __future__ import annotations

import colorsys
from collections.abc import Callable, Sequence

import numpy as np
import PIL.Image
import PIL.ImageDraw

Colour = tuple[int, int, int]
Random = np.random.Generator


def some_colour(rng: Random) -> Colour:
    """Draw a colour of any hue, from pale to strong and from dark to bright."""
    red, green, blue = colorsys.hsv_to_rgb(rng.random(), rng.uniform(0.0, 0.9), rng.uniform(0.15, 1.0))
    return int(255 * red), int(255 * green), int(255 * blue)


def gradient(size: int, first: Colour, second: Colour, angle: float = 90.0) -> PIL.Image.Image:
    """Return a linear passage from ``first`` to ``second``; 90° runs from top to bottom."""
    x, y = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    steps = np.linspace(-0.5, 0.5, size, dtype=np.float32)
    along = steps[None, :] * np.float32(x) + steps[:, None] * np.float32(y)
    share = ((along / (abs(x) + abs(y))) + 0.5)[..., None].astype(np.float32)
    mixed = np.asarray(first, np.float32) * (1 - share) + np.asarray(second, np.float32) * share
    return PIL.Image.fromarray(mixed.astype(np.uint8))


def landscape(
    rng: Random, size: int, sky: tuple[Colour, Colour], hills: Sequence[Colour], horizon: float = 0.5
) -> PIL.Image.Image:
    """Return a sky above waves of hills (or of the sea), the first of ``hills`` the farthest."""
    picture = gradient(size, *sky)
    draw = PIL.ImageDraw.Draw(picture)
    x = np.linspace(0.0, 1.0, 33)
    for index, colour in enumerate(hills):
        top = horizon + (1.0 - horizon) * index / (len(hills) + 0.5)
        height = rng.uniform(0.02, 0.09)
        waves = np.sin(2 * np.pi * (x * rng.uniform(0.5, 1.8) + rng.random()))
        waves = waves + 0.4 * np.sin(2 * np.pi * (x * rng.uniform(2.0, 4.0) + rng.random()))
        edge = [(float(across * size), float((top + height * up) * size)) for across, up in zip(x, waves, strict=True)]
        draw.polygon([*edge, (size, size), (0, size)], fill=colour)
    return picture


def clutter(rng: Random, picture: PIL.Image.Image, count: int) -> None:
    """Draw ``count`` ellipses, boxes, triangles, rings and lines of any colour onto ``picture``."""
    draw, size = PIL.ImageDraw.Draw(picture), picture.width
    for _ in range(count):
        colour, kind = some_colour(rng), int(rng.integers(5))
        (x, y), reach = rng.uniform(0, size, 2), size * rng.uniform(0.03, 0.2)
        box = (x - reach, y - reach * rng.uniform(0.3, 1), x + reach, y + reach * rng.uniform(0.3, 1))
        if kind == 0:
            draw.ellipse(box, fill=colour)
        elif kind == 1:
            draw.rectangle(box, fill=colour)
        elif kind == 2:
            corners = [(x + reach * dx, y + reach * dy) for dx, dy in rng.uniform(-1, 1, (3, 2))]
            draw.polygon(corners, fill=colour)
        elif kind == 3:
            draw.ellipse(box, outline=colour, width=max(1, round(size * rng.uniform(0.008, 0.03))))
        else:
            end = rng.uniform(0, size, 2)
            draw.line((x, y, *end), fill=colour, width=max(1, round(size * rng.uniform(0.008, 0.03))))


def some_background(rng: Random, size: int) -> PIL.Image.Image:
    """Return a background of a kind drawn from ``rng``, with up to twelve pieces of clutter."""
    kinds: tuple[Callable[[Random, int], PIL.Image.Image], ...] = (_sky, _hills, _hills, _clouds, _stripes, _dots)
    picture = kinds[int(rng.integers(len(kinds)))](rng, size)
    if rng.random() < 0.7:
        clutter(rng, picture, int(rng.integers(1, 13)))
    return picture


def _sky(rng: Random, size: int) -> PIL.Image.Image:
    return gradient(size, some_colour(rng), some_colour(rng), rng.uniform(0, 90))


def _hills(rng: Random, size: int) -> PIL.Image.Image:
    hills = [some_colour(rng) for _ in range(int(rng.integers(1, 4)))]
    return landscape(rng, size, (some_colour(rng), some_colour(rng)), hills, rng.uniform(0.25, 0.75))


def _clouds(rng: Random, size: int) -> PIL.Image.Image:
    """Return soft spots of two or three colours."""
    cells = int(rng.integers(2, 16))
    palette = np.array([some_colour(rng) for _ in range(3)], np.float32)
    shares = rng.random((cells, cells, 3), np.float32)
    shares /= shares.sum(axis=2, keepdims=True)
    coarse = PIL.Image.fromarray((shares @ palette).astype(np.uint8))
    return coarse.resize((size, size), PIL.Image.Resampling.BICUBIC)


def _stripes(rng: Random, size: int) -> PIL.Image.Image:
    picture = PIL.Image.new("RGB", (size, size), some_colour(rng))
    draw, colour, step, lean = PIL.ImageDraw.Draw(picture), some_colour(rng), rng.uniform(0.05, 0.2), rng.uniform(-1, 1)
    for start in np.arange(-1.0, 2.0, step):
        left, right = start * size, (start + step * 0.5) * size
        draw.polygon([(left, 0), (right, 0), (right + lean * size, size), (left + lean * size, size)], fill=colour)
    return picture.rotate(90) if rng.random() < 0.5 else picture


def _dots(rng: Random, size: int) -> PIL.Image.Image:
    picture = gradient(size, some_colour(rng), some_colour(rng))
    draw, colour, step = PIL.ImageDraw.Draw(picture), some_colour(rng), rng.uniform(0.08, 0.25)
    reach = step * rng.uniform(0.15, 0.4) * size
    for y in np.arange(step / 2, 1.0, step) * size:
        for x in np.arange(step / 2, 1.0, step) * size:
            draw.ellipse((x - reach, y - reach, x + reach, y + reach), fill=colour)
    return picture
