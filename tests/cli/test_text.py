"""Names, numbers and bars for eyes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heatcli.cli.text import bar, number, shorten, shorten_middle


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
