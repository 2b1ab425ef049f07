"""Colour maps: short strings of colours from which tables of 255 are mixed.

A colour map is written ``000,f00,ff0,fff``: hexadecimal colours of three or six digits at equal distances. For maps
without negative values zero has the first colour; a diverging one has zero in its middle.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from heatcli.errors import UsageError

SEQUENTIAL = {
    "hot": "000,b00,f50,fc0,fff",
    "red": "fff,f99,f00,800",  # the paper's figures 5 and 7: relevance is red on white
    "viridis": "440154,472d7b,3b528b,2c728e,21918c,28ae80,5ec962,addc30,fde725",
    "grey": "000,fff",
}
DIVERGING = {
    "seismic": "004,00f,fff,f00,800",
    "bwr": "00f,fff,f00",
    "coldhot": "bff,0af,00b,000,b00,f90,ffb",
}


@dataclass(frozen=True, eq=False)
class Colormap:
    """255 colours, so that there is a middle: ``table`` (255, 3) uint8.

    ``diverging`` is None where the string was a user's and can be either.
    """

    name: str
    table: np.ndarray
    diverging: bool | None

    @property
    def positive(self) -> np.ndarray:
        """The table for values from zero up, (255, 3) uint8: of a diverging map the upper half."""
        if not self.diverging:
            return self.table
        return mixed(self.table[127:].astype(np.float64))


def colormap(text: str) -> Colormap:
    """Return the colour map of that name or string. Raises UsageError for anything else."""
    name = text.strip().lower()
    for known, diverging in ((SEQUENTIAL, False), (DIVERGING, True)):
        if name in known:
            return Colormap(name, mixed(_colours(known[name])), diverging)
    if re.fullmatch(r"#?[0-9a-f]{3}([0-9a-f]{3})?(,#?[0-9a-f]{3}([0-9a-f]{3})?)+", name):
        return Colormap(name, mixed(_colours(name)), None)
    known_names = ", ".join((*SEQUENTIAL, *DIVERGING))
    raise UsageError(f"unknown colour map '{text}'; known: {known_names}, or colours such as 000,f00,fff")


def mixed(colours: np.ndarray, count: int = 255) -> np.ndarray:
    """Mix ``colours`` (k, 3) at equal distances to a table (count, 3) uint8."""
    places = np.linspace(0, len(colours) - 1, count)
    stops = np.arange(len(colours))
    return np.rint(np.stack([np.interp(places, stops, channel) for channel in colours.T], axis=1)).astype(np.uint8)


def _colours(text: str) -> np.ndarray:
    digits = [colour.lstrip("#") for colour in text.split(",")]
    whole = [colour if len(colour) == 6 else "".join(digit * 2 for digit in colour) for colour in digits]
    return np.asarray([list(bytes.fromhex(colour)) for colour in whole], np.float64)
