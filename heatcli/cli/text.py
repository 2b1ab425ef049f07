"""Text for eyes: names, numbers, times and bars made short."""

from __future__ import annotations

import math

ROUNDING = 1e-6
"""Below this share of the whole, a part of an account in float32 may be rounding alone."""
EIGHTHS = " ▏▎▍▌▋▊▉█"
LONGEST = 4096
"""Characters that a path can have; names of tensors in files can have millions."""


def shorten(text: str, width: int) -> str:
    """Return ``text`` in at most ``width`` characters, with … for what is cut off its end."""
    return text if len(text) <= width else text[: max(0, width - 1)].rstrip(" ,") + "…"


def shorten_middle(text: str, width: int) -> str:
    """Return ``text`` in at most ``width`` characters, with … for what is cut out of its middle."""
    if len(text) <= width:
        return text
    head = (width - 1) // 2
    return text[:head] + "…" + text[len(text) - (width - 1 - head) :]


def lines_in_bounds(text: str) -> str:
    """Return ``text`` with lines that are longer than any path without their middle."""
    return "\n".join(shorten_middle(line, LONGEST) for line in text.split("\n"))


def number(value: float, *, like: float | None = None) -> str:
    """Return ``value`` with four significant digits of ``like`` (default: itself).

    Exactly zero is ``0``; what is more than a rounding error beside ``like`` keeps a significant digit.
    """
    if value == 0:
        return "0"
    size = abs(value if like is None or like == 0 else like)
    if not math.isfinite(value) or not 1e-4 <= size < 1e6:
        return f"{value:.4g}"
    text = f"{value:.{max(0, 3 - math.floor(math.log10(size)))}f}"
    if float(text) != 0 or abs(value) < ROUNDING * size:
        return text.removeprefix("-") if float(text) == 0 else text
    return f"{value:.{-math.floor(math.log10(abs(value)))}f}" if abs(value) >= 1e-6 else f"{value:.1g}"


def bar(share: float, width: int, *, unicode: bool = True) -> str:
    """Return a bar of ``width`` characters filled to ``share`` (0 to 1), in eighths of a character where possible."""
    share = min(1.0, max(0.0, share))
    if not unicode:
        return ("#" * round(share * width)).ljust(width)
    eighths = round(share * width * 8)
    return ("█" * (eighths // 8) + EIGHTHS[eighths % 8].strip()).ljust(width)


def duration(seconds: float) -> str:
    """Return a time in two of its units at most, such as ``8.1 s``, ``12 min 5 s`` or ``1 d 3 h``."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    left = round(seconds)
    parts: list[str] = []
    for name, length in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        if parts or left >= length:
            parts.append(f"{left // length} {name}")
            left %= length
        if len(parts) == 2:
            break
    return " ".join(part for place, part in enumerate(parts) if place == 0 or not part.startswith("0 "))


def size(amount: float) -> str:
    """Return an amount of bytes in its unit, such as ``143 GB``."""
    for unit in ("bytes", "kB", "MB", "GB", "TB"):
        if amount < 999.5 or unit == "TB":
            break
        amount /= 1000
    return f"{amount:.3g} {unit}"


def count(number: int, one: str, many: str | None = None) -> str:
    """Return ``1 picture`` or ``2 pictures``."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"
