"""Awkward pictures look as a person expects: their pixels beside decoders that share nothing with Pillow."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from heatcli.pictures.reading import ANIMATION, left_aside, read_picture
from tests.pictures import decoders
from tests.pictures.decoders import on_white


def read(path: Path) -> np.ndarray:
    return np.asarray(read_picture(path), np.float64)


@pytest.mark.parametrize(
    ("name", "off"),
    [("hopper.png", 0), ("exif.png", 0), ("itxt_chunks.png", 0), ("tRNS_null_1x1.png", 0), ("pil123rgba.png", 1)],
)
def test_png(data, name, off):
    """Filters, palettes, interlacing; alpha over white is rounded."""
    path = data / "awkward" / name
    found, expected = read(path), on_white(decoders.png(path.read_bytes()))
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= off


def test_png_that_is_turned(data):
    path = data / "awkward" / "xmp_tags_orientation.png"
    turned = on_white(decoders.png(path.read_bytes()))[::-1, ::-1]
    assert np.abs(read(path) - turned).max() <= 1


def test_png_of_sixteen_bits_with_alpha(data):
    """An animation too: its first picture is the one that every program shows."""
    path = data / "awkward" / "mode_16bit.png"
    deep = decoders.png(path.read_bytes())
    assert deep.dtype == np.uint16
    assert np.abs(read(path) - on_white(deep / 257)).max() <= 1
    assert left_aside(read_picture(path)) == (ANIMATION,)


@pytest.mark.parametrize("name", ["chi.gif", "hopper.gif", "iss634.gif"])
def test_gif(data, name):
    path = data / "awkward" / name
    assert np.array_equal(read(path), on_white(decoders.gif(path.read_bytes())))
    assert left_aside(read_picture(path)) == (() if name == "hopper.gif" else (ANIMATION,))


@pytest.mark.parametrize("name", ["copyleft.tiff", "tiff_adobe_deflate.tif"])
def test_tiff(data, name):
    path = data / "awkward" / name
    assert np.array_equal(read(path), decoders.tiff(path.read_bytes()))


def test_deep_pgm(data):
    path = data / "awkward" / "hopper_16bit.pgm"
    deep, white = decoders.pgm(path.read_bytes())
    assert white == 65535
    for channel in range(3):
        assert np.array_equal(read(path)[:, :, channel], np.rint(deep / 257))


def test_the_same_photograph_in_two_files_of_four_inks(data):
    """One is a JPEG with inverted inks, one a TIFF; both show the word RED in red on black."""
    jpeg = read(data / "awkward" / "pil_sample_cmyk.jpg")
    tiff = read(data / "awkward" / "tiff_strip_cmyk_jpeg.tif")
    assert jpeg.shape == tiff.shape == (100, 100, 3)
    assert np.abs(jpeg - tiff).mean() < 0.5
    assert (np.abs(jpeg[2, 2] - [255, 15, 20]) < 25).all()
    assert jpeg[90, 50].max() < 10


def test_turned_photographs_beside_the_upright_one(data):
    """Stored upside down and on its side; a photograph that is not turned back is far off."""
    upright = on_white(decoders.png((data / "awkward" / "hopper.png").read_bytes()))
    for name in ("hopper_orientation_3.jpg", "hopper_orientation_6.jpg"):
        found = read(data / "awkward" / name)
        assert np.abs(found - upright).mean() < 12
        assert np.abs(found[::-1, ::-1] - upright).mean() > 40
