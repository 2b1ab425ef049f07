"""Counts how often the decoder of a JPEG would go over all of its pixels: a small file can ask for that without end."""

from __future__ import annotations

import re
from typing import BinaryIO

MOST = 100
"""Scans that a JPEG may have; progressive ones have ten or so."""
MOST_SEGMENTS = 10_000
"""Segments that are looked at; photographs have some dozens."""
START = b"\xff\xd8\xff"
MARKER = re.compile(rb"\xff([\x01-\xcf\xd8-\xfe])")
"""What begins a segment; 0xff00 is data, 0xffd0–0xffd7 stand between data."""
ALONE = (0x01, 0xD8)
"""Markers that nothing belongs to."""
SCAN, END = 0xDA, 0xD9
PIECE = 1 << 16


def too_many(stream: BinaryIO) -> bool:
    """Whether the JPEG in ``stream`` has more than ``MOST`` scans, or segments than ``MOST_SEGMENTS``.

    What follows its end, such as a film, does not count. The stream is left anywhere.
    """
    place, scans = 0, 0
    for _ in range(MOST_SEGMENTS):
        marker, place = _next(stream, place)
        if marker in (None, END):
            return False
        if marker in ALONE:
            continue
        scans += marker == SCAN
        if scans > MOST:
            return True
        stream.seek(place)
        place += max(2, int.from_bytes(stream.read(2), "big"))
    return True


def _next(stream: BinaryIO, place: int) -> tuple[int | None, int]:
    """Return the next marker from ``place`` on and where it ends; None at the end of the file."""
    stream.seek(place)
    while piece := stream.read(PIECE):
        if found := MARKER.search(piece):
            return found[1][0], place + found.end()
        place += max(1, len(piece) - piece.endswith(b"\xff"))  # of which the next piece may hold the second half
        stream.seek(place)
    return None, place
