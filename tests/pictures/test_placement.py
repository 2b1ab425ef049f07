"""Where the network looked, and that relevance comes back to the same place of the picture."""

from __future__ import annotations

import numpy as np
import PIL.Image
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heatcli.errors import UsageError
from heatcli.pictures.placement import Placement, place
from heatcli.pictures.reading import read_picture

sides = st.integers(5, 120)
frames = st.integers(4, 64)
fits = st.sampled_from(["crop", "squash", "pad"])


@st.composite
def placements(draw: st.DrawFn) -> Placement:
    network = (draw(frames), draw(frames))
    resize = draw(st.none() | st.integers(min(network), 90))
    return place((draw(sides), draw(sides)), network, draw(fits), resize)


def test_the_usual_crop() -> None:
    placement = place((375, 500), (224, 224), "crop", 256)
    new_wide = int(500 * 256 / 375)  # 341
    left, upper = round((new_wide - 224) / 2), (256 - 224) // 2
    assert placement.box == pytest.approx(
        (
            left * 500 / new_wide,
            upper * 375 / 256,
            (left + 224) * 500 / new_wide,
            (upper + 224) * 375 / 256,
        )
    )


def test_squash_sees_everything_and_with_a_margin_the_middle() -> None:
    assert place((300, 500), (224, 224), "squash").box == (0, 0, 500, 300)
    left, upper, right, lower = place((256, 512), (224, 224), "squash", 256).box
    assert (left, upper, right, lower) == (32, 16, 480, 240)


def test_pad_reaches_outside_the_picture() -> None:
    placement = place((50, 100), (10, 10), "pad")
    assert placement.box == pytest.approx((0, -20, 100, 80)) or placement.box == pytest.approx((0, -30, 100, 70))
    assert placement.inside == (0, 0, 100, 50)


def test_an_unknown_fit_lists_the_known_ones() -> None:
    with pytest.raises(UsageError, match="crop, squash, pad"):
        place((10, 10), (5, 5), "stretch")


@given(sides, sides, st.integers(4, 40))
def test_the_view_equals_resizing_and_cropping(tall: int, wide: int, side: int) -> None:
    random = np.random.default_rng(tall * 1000 + wide)
    image = PIL.Image.fromarray(random.integers(0, 256, (tall, wide, 3), np.uint8))
    resize = side + side // 7
    placement = place((tall, wide), (side, side), "crop", resize)
    larger = resize / min(tall, wide)
    new_tall, new_wide = int(tall * larger + 1e-6), int(wide * larger + 1e-6)
    whole = image.resize((new_wide, new_tall), PIL.Image.Resampling.BILINEAR)
    left, upper = round((new_wide - side) / 2), round((new_tall - side) / 2)
    cropped = np.asarray(whole.crop((left, upper, left + side, upper + side)), int)
    # both ways round to whole numbers after each of the two axes
    assert np.abs(np.asarray(placement.view(image), int) - cropped).max() <= 2


@given(placements())
def test_the_box_has_the_frame_inside_or_around_the_picture(placement: Placement) -> None:
    left, upper, right, lower = placement.box
    tall, wide = placement.picture
    assert right > left
    assert lower > upper
    inside = left >= 0 and upper >= 0 and right <= wide and lower <= tall
    around = left <= 0 or upper <= 0
    assert inside or around
    image = PIL.Image.new("RGB", (wide, tall))
    assert placement.view(image).size == placement.network[::-1]


@given(placements(), st.data())
def test_a_hot_pixel_lands_where_the_network_saw_it(placement: Placement, data: st.DataObject) -> None:
    """The centre of mass of one hot pixel's image is that pixel's place in the picture."""
    height, width = placement.network
    y, x = data.draw(st.integers(1, height - 2)), data.draw(st.integers(1, width - 2))
    hot = np.zeros((height, width), np.float32)
    hot[y, x] = 1
    laid = placement.to_picture(hot)
    assert laid.shape == placement.picture
    assert laid.dtype == np.float32
    left, upper, right, lower = placement.box
    across, down = (right - left) / width, (lower - upper) / height
    expected = np.asarray([upper + (y + 0.5) * down, left + (x + 0.5) * across])
    reach = 2.5 * np.maximum(1, [down, across])
    tall, wide = placement.picture
    if np.any(expected < reach) or np.any(expected > [tall, wide] - reach):
        return  # so near the edge that a part is cut off, or in the padding
    if right - left < 4 or lower - upper < 4:
        return  # hardly a pixel of the picture was seen
    mass = laid / laid.sum()
    centre = [(mass.sum(1) * (np.arange(tall) + 0.5)).sum(), (mass.sum(0) * (np.arange(wide) + 0.5)).sum()]
    assert np.abs(centre - expected).max() < 0.6 * max(1, down, across)


@given(placements(), st.integers(0, 9999))
def test_no_new_extremes_and_nothing_outside(placement: Placement, seed: int) -> None:
    map = np.random.default_rng(seed).gamma(0.2, size=placement.network).astype(np.float32)
    laid = placement.to_picture(map)
    assert laid.min() >= 0
    assert laid.max() <= map.max()
    x0, y0, x1, y1 = placement.inside
    laid[y0:y1, x0:x1] = 0
    assert not laid.any()


@given(placements())
def test_a_constant_map_fills_what_was_seen(placement: Placement) -> None:
    laid = placement.to_picture(np.full(placement.network, 3.0, np.float32))
    x0, y0, x1, y1 = placement.inside
    assert np.allclose(laid[y0:y1, x0:x1], 3)


@pytest.mark.parametrize("fit", ["crop", "squash", "pad"])
def test_a_spot_in_a_turned_photograph_comes_back_to_the_spot(fit: str) -> None:
    """Stored lying, shown upright: what the network sees bright is bright again at the same place."""
    stored = np.zeros((60, 90, 3), np.uint8)
    stored[26:32, 50:56] = 255
    exif = PIL.Image.Exif()
    exif[0x112] = 6
    image = PIL.Image.fromarray(stored)
    image.info["exif"] = exif.tobytes()
    upright = read_picture(image)
    assert upright.size == (60, 90)
    placement = place((90, 60), (32, 32), fit)
    seen = np.asarray(placement.view(upright).convert("L"), np.float32)
    laid = placement.to_picture(seen)
    y, x = np.unravel_index(laid.argmax(), laid.shape)
    assert np.asarray(upright)[y, x, 0] == 255
    assert laid[53, 30] == pytest.approx(laid.max(), rel=0.5)


def test_a_coarser_map_covers_the_same_frame() -> None:
    placement = place((80, 80), (32, 32), "squash")
    laid = placement.to_picture(np.asarray([[1, 0], [0, 0]], np.float32))
    assert laid[:20, :20].min() > 0.9
    assert laid[60:, 60:].max() < 0.1


def test_padding_has_the_colour_asked_for() -> None:
    view = np.asarray(place((10, 20), (8, 8), "pad").view(PIL.Image.new("RGB", (20, 10), "white"), (1, 2, 3)))
    assert view[0, 0].tolist() == [1, 2, 3]
    assert view[4, 4].tolist() == [255, 255, 255]
    assert np.all(view == 255, axis=2).sum() == 4 * 8
