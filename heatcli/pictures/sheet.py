"""A sheet of pictures of one size in rows and columns, with words above and beside them and colour bars at the ends."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import PIL.Image
import PIL.ImageDraw
from PIL.Image import Image, Resampling

from heatcli.errors import UsageError
from heatcli.pictures.lettering import broken, font, height, legible, shortened, width

MOST_PIXELS = 80_000_000
"""Larger sheets are refused: each holds 3 bytes a pixel, and programs that show pictures refuse them too."""

BACKGROUND, INK, FAINT, EDGE = "white", (20, 20, 20), (110, 110, 110), (190, 190, 190)
LINES = 2
"""In so many lines a piece of a caption is broken at most."""


@dataclass(frozen=True, eq=False)
class Bar:
    """A colour bar: ``colours`` is a strip one pixel high, from the lowest value to the highest.

    ``labels`` stand at equal distances, from the lowest to the highest: two, or three.
    """

    colours: Image
    labels: tuple[str, ...]


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
        room, gap = self._room_for_bars, self._gap
        across = left + columns * (self.cell[1] + gap) - gap + self.text
        down = top + rows * (self.cell[0] + gap) - gap + self.text
        return (across + room, down) if self.transposed else (across, down + room)

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
                self._draw_bar(image, draw, self.box(len(self.captions) - 1, column), bar)
        return image

    @property
    def _shape(self) -> tuple[int, int]:
        shape = len(self.captions), len(self.headings)
        return shape[::-1] if self.transposed else shape

    @property
    def _gap(self) -> int:
        return max(4, self.text // 2)

    @property
    def _small(self) -> int:
        return max(9, round(self.text * 0.85))

    @cached_property
    def _corner(self) -> tuple[int, int]:
        """The (left, upper) corner of the first cell: what the words beside and above leave."""
        widest = max((width(line.text, line.size) for lines in self._beside for line in lines), default=0)
        tallest = max((_tall(lines) for lines in self._above), default=0)
        return self.text + (widest + self.text if widest else 0), self.text + (
            tallest + self._gap // 2 if tallest else 0
        )

    @property
    def _room_for_bars(self) -> int:
        if not any(self.bars):
            return 0
        thick = self._gap + self._thickness + self._gap // 2
        if not self.transposed:
            return thick + height(self._small)
        return thick + max(width(label, self._small) for bar in self.bars if bar for label in bar.labels)

    @property
    def _thickness(self) -> int:
        return max(6, round(self.text * 0.7))

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

    def _draw_bar(self, image: Image, draw: PIL.ImageDraw.ImageDraw, box: Box, bar: Bar) -> None:
        """Draw ``bar`` beyond ``box``, the last cell of its line: below, or at the right with the lowest value down."""
        left, upper, right, lower = box
        thick, ends = self._thickness, len(bar.labels) - 1
        if self.transposed:
            x = right + self._gap
            frame = (x, upper, x + thick, lower)
            colours = bar.colours.transpose(PIL.Image.Transpose.ROTATE_90)
        else:
            y = lower + self._gap
            frame = (left, y, right, y + thick)
            colours = bar.colours
        image.paste(colours.resize((frame[2] - frame[0], frame[3] - frame[1]), Resampling.NEAREST), frame[:2])
        draw.rectangle((frame[0] - 1, frame[1] - 1, frame[2], frame[3]), outline=EDGE)
        if self.transposed:
            crowded = (ends + 1) * height(self._small) > lower - upper
        else:
            crowded = sum(width(label, self._small) for label in bar.labels) + self.text * ends > right - left
        for place, label in enumerate(bar.labels):
            if crowded and 0 < place < ends:
                continue
            share = place / ends
            if self.transposed:
                spot: tuple[float, float] = (frame[2] + self._gap // 2, lower - share * (lower - upper))
                anchor = "l" + ("d" if place == 0 else "a" if place == ends else "m")
            else:
                spot = (left + share * (right - left), frame[3] + self._gap // 2)
                anchor = ("l" if place == 0 else "r" if place == ends else "m") + "a"
            draw.text(spot, legible(label), INK, font(self._small), anchor=anchor)


def _tall(lines: Sequence[Line]) -> int:
    return sum(height(line.size) for line in lines)
