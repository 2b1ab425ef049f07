"""The little languages of option values."""

from __future__ import annotations

import pytest

from heatcli.cli import values
from heatcli.errors import UsageError


@pytest.mark.parametrize(
    ("text", "value"), [(None, None), ("224", 224), ("240x320", (240, 320)), (" 1 × 2 ", (1, 2)), ("3,4", (3, 4))]
)
def test_sizes(text: str | None, value: object) -> None:
    assert values.size(text) == value


@pytest.mark.parametrize("text", ["", "0", "-3", "2x", "1x2x3", "224px", "99999999"])
def test_sizes_that_are_none(text: str) -> None:
    with pytest.raises(UsageError, match="--size"):
        values.size(text)


def test_numbers_and_fractions() -> None:
    assert values.numbers("0.5, -1,1/255", "--mean") == (0.5, -1, 1 / 255)
    for text in ("", "a", "1,,2", "nan", "1/0", "inf"):
        with pytest.raises(UsageError, match="--mean"):
            values.numbers(text, "--mean")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (None, None),
        ("-1,1", (-1, 1)),
        ("-2,2/-1,1/0,255", ((-2, -1, 0), (2, 1, 255))),
        ("-2,2;-1,1;0,255", ((-2, -1, 0), (2, 1, 255))),
    ],
)
def test_bounds(text: str | None, value: object) -> None:
    assert values.bounds(text) == value


@pytest.mark.parametrize("text", ["1", "1,2,3", "2,1", "1,1", "-1,1/", "a,b"])
def test_bounds_that_are_none(text: str) -> None:
    with pytest.raises(UsageError, match="--range"):
        values.bounds(text)


def test_colour_scales() -> None:
    assert [values.colour_scale(text) for text in ("per-image", "shared", "2.5")] == ["per-image", "shared", 2.5]
    for text in ("0", "-1", "nan", "image"):
        with pytest.raises(UsageError, match="--scale"):
            values.colour_scale(text)


def test_choices() -> None:
    assert values.choices("npy, npz", "--save", ("npy", "npz")) == {"npy", "npz"}
    assert values.choices(None, "--save", ("npy",)) == frozenset()
    with pytest.raises(UsageError, match="npy"):
        values.choices("npy,png", "--save", ("npy",))
