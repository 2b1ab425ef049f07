"""Reads a list of inputs, one a line or with NUL between them, as ``find -print0`` writes it."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator

from heatcli.errors import UsageError
from heatcli.places import storage
from heatcli.places.items import STDIN

LINE, ENTRY = re.compile(rb"[^\r\n][^\n]*"), re.compile(rb"[^\0]+")


def read_list(file: str) -> Iterator[str]:
    """Yield the entries of ``file`` (``-``: stdin), read as the system's names of files are, which mostly is as UTF-8.

    Bytes that are no text become surrogates. Entries end at NUL where there is one, else at line breaks. Blank ones are
    left out. Raises UsageError where the list cannot be read.
    """
    if file == STDIN:
        if sys.stdin.isatty():
            raise UsageError(
                "--list - reads names from stdin, which is this terminal; pipe them in: find … | heatcli …"
            )
        content = sys.stdin.buffer.read(storage.MOST_BYTES + 1)
        if len(content) > storage.MOST_BYTES:
            raise UsageError(f"--list -: more than {storage.MOST_BYTES >> 30} GiB came in; that is no list of names")
    else:
        place = storage.local(file)
        try:
            content = storage.read(place)
        except OSError as error:
            raise UsageError(f"--list {storage.shown(place)}: cannot be read ({storage.reason(error)})") from error
    content = content.removeprefix(b"\xef\xbb\xbf")
    entry, end = (ENTRY, b"") if b"\0" in content else (LINE, b"\r\n")
    for found in entry.finditer(content):
        text = found[0].rstrip(end).decode(sys.getfilesystemencoding(), "surrogateescape")
        if text.strip():
            yield text
