"""Words in pictures: names in any writing are harmless, and nothing is wider than its room."""

from __future__ import annotations

import numpy as np
import PIL.Image
import PIL.ImageDraw
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heatcli.pictures.lettering import LONGEST, UNKNOWN, broken, font, legible, shortened, width, write_value


def ink(text: str, size: int = 20) -> np.ndarray:
    """The pixels that are darkened where ``text`` is drawn."""
    image = PIL.Image.new("L", (40 * max(1, len(text)), 60), 255)
    PIL.ImageDraw.Draw(image).text((10, 10), text, 0, font(size))
    return np.asarray(image) < 128


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("frog.jpg", "frog.jpg"),
        ("Schöne Grüße", "Schone Grusse"),
        ("e\u0301t\u0065\u0301", "ete"),
        ("28×56 – minus − done", "28x56 - minus - done"),
        ("one\ntwo\tthree  four ", "one\\ntwo\\tthree  four"),
        ("a\x1b[31m\x00b\u202ec\u200e", "a\\x1b[31m\\x00b\\u202ec\\u200e"),
        ("日本.png", f"{UNKNOWN * 2}.png"),
        ("bytes\udcff", "bytes\\xff"),
        ("x²", "x2"),
        ("", ""),
    ],
)
def test_what_is_drawn_of_a_name(text: str, shown: str) -> None:
    assert legible(text) == shown


def test_a_sign_that_is_not_known_is_seen() -> None:
    assert ink(legible("日")).any()
    assert np.array_equal(ink(legible("日")), ink(legible("語")))


@given(st.text(max_size=60))
def test_any_name_can_be_drawn(text: str) -> None:
    shown = legible(text)
    assert shown.isprintable() or UNKNOWN in shown
    ink(shown[:10])
    assert legible(shown) == shown


def test_very_long_names_cost_nothing() -> None:
    assert len(legible("x" * 10**6)) == LONGEST


@given(st.text("abcdef -,", max_size=80), st.integers(20, 300), st.integers(1, 4))
def test_nothing_is_wider_than_its_room(text: str, room: int, lines: int) -> None:
    parts = broken(text, 14, room, lines)
    assert len(parts) <= lines
    assert all(width(part, 14) <= room for part in parts)
    assert width(shortened(text, 14, room, middle=True), 14) <= max(room, width(text, 14) if len(text) <= 1 else 0)


def test_where_names_are_cut_and_broken() -> None:
    name = "n01484850_great_white_shark.JPEG"
    middle = shortened(name, 14, 150, middle=True)
    assert middle.startswith("n01")
    assert middle.endswith(".JPEG")
    assert "…" in middle
    assert shortened(name, 14, 150).endswith("…")
    assert shortened("short", 14, 150) == "short"
    assert broken("lrp-epsilon-gamma-box", 16, 100, 3) == ["lrp-epsilon-", "gamma-box"]
    assert "".join(broken("tailed frog, bell toad", 14, 90, 3)).replace(" ", "") == "tailedfrog,belltoad"


@pytest.mark.parametrize(("sign", "known"), [("≥", ">"), ("≤", "<")])
@pytest.mark.parametrize("size", [10, 20, 40])
def test_a_sign_with_a_line_below_is_made_of_one_without(sign: str, known: str, size: int) -> None:
    def written(text: str) -> np.ndarray:
        image = PIL.Image.new("RGB", (300, 100), "white")
        write_value(PIL.ImageDraw.Draw(image), (290, 20), f"{text} 0.13", (0, 0, 0), size, "ra")
        return np.asarray(image)[:, :, 0] < 128

    plain, lined = written(known), written(sign)
    assert lined[plain].all()
    added = np.argwhere(lined & ~plain)
    bottom = np.argwhere(plain[:, : 290 - width("0.13", size)])  # of the sign alone
    assert added[:, 0].min() > bottom[:, 0].max()
    assert abs(added[:, 1].min() - bottom[:, 1].min()) <= max(2, size // 10)
    assert abs(added[:, 1].max() - bottom[:, 1].max()) <= max(2, size // 10)
