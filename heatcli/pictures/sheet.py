"""A sheet of pictures of one size in rows and columns, with words above and beside them and colour bars at the ends."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import PIL.Image
import PIL.ImageDraw
from PIL.Image import Image

from heatcli.errors import UsageError
from heatcli.pictures.colour_bar import BACKGROUND, EDGE, FAINT, INK, Bar, draw_bar, room
from heatcli.pictures.lettering import broken, font, gap, height, legible, shortened, small, width

MOST_PIXELS = 80_000_000
"""Larger sheets are refused: each holds 3 bytes a pixel, and programs that show pictures refuse them too."""

LINES = 2
"""In so many lines a piece of a caption is broken at most."""


class Line(NamedTuple):
    """A line of words in its size and colour."""

    text: str
    size: int
    colour: tuple[int, int, int]


Box = tuple[int, int, int, int]
"""(left, upper, right, lower) in pixels, right and lower excluded."""


@dataclass(frozen=True, eq=False)
class Sheet:
    """Cells of (height, width) ``cell``: a row for every caption, a column for every heading.

    ``picture(row, column)`` returns the RGB image of a cell, in the cell's size; it is asked for when it is drawn, so
    that one is held at a time. ``headings`` stand above the columns, ``captions`` beside the rows: the first line of a
    caption is a file's name, which is shortened in its middle, the others are broken where they are too long. Under
    each column stands its one of ``bars``. With ``transposed`` rows and columns change places: captions stand above,
    headings beside, bars at the right ends. ``text`` is the size of letters in pixels. Raises UsageError for a sheet of
    more than ``MOST_PIXELS``.
    """

    picture: Callable[[int, int], Image]
    cell: tuple[int, int]
    headings: Sequence[str]
    captions: Sequence[Sequence[str]]
    bars: Sequence[Bar | None] = field(default=())
    transposed: bool = False
    text: int = 16

    def __post_init__(self) -> None:
        """Refuse what would be too large."""
        across, down = self.size
        if across * down > MOST_PIXELS:
            raise UsageError(
                f"the sheet would have {across:,}×{down:,} pixels, more than {MOST_PIXELS // 10**6} million; "
                "give fewer pictures or smaller cells"
            )

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the whole sheet in pixels."""
        rows, columns = self._shape
        left, top = self._corner
        space, beyond = self._gap, room(self.bars, self.text, upright=self.transposed)
        across = left + columns * (self.cell[1] + space) - space + self.text
        down = top + rows * (self.cell[0] + space) - space + self.text
        return (across + beyond, down) if self.transposed else (across, down + beyond)

    def box(self, row: int, column: int) -> Box:
        """Return where the cell of caption ``row`` and heading ``column`` lies."""
        down, across = (column, row) if self.transposed else (row, column)
        (tall, wide), (left, top) = self.cell, self._corner
        x, y = left + across * (wide + self._gap), top + down * (tall + self._gap)
        return x, y, x + wide, y + tall

    def draw(self) -> Image:
        """Return the sheet as an RGB image."""
        image = PIL.Image.new("RGB", self.size, BACKGROUND)
        draw = PIL.ImageDraw.Draw(image)
        for row in range(len(self.captions)):
            for column in range(len(self.headings)):
                left, upper, right, lower = self.box(row, column)
                image.paste(self.picture(row, column), (left, upper))
                draw.rectangle((left - 1, upper - 1, right, lower), outline=EDGE)
        for place, lines in enumerate(self._above):
            self._write_above(draw, self.box(*self._first(place, row=False)), lines)
        for place, lines in enumerate(self._beside):
            self._write_beside(draw, self.box(*self._first(place, row=True)), lines)
        for column, bar in enumerate(self.bars):
            if bar is not None:
                last = self.box(len(self.captions) - 1, column)
                draw_bar(image, last, bar, self.text, upright=self.transposed)
        return image

    @property
    def _shape(self) -> tuple[int, int]:
        shape = len(self.captions), len(self.headings)
        return shape[::-1] if self.transposed else shape

    @property
    def _gap(self) -> int:
        return gap(self.text)

    @property
    def _small(self) -> int:
        return small(self.text)

    @cached_property
    def _corner(self) -> tuple[int, int]:
        """The (left, upper) corner of the first cell: what the words beside and above leave."""
        widest = max((width(line.text, line.size) for lines in self._beside for line in lines), default=0)
        tallest = max((_tall(lines) for lines in self._above), default=0)
        return self.text + (widest + self.text if widest else 0), self.text + (
            tallest + self._gap // 2 if tallest else 0
        )

    @cached_property
    def _above(self) -> list[list[Line]]:
        """The words above every column."""
        if self.transposed:
            return [self._caption(caption, self.cell[1]) for caption in self.captions]
        return [self._heading(heading, self.cell[1]) for heading in self.headings]

    @cached_property
    def _beside(self) -> list[list[Line]]:
        """The words beside every row."""
        room = 12 * self.text
        if self.transposed:
            found = [self._heading(heading, room) for heading in self.headings]
        else:
            found = [self._caption(caption, room) for caption in self.captions]
        return [lines[: max(1, (self.cell[0] + self._gap) // height(self._small))] for lines in found]

    def _heading(self, text: str, room: int) -> list[Line]:
        return [Line(line, self.text, INK) for line in broken(legible(text), self.text, room, LINES)]

    def _caption(self, texts: Sequence[str], room: int) -> list[Line]:
        size = self._small
        lines = [Line(shortened(legible(text), size, room, middle=True), size, FAINT) for text in texts[:1]]
        for text in texts[1:]:
            lines += [Line(line, size, INK) for line in broken(legible(text), size, room, LINES)]
        return [line for line in lines if line.text]

    def _first(self, place: int, *, row: bool) -> tuple[int, int]:
        """Return the indices of the first cell in a row, or a column, of the sheet as it is drawn."""
        return (place, 0) if row is not self.transposed else (0, place)

    def _write_above(self, draw: PIL.ImageDraw.ImageDraw, box: Box, lines: Sequence[Line]) -> None:
        left, upper, right, _ = box
        y = upper - self._gap // 2 - _tall(lines)
        for line in lines:
            draw.text(((left + right) / 2, y), line.text, line.colour, font(line.size), anchor="ma")
            y += height(line.size)

    def _write_beside(self, draw: PIL.ImageDraw.ImageDraw, box: Box, lines: Sequence[Line]) -> None:
        left, upper, _, lower = box
        y = (upper + lower - _tall(lines)) / 2
        for line in lines:
            draw.text((left - self.text, y), line.text, line.colour, font(line.size), anchor="ra")
            y += height(line.size)


def _tall(lines: Sequence[Line]) -> int:
    return sum(height(line.size) for line in lines)
