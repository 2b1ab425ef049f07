"""Safe places below the output folder, whatever an input is called."""

from __future__ import annotations

import os
import re
from hashlib import blake2s

LONGEST = 200
"""Bytes of a name at most: file systems take 255, and the class, suffixes and temporary names are added to it."""
LONGEST_SUFFIX = 16
"""What is longer is no suffix."""
PLAIN = re.compile(r"[A-Za-z0-9_][\w,=@()-]*(?:[./ +][A-Za-z0-9_(][\w,=@()-]*)*", re.ASCII)
"""Names that need no second look, which nearly all are."""
UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udc7f\udd00-\udfff]")
"""Control characters, signs that turn the direction, and surrogates that stand for no byte of a name (DC80–DCFF do)."""
DRIVE = re.compile(r".:", re.DOTALL)


def safe(below: str) -> str:
    r"""Return ``below``, written with slashes, as a place that lies below whatever folder it is joined to.

    Backslashes count as slashes; empty parts, ``.`` and a leading slash fall away. A part that could not be written
    everywhere (``..``, a drive such as ``C:``, controls, dots or blanks at its end, more than ``LONGEST``
    bytes) is changed, keeps its suffix, and gets a short hash of what it was, so that different names stay different.
    """
    if len(below) <= LONGEST and PLAIN.fullmatch(below):
        return below
    parts = [part for part in below.replace("\\", "/").split("/") if part not in ("", ".")]
    return "/".join(map(_part, parts)) or "_"


def climbs(below: str) -> bool:
    """Whether a part of it is ``..``, which would lead out of the folder."""
    return ".." in below and ".." in below.replace("\\", "/").split("/")


def of_path(path: str) -> str:
    """Return the place of a path of this machine as it is written, without drive, root, ``.`` and ``..``."""
    rest = os.path.normpath(os.path.splitdrive(path)[1]).replace(os.sep, "/")
    return "/".join(part for part in rest.split("/") if part not in ("", ".", ".."))


def _part(part: str) -> str:
    """Return one part of a place made safe."""
    name = UNSAFE.sub("_", part)
    if DRIVE.match(name):
        name = f"{name[0]}_{name[2:]}"
    name = name.rstrip(". ")
    if name == part and len(os.fsencode(name)) <= LONGEST:
        return name
    mark = "-" + blake2s(part.encode("utf-8", "surrogatepass"), digest_size=4).hexdigest()
    stem, suffix = os.path.splitext(name)
    if len(os.fsencode(suffix)) > LONGEST_SUFFIX:
        stem, suffix = name, ""
    room = LONGEST - len(mark) - len(os.fsencode(suffix))
    stem = stem[:room]
    while len(os.fsencode(stem)) > room:
        stem = stem[:-1]
    return stem + mark + suffix
