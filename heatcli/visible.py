"""Text of strangers as text: what cannot be seen, or would steer a terminal or a page, is spelled out."""

from __future__ import annotations

import unicodedata

SPELLED = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
UNSEEN = ("Cc", "Cf", "Cs", "Zl", "Zp")
EMPTY = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0")
"""Letters and marks that nothing is drawn for."""
WITHOUT_USE = (range(0x2065, 0x2066), range(0xFFF0, 0xFFF9), range(0xE0000, 0xE0100), range(0xE01F0, 0xE1000))
"""Codes that stand for nothing yet, and are to be passed over where they are met."""
JOINERS = frozenset("\u200c\u200d")
"""Scripts and emoji are written with them: they are left between signs that are not ASCII."""
FLAG, TAGS = "\U0001f3f4", range(0xE0020, 0xE0080)
"""A black flag, and the letters behind it that make the flag of a country's part of it."""


def visible(text: str, *, keep_lines: bool = False) -> str:
    r"""Return ``text`` with control characters, line breaks, signs that turn the direction and stray bytes spelled out.

    A byte of a file name that is no UTF-8 becomes ``\xff``, anything else its code: ``\x1b``, ``\u202e``.
    ``keep_lines`` leaves line breaks in, for messages that heatcli itself wrote in lines.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        sign if not unseen or (keep_lines and sign == "\n") else SPELLED.get(sign) or _code(sign)
        for sign, unseen in _judged(text)
    )


def escaped(json: str) -> str:
    r"""Return JSON with such signs as its own escapes, ``\u001b`` or ``\u202e``: it says the same.

    Line breaks stay, which in JSON only stand between values.
    """
    if json.isascii() and "\x7f" not in json:
        return json
    return "".join(sign if not unseen or sign == "\n" else _units(sign) for sign, unseen in _judged(json))


def _judged(text: str) -> list[tuple[str, bool]]:
    """Return every sign of ``text``, and whether it is one that cannot be seen where it stands."""
    found = []
    before = ""
    in_a_flag = False
    for place, sign in enumerate(text):
        code = ord(sign)
        in_a_flag = sign == FLAG or (in_a_flag and code in TAGS)
        if sign in JOINERS:
            after = text[place + 1 : place + 2]
            unseen = before.isascii() or after.isascii()  # as nothing is
        elif code < 0x7F:
            unseen = code < 0x20
        elif code in TAGS:
            unseen = not in_a_flag
        else:
            unseen = (
                unicodedata.category(sign) in UNSEEN or sign in EMPTY or any(code in codes for codes in WITHOUT_USE)
            )
        found.append((sign, unseen))
        before = sign
    return found


def _code(sign: str) -> str:
    code = ord(sign)
    if 0xDC80 <= code <= 0xDCFF:  # how Python keeps a byte that is no UTF-8
        return f"\\x{code - 0xDC00:02x}"
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _units(sign: str) -> str:
    r"""Return ``sign`` as escapes of JSON, two for what lies beyond ``\uffff``."""
    units = sign.encode("utf-16-be", errors="surrogatepass")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))
