"""Text of strangers as text: signs that cannot be seen are spelled out, and nothing in it is markup or a script."""

from __future__ import annotations

import json
import unicodedata
from typing import Any

SPELLED = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
KEPT = frozenset("\u200c\u200d")
"""Joiners: scripts and emoji are written with them."""
TAGS = range(0xE0020, 0xE0080)
"""Letters in the flags of countries' parts."""
UNSEEN = ("Cc", "Cf", "Cs", "Zl", "Zp")
ESCAPED = str.maketrans(
    {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029", "\x7f": "\\u007f"}
)


def visible(text: str) -> str:
    r"""Return ``text`` with control characters, line breaks, signs that turn the direction and stray bytes spelled out.

    A byte of a file name that is no UTF-8 becomes ``\xff``, anything else its code: ``\u202e``.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(_seen(sign) for sign in text)


def _seen(sign: str) -> str:
    if sign in SPELLED:
        return SPELLED[sign]
    code = ord(sign)
    if unicodedata.category(sign) not in UNSEEN or sign in KEPT or code in TAGS:
        return sign
    if 0xDC80 <= code <= 0xDCFF:  # how Python keeps a byte that is no UTF-8
        return f"\\x{code - 0xDC00:02x}"
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def script_json(value: Any) -> str:
    """Return ``value`` as JSON that can stand in a script element: nothing in it ends the element."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).translate(ESCAPED)
