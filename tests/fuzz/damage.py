"""What is done to any file: flips, cuts, repetitions; and the words and numbers that break programs."""

from __future__ import annotations

from tests.fuzz.cases import Chance

EXTREME = (
    *(0, 1, -1, 2, 3, 7, 8, 127, 128, 255, 256, 32767, 32768, 65535, 65536, 2**24, 2**31 - 1, 2**31, 2**32 - 1, 2**32),
    *(2**40, 2**62, 2**63 - 1, -(2**31), -(2**63), -2, -(2**63) + 1),
)
MODEST = (0, 1, -1, 2, 3, 4, 5, 7, 100)
REALS = (
    0.0,
    -0.0,
    1.0,
    -1.0,
    1e-45,
    1e-38,
    1e38,
    3.4e38,
    -3.4e38,
    float("nan"),
    float("inf"),
    float("-inf"),
    0.5,
    1e-7,
)
WORDS = (
    *("", " ", "x", "\x1b[31mred\x1b[0m", "\x1b]0;title\x07"),
    *("\x1b]8;;http://e\x1b\\link\x1b]8;;\x1b\\", "[red]markup[/red]"),
    *("[/]", "[bold", "\u202eevil\u202c", "a\nb", "a\r\nb"),
    *("\ttab", "nul\0nul", "\x9b31m", "ﬁ", "é", "e\u0301", "日本語"),
    *("😀", "\ufeffbom", "\u200b", "%s%n%d", "{0}{x}"),
    *("../../etc/passwd", "/etc/passwd", "-", "--", "-o", "~", "$HOME"),
    *("`id`", "<script>alert(1)</script>", "&amp;", '"', "'", "\\", "a" * 300, "a" * 70_000,),
    *("null", "NaN", "1e999", "9" * 5000, "-" + "9" * 5000),
    *("CON", "a/b", "a//b", ".", "..", "*", "?", "[a-", "\u2028line", "\u0085", "\x7f", "\ud7ff", "\U0010ffff"),
)  # fmt: skip


def word(chance: Chance) -> str:
    """Return a word that is hard on whoever prints it, or takes it for a name."""
    text = chance.choice(WORDS)
    return text + chance.choice(WORDS) if chance.happens(0.15) else text


def number(chance: Chance) -> int:
    """Return a whole number at some edge."""
    return chance.choice(EXTREME) if chance.happens(0.6) else chance.choice(MODEST)


def real(chance: Chance) -> float:
    return chance.choice(REALS)


def file_name(chance: Chance) -> str:
    """Return a strange name that a file can have on most machines."""
    text = word(chance).replace("/", "_").replace("\0", "_")[:100]
    return text.encode("utf-8", "ignore")[:120].decode("utf-8", "ignore") if text.strip(".") else f"_{text}"


def damaged(chance: Chance, content: bytes, most: int = 4) -> bytes:
    """Return ``content`` with some bytes changed, cut out, put in or repeated."""
    changed = bytearray(content)
    for _ in range(chance.randint(1, most)):
        if not changed:
            return bytes(changed)
        place = chance.randrange(len(changed))
        match chance.randrange(9):
            case 0 | 1:
                changed[place] ^= 1 << chance.randrange(8)
            case 2:
                changed[place] = chance.choice((0, 1, 0x7F, 0x80, 0xFE, 0xFF, chance.randrange(256)))
            case 3:
                del changed[place:]
            case 4:
                del changed[place : place + chance.choice((1, 2, 4, 16, 200))]
            case 5:
                changed[place:place] = chance.randbytes(chance.choice((1, 2, 4, 16, 200)))
            case 6:
                end = place + chance.choice((1, 4, 16, 100))
                changed[place:place] = changed[place:end] * chance.choice((1, 2, 50))
            case 7:
                width, order = chance.choice((2, 4, 8)), chance.choice(("little", "big"))
                value = number(chance) & ((1 << 8 * width) - 1)
                changed[place : place + width] = value.to_bytes(width, order)
            case 8:
                other = chance.randrange(len(changed))
                size = chance.choice((1, 4, 16, 100))
                changed[place : place + size] = changed[other : other + size]
    return bytes(changed)
