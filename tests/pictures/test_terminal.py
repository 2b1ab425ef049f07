"""The preview in the terminal."""

from __future__ import annotations

import re

import PIL.Image

from heatcli.pictures.terminal import preview

CODES = re.compile(r"\x1b\[[0-9;]*m")


def test_one_cell_shows_two_pixels() -> None:
    image = PIL.Image.new("RGB", (1, 2), (255, 0, 0))
    image.putpixel((0, 1), (0, 0, 255))
    assert preview(image, 80) == "\x1b[38;2;255;0;0;48;2;0;0;255m▀\x1b[0m"


def test_size_and_shape() -> None:
    lines = preview(PIL.Image.new("RGB", (400, 200)), 80).split("\n")
    assert [len(CODES.sub("", line)) for line in lines] == [80] * 20
    lines = preview(PIL.Image.new("RGB", (100, 400)), 80, rows=12).split("\n")
    assert [len(CODES.sub("", line)) for line in lines] == [6] * 12
    assert len(CODES.sub("", preview(PIL.Image.new("RGB", (5, 1)), 80))) == 5


def test_every_line_resets_and_repeats_no_colour() -> None:
    text = preview(PIL.Image.new("RGB", (20, 20), (9, 9, 9)), 20)
    for line in text.split("\n"):
        assert line.endswith("\x1b[0m")
        assert line.count("\x1b[38") == 1
