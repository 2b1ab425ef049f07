"""Reads a list of inputs, one a line or with NUL between them, as ``find -print0`` writes it."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator

from heatcli.batch import storage
from heatcli.batch.items import STDIN
from heatcli.errors import UsageError

LINE, ENTRY = re.compile(rb"[^\r\n][^\n]*"), re.compile(rb"[^\0]+")


def read_list(file: str) -> Iterator[str]:
    """Yield the entries of ``file`` (``-``: stdin); bytes that are no UTF-8 become surrogates, as in names of files.

    Entries end at NUL where there is one, else at line breaks. Blank ones are left out. Raises UsageError where the
    list cannot be read.
    """
    if file == STDIN:
        if sys.stdin.isatty():
            raise UsageError(
                "--list - reads names from stdin, which is this terminal; pipe them in: find … | heatcli …"
            )
        content = sys.stdin.buffer.read()
    else:
        place = storage.local(file)
        try:
            content = storage.read(place)
        except OSError as error:
            raise UsageError(f"--list {storage.shown(place)}: cannot be read ({storage.reason(error)})") from error
    content = content.removeprefix(b"\xef\xbb\xbf")
    for found in (ENTRY if b"\0" in content else LINE).finditer(content):
        text = found[0].rstrip(b"\r\n").decode("utf-8", "surrogateescape")
        if text.strip():
            yield text
