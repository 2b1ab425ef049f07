"""A picture in the terminal: two pixels a character, as half blocks in true colour."""

from __future__ import annotations

import numpy as np
from PIL.Image import Image, Resampling

RESET = "\x1b[0m"


def preview(image: Image, columns: int, rows: int | None = None) -> str:
    """Return ``image`` as lines of at most ``columns`` characters, and at most ``rows`` lines where that is given.

    Characters are taken to be twice as high as wide. The picture keeps its shape and is never enlarged beyond one
    character a pixel. Each line ends with a reset of the colours; there is no newline at the end.
    """
    wide = max(1, min(columns, image.width))
    tall = max(1, round(image.height * wide / image.width))
    if rows is not None and tall > 2 * rows:
        tall = max(1, 2 * rows)
        wide = max(1, min(columns, round(image.width * tall / image.height)))
    pixels = np.asarray(image.convert("RGB").resize((wide, tall + tall % 2), Resampling.BOX))
    lines = []
    for upper, lower in zip(pixels[0::2].tolist(), pixels[1::2].tolist(), strict=True):
        cells, before = [], ""
        for (r, g, b), (red, green, blue) in zip(upper, lower, strict=True):
            colours = f"\x1b[38;2;{r};{g};{b};48;2;{red};{green};{blue}m"
            cells.append("▀" if colours == before else f"{colours}▀")
            before = colours
        lines.append("".join(cells) + RESET)
    return "\n".join(lines)
