"""A colour bar with numbers: its colours, its labels, and where it is drawn, on a sheet or below a single map."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import PIL.Image
import PIL.ImageDraw
from PIL.Image import Image, Resampling

from heatcli.pictures.lettering import broken, font, gap, height, legible, plain_value, small, width, write_value
from heatcli.pictures.paint import Paint

BACKGROUND, INK, FAINT, EDGE = "white", (20, 20, 20), (110, 110, 110), (190, 190, 190)

RAMP = 255
"""So many colours a colour bar has: as many as the tables."""

MID_GREY = 128
"""What the bar of an overlay lies on, 0–255."""

NARROWEST = 160
"""The strip below a map is at least so many pixels wide."""

LINES = 3
"""The words below a bar take so many lines at most."""

EMPTY = "no relevance"


@dataclass(frozen=True, eq=False)
class Bar:
    """``colours`` is a strip one pixel high, from the lowest value to the highest.

    ``labels`` stand along it at ``places`` from 0 to 1; without those at equal distances, from end to end.
    """

    colours: Image
    labels: tuple[str, ...]
    places: tuple[float, ...] | None = None

    def stands(self) -> list[tuple[float, str]]:
        """Return every label with its place."""
        places = np.linspace(0, 1, len(self.labels)).tolist() if self.places is None else self.places
        return [*zip(places, self.labels, strict=True)]

    def widths(self, size: int) -> list[int]:
        """Return how many pixels wide each label is in letters of ``size``."""
        return [width(legible(plain_value(label)), size) for label in self.labels]


def scale_bar(paint: Paint, low: str, high: str, *, blended: bool = False) -> Bar:
    """Return the bar of all colours of ``paint``: from ``low`` over 0 to ``high`` if it is signed, else from 0.

    An overlay's colours are ``blended``. Its bar then is what the overlay makes of a mid-grey picture: the table itself
    would begin with colours that no overlay shows, since where there is little relevance it is the picture that shows.
    """
    shades = np.linspace(-1 if paint.signed else 0, 1, RAMP, dtype=np.float32)[None]
    grey = np.full((1, RAMP, 3), MID_GREY, np.uint8)
    colours = paint.blended(shades, grey) if blended else paint.colours(shades)
    return Bar(PIL.Image.fromarray(colours), (low, "0", high) if paint.signed else ("0", high))


def line_bar(values: Sequence[float], colours: np.ndarray) -> Bar:
    """Return the bar of contour lines: a field for each, of its colour (k, 3), with its value below the middle."""
    count = len(values)
    places = tuple((place + 0.5) / count for place in range(count))
    return Bar(PIL.Image.fromarray(colours[None].astype(np.uint8)), tuple(figure(value) for value in values), places)


def ends(paint: Paint, relevance: np.ndarray) -> tuple[str, str]:
    """Return the words at both ends of the bar: ≥ or ≤ where ``relevance`` goes on beyond with the same colour."""
    full = np.float32(paint.full)
    low, high = figure(-paint.full), figure(paint.full)
    return f"≤ {low}" if relevance.min() < -full else low, f"≥ {high}" if relevance.max() > full else high


def figure(value: float) -> str:
    """Return ``value`` with two significant digits: 0.13, 4.1e-5."""
    text = f"{value:.2g}"
    base, e, power = text.partition("e")
    return f"{base}e{int(power)}" if e else text


def thickness(text: int) -> int:
    """Return how many pixels thick a bar is beside letters of ``text`` pixels."""
    return max(6, round(text * 0.7))


def room(bars: Sequence[Bar | None], text: int, *, upright: bool = False) -> int:
    """Return how many pixels ``bars`` and their labels take away from what they stand at, 0 where there are none."""
    there = [bar for bar in bars if bar is not None]
    if not there:
        return 0
    thick = gap(text) + thickness(text) + gap(text) // 2
    if not upright:
        return thick + height(small(text))
    return thick + max(max(bar.widths(small(text))) for bar in there)


def draw_bar(image: Image, box: tuple[int, int, int, int], bar: Bar, text: int, *, upright: bool = False) -> None:
    """Draw ``bar`` beyond ``box`` (left, upper, right, lower): below, or ``upright`` at the right, the lowest down.

    ``text`` is the size of letters in pixels. Where there is no room, only the labels at the ends are written.
    """
    left, upper, right, lower = box
    draw = PIL.ImageDraw.Draw(image)
    if upright:
        x = right + gap(text)
        frame = (x, upper, x + thickness(text), lower)
        colours = bar.colours.transpose(PIL.Image.Transpose.ROTATE_90)
    else:
        y = lower + gap(text)
        frame = (left, y, right, y + thickness(text))
        colours = bar.colours
    image.paste(colours.resize((frame[2] - frame[0], frame[3] - frame[1]), Resampling.NEAREST), frame[:2])
    draw.rectangle((frame[0] - 1, frame[1] - 1, frame[2], frame[3]), outline=EDGE)
    needed = len(bar.labels) * height(small(text)) if upright else _across(bar, text)
    stands = bar.stands()
    for share, label in [stands[0], stands[-1]] if needed > (lower - upper if upright else right - left) else stands:
        if upright:
            spot: tuple[float, float] = (frame[2] + gap(text) // 2, lower - share * (lower - upper))
            anchor = "l" + ("d" if share == 0 else "a" if share == 1 else "m")
        else:
            spot = (left + share * (right - left), frame[3] + gap(text) // 2)
            anchor = ("l" if share == 0 else "r" if share == 1 else "m") + "a"
        write_value(draw, spot, label, INK, small(text), anchor)


def with_bar(image: Image, left: int, bar: Bar | None, caption: str, *, empty: bool = False) -> Image:
    """Return ``image`` with ``bar`` and ``caption`` on a white strip below its map, which begins at x = ``left``.

    The letters grow with the map. A strip that is wider than the map makes the image wider, with white beside it.
    ``empty`` says that the map holds no relevance, in place of the caption; without a bar in place of both.
    """
    across = image.width - left
    text = max(12, round(math.sqrt(across * image.height) / 35))
    margin = gap(text)
    wide = max(across, NARROWEST, _across(bar, text) + 2 * margin if bar else 0)
    lines = broken(caption, small(text), wide - 2 * margin, LINES)
    tall = gap(text) + thickness(text) + gap(text) // 2 + (1 + len(lines)) * height(small(text)) + margin
    start = left + (across - wide) // 2  # where the strip begins, left of the image perhaps
    before, after = max(0, -start), max(0, start + wide - image.width)
    sheet = PIL.Image.new("RGB", (before + image.width + after, image.height + tall), BACKGROUND)
    sheet.paste(image, (before, 0))
    draw = PIL.ImageDraw.Draw(sheet)
    lower, start = image.height, start + before
    draw.rectangle((before - 1, -1, before + image.width, lower), outline=EDGE)  # around it: a map may be white too
    middle = start + wide / 2
    if bar is not None:
        draw_bar(sheet, (start + margin, lower, start + wide - margin, lower), bar, text)
        y = lower + room([bar], text)
        for line in [EMPTY] if empty else lines:
            draw.text((middle, y), line, FAINT, font(small(text)), anchor="ma")
            y += height(small(text))
    else:
        draw.text((middle, lower + tall / 2), EMPTY, FAINT, font(small(text)), anchor="mm")
    return sheet


def _across(bar: Bar, text: int) -> int:
    """Return how many pixels the labels of a lying bar take, each with the same room where they have places."""
    widths = bar.widths(small(text))
    if bar.places is not None:
        return len(widths) * (max(widths) + text)
    return sum(widths) + text * (len(widths) - 1)
