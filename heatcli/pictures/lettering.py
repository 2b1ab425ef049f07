"""Letters in pictures, in the font that Pillow brings along: what it can draw, how wide it is, how it breaks."""

from __future__ import annotations

import re
import unicodedata
from functools import cache

import PIL.ImageDraw
from PIL import ImageFont

from heatcli.visible import visible

UNKNOWN = "\ufffd"
"""What stands for a sign that the font does not have: it has not this one either, and draws its empty box."""

UNDERLINED = {"≥": ">", "≤": "<"}
"""Signs that the font has without the line below them."""

LONGEST = 500
"""More signs of a text are not looked at: no caption has room for them."""

WRITTEN = {
    **dict.fromkeys("‐‑‒–—―−", "-"),
    "×": "x",
    "ß": "ss",
    "æ": "ae",
    "Æ": "AE",
    "ø": "o",
    "Ø": "O",
    "œ": "oe",
    "ł": "l",
    "đ": "d",
}
"""Signs that the font does not have, in those that it has; letters with accents lose them without being listed."""


@cache
def font(size: int) -> ImageFont.FreeTypeFont:
    """Return Pillow's own font, so many pixels high."""
    found = ImageFont.load_default(size=size)
    assert isinstance(found, ImageFont.FreeTypeFont), "Pillow was built without FreeType"
    return found


def legible(text: str) -> str:
    """Return ``text`` in one line of signs that can be drawn.

    What cannot be seen is spelled out, signs that only join others fall, accents too where the font has none, and any
    other sign that it does not have becomes ``UNKNOWN``.
    """
    return "".join(map(_written, visible(unicodedata.normalize("NFC", text[:LONGEST]).strip())))


def width(text: str, size: int) -> int:
    """Return how many pixels wide ``text`` is, rounded up."""
    return int(-(-font(size).getlength(text) // 1))


def height(size: int) -> int:
    """Return how many pixels a line takes, the gap to the next included."""
    return round(size * 1.3)


def small(text: int) -> int:
    """Return the size of the lesser letters, captions and numbers, beside letters of ``text`` pixels."""
    return max(9, round(text * 0.85))


def gap(text: int) -> int:
    """Return how many pixels stay free between things with letters of ``text`` pixels."""
    return max(4, text // 2)


def write_value(
    draw: PIL.ImageDraw.ImageDraw,
    spot: tuple[float, float],
    text: str,
    colour: tuple[int, int, int],
    size: int,
    anchor: str,
) -> None:
    """Write a number at ``spot``, by Pillow's ``anchor``; ≥ or ≤ before it is made of > or < and a line."""
    sign, shown = UNDERLINED.get(text[:1]), legible(plain_value(text))
    draw.text(spot, shown, colour, font(size), anchor=anchor)
    if sign:
        left = draw.textbbox(spot, shown, font(size), anchor=anchor)[0]
        _, _, right, bottom = draw.textbbox((left, spot[1]), sign, font(size), anchor="l" + anchor[1])
        thick = max(1, round(size / 14))
        draw.rectangle((left, bottom + thick, right - 1, bottom + 2 * thick - 1), fill=colour)


def plain_value(text: str) -> str:
    """Return ``text`` with > or < for a ≥ or ≤ at its beginning, which take the same room."""
    return UNDERLINED.get(text[:1], text[:1]) + text[1:]


def shortened(text: str, size: int, room: int, *, middle: bool = False) -> str:
    """Return ``text`` in at most ``room`` pixels, with … for what is cut off its end or out of its ``middle``."""
    if width(text, size) <= room:
        return text
    for kept in range(len(text) - 1, 0, -1):
        tail = kept // 2 if middle else 0
        short = text[: kept - tail].rstrip(" ,-") + "…" + text[len(text) - tail :]
        if width(short, size) <= room:
            return short
    return "…"


def broken(text: str, size: int, room: int, lines: int) -> list[str]:
    """Break ``text`` after spaces and hyphens into at most so many ``lines`` of ``room`` pixels; the last is cut."""
    found: list[str] = []
    pieces = re.findall(r"[^ -]*-+|[^ -]* +|[^ -]+", text)
    line = ""
    while pieces:
        if line and width((line + pieces[0]).rstrip(), size) > room:
            if len(found) == lines - 1:
                break
            found.append(line.rstrip())
            line = ""
        line += pieces.pop(0)
    last = line + "".join(pieces)
    return [shortened(part, size, room) for part in (*found, last.rstrip()) if part]


@cache
def _known(sign: str) -> bool:
    return sign == " " or _drawn(sign) != _drawn(UNKNOWN)


@cache
def _drawn(sign: str) -> tuple[tuple[int, int], bytes]:
    mask = font(32).getmask(sign)
    return mask.size, bytes(mask)


@cache
def _written(sign: str) -> str:
    if unicodedata.category(sign) == "Cf":
        return ""
    if _known(sign):
        return sign
    plain = WRITTEN.get(sign) or "".join(
        part for part in unicodedata.normalize("NFKD", sign) if not unicodedata.combining(part)
    )
    return plain if plain.strip() and all(_known(part) for part in plain) else UNKNOWN
