"""Small pictures: their size and shape, and what stands for those that are not there."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from heatcli.reporting.thumbnails import Missing, Thumbnail, thumbnail
from tests.reporting import made


def small(found: Thumbnail | Missing) -> PIL.Image.Image:
    assert isinstance(found, Thumbnail)
    image = PIL.Image.open(io.BytesIO(found.webp))
    assert image.format == "WEBP"
    return image


@pytest.mark.parametrize(("size", "expected"), [((400, 100), (160, 40)), ((90, 300), (48, 160)), ((20, 10), (20, 10))])
def test_the_longer_side_fits_and_nothing_is_enlarged(tmp_path: Path, size: tuple[int, int], expected: tuple[int, int]):
    found = thumbnail(made.picture(tmp_path / "a.png", size), 160)
    assert isinstance(found, Thumbnail)
    assert (found.width, found.height) == size
    assert small(found).size == expected


def test_the_colours_are_those_of_the_picture(tmp_path: Path):
    pixels = np.zeros((300, 300, 3), np.uint8)
    pixels[:, 150:] = (220, 40, 30)
    PIL.Image.fromarray(pixels).save(tmp_path / "a.png")
    drawn = np.asarray(small(thumbnail(tmp_path / "a.png", 64)).convert("RGB"), np.float64)
    assert np.abs(drawn[:, :28]).max() < 12
    assert np.abs(drawn[:, 36:] - (220, 40, 30)).max() < 12


def test_a_large_jpeg_is_decoded_small_and_upright(tmp_path: Path):
    exif = PIL.Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    PIL.Image.new("RGB", (1600, 800), "teal").save(tmp_path / "a.jpg", exif=exif)
    found = thumbnail(tmp_path / "a.jpg", 100)
    assert isinstance(found, Thumbnail)
    assert small(found).size == (50, 100)
    assert found.width * 2 == found.height
    assert found.width < 800


def test_bytes_are_read_like_files(tmp_path: Path):
    path = made.picture(tmp_path / "a.png")
    assert thumbnail(path.read_bytes(), 32) == thumbnail(path, 32)


def test_what_is_missing_says_why_in_a_few_words(tmp_path: Path):
    assert thumbnail(None, 64) == Missing("no such file")
    assert thumbnail(tmp_path / "none.png", 64) == Missing("no such file")
    assert thumbnail(tmp_path / "x.npy", 64) == Missing("a tensor, no picture")
    (tmp_path / "text.png").write_text("no picture", "utf-8")
    broken = thumbnail(tmp_path / "text.png", 64)
    assert isinstance(broken, Missing)
    assert broken.reason.startswith("not a picture")


def test_no_more_pixels_are_opened_than_are_accepted(tmp_path: Path):
    path = made.picture(tmp_path / "a.png", (40, 30))
    assert isinstance(thumbnail(path, 32, 1200), Thumbnail)
    refused = thumbnail(path, 32, 1199)
    assert isinstance(refused, Missing)
    assert refused.reason.startswith("40×30 pixels are more than")
