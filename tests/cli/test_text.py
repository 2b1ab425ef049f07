"""Strangers' text made harmless; numbers and bars for eyes."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heatcli.cli.text import bar, clean, number, shorten, shorten_middle


@pytest.mark.parametrize(
    ("text", "harmless"),
    [
        ("plain ü 猫 ✓", "plain ü 猫 ✓"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07after", "after"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x9b2Jgone", "gone"),
        ("\x1bcreset", "reset"),
        ("a\nb\tc\rd\x00e\x7f", "a b c de"),
        ("\u202egnp.exe", "gnp.exe"),
    ],
)
def test_escapes_and_controls_are_taken_out(text: str, harmless: str) -> None:
    assert clean(text) == harmless


@given(st.text(st.characters(categories=["Cc", "L", "N", "P", "Cs"])))
def test_nothing_that_steers_a_terminal_is_left(text: str) -> None:
    assert not any(unicodedata.category(sign) in ("Cc", "Cs") for sign in clean(text))


def test_what_is_longer_than_any_path_loses_its_middle() -> None:
    assert clean("a" * 4096) == "a" * 4096
    long = clean(f"left{'x' * 70_000}right\nshort", keep_lines=True)
    assert len(long) == 4096 + len("\nshort")
    assert long.startswith("left")
    assert long.endswith("right\nshort")


def test_lines_of_own_messages_are_kept() -> None:
    assert clean("one\n\x1b[1mtwo", keep_lines=True) == "one\ntwo"


@pytest.mark.parametrize(
    ("value", "like", "text"),
    [
        (17.614, None, "17.61"),
        (0.0, None, "0"),
        (-0.0, None, "0"),
        (1.74, 17.61, "1.74"),
        (1e-7, 17.61, "0.00"),
        (-1e-7, 17.61, "0.00"),
        (2.2e-5, 9.156, "0.00002"),
        (2.2e-7, 0.1, "2e-07"),
        (-3.2, None, "-3.200"),
        (123456.7, None, "123457"),
        (1.5e9, None, "1.5e+09"),
        (2.5e-7, None, "2.5e-07"),
    ],
)
def test_numbers_have_four_digits(value: float, like: float | None, text: str) -> None:
    assert number(value, like=like) == text


@given(st.floats(-1, 2), st.integers(1, 40), st.booleans())
def test_bars_fill_their_width(share: float, width: int, unicode: bool) -> None:
    drawn = bar(share, width, unicode=unicode)
    assert len(drawn) == width
    filled = sum(sign not in " " for sign in drawn)
    assert abs(filled - min(1, max(0, share)) * width) <= 1


@given(st.text(), st.integers(1, 30))
def test_shortened_text_fits(text: str, width: int) -> None:
    assert len(shorten(text, width)) <= max(width, 1)
    middle = shorten_middle(text, width)
    assert len(middle) == min(len(text), width)
