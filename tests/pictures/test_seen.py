"""What a network saw: the part of a picture in any size, and the picture in a tensor."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import PIL.Image
import pytest

from heatcli.network.layers import InputSpec
from heatcli.pictures.placement import place
from heatcli.pictures.preprocessing import resolve
from heatcli.pictures.seen import as_image, fitted, seen_in_picture, seen_in_tensor

NOISE = PIL.Image.fromarray(np.random.default_rng(5).integers(0, 256, (16, 16, 3), np.uint8))


@pytest.mark.parametrize("preset", ["caffe", "imagenet", "unit"])
def test_a_tensor_is_the_picture_it_was_made_from(preset: str) -> None:
    settled, _ = resolve(InputSpec("x", (1, 3, 16, 16), "float32", "NCHW"), preprocess=preset)
    assert settled is not None
    settled = replace(settled, resize=None)
    x, _ = settled.tensor(NOISE)
    shown = seen_in_tensor(x, settled, settled.layout)
    assert shown is not None
    assert np.array_equal(np.asarray(shown), np.asarray(NOISE))


def test_values_beyond_the_range_are_stretched() -> None:
    settled, _ = resolve(InputSpec("x", (1, 1, 16, 16), "float32", "NCHW"), preprocess="unit")
    x = np.linspace(-0.5, 1.5, 256, dtype=np.float32).reshape(1, 1, 16, 16)
    shown = seen_in_tensor(x, settled, "NCHW")
    assert shown is not None
    assert np.array_equal(np.asarray(shown)[:, :, 0].reshape(-1), np.arange(256))


def test_many_channels_are_averaged_and_rows_hold_no_picture() -> None:
    x = np.zeros((1, 5, 8, 8), np.float32)
    x[:, :, 2] = 1
    shown = seen_in_tensor(x, None, "NCHW")
    assert shown is not None
    assert np.asarray(shown)[:, 0, 0].tolist() == [0, 0, 255, 0, 0, 0, 0, 0]
    assert seen_in_tensor(np.zeros((1, 7), np.float32), None, "NC") is None


def test_a_large_picture_is_cropped_as_the_network_does() -> None:
    large = NOISE.resize((400, 300), PIL.Image.Resampling.BICUBIC)
    placement = place((300, 400), (30, 30), "crop")
    seen = seen_in_picture(large, placement, (100, 100))
    expected = large.crop((50, 0, 350, 300)).resize((100, 100), PIL.Image.Resampling.BILINEAR)
    difference = np.abs(np.asarray(seen).astype(int) - np.asarray(expected).astype(int))
    assert difference[1:-1, 1:-1].max() <= 1  # at the edge there is more beyond to look at


def test_a_small_picture_is_enlarged_in_squares() -> None:
    seen = np.asarray(seen_in_picture(NOISE, place((16, 16), (32, 32), "squash"), (64, 64)))
    assert np.array_equal(seen, np.asarray(NOISE).repeat(4, axis=0).repeat(4, axis=1))


def test_what_is_around_a_padded_picture_is_grey() -> None:
    seen = np.asarray(seen_in_picture(NOISE.resize((400, 100)), place((100, 400), (32, 32), "pad"), (64, 64)))
    assert seen.shape == (64, 64, 3)
    assert (seen[:20] == 128).all()
    assert np.ptp(seen[28:36]) > 100


def test_arrays_become_images() -> None:
    assert as_image(np.full((2, 3), 7, np.uint8)).getpixel((0, 0)) == (7, 7, 7)
    assert as_image(np.full((2, 3), 0.5)).getpixel((0, 0)) == (0, 0, 0)
    assert fitted(NOISE, (16, 16)) is NOISE
