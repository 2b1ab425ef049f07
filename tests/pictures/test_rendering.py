"""What is drawn where: on the original picture, nothing for no evidence, symmetric for signed maps."""

from __future__ import annotations

import numpy as np
import PIL.Image
import pytest

from heatcli.errors import UsageError
from heatcli.pictures.contours import contour_lines, levels, smoothed
from heatcli.pictures.placement import Placement, place
from heatcli.pictures.rendering import STYLES, full_colour, render

PLACED = place((60, 100), (32, 32), "crop")
GREEN = PIL.Image.new("RGB", (100, 60), (40, 160, 40))


def spot(y: int = 16, x: int = 16, value: float = 1.0) -> np.ndarray:
    map = np.zeros((32, 32), np.float32)
    map[y - 1 : y + 2, x - 1 : x + 2] = value
    return map


def drawn(map: np.ndarray, **options: object) -> np.ndarray:
    return np.asarray(render(map, options.pop("picture", GREEN), options.pop("placement", PLACED), **options)).astype(
        int
    )


@pytest.mark.parametrize("style", STYLES)
def test_size_is_the_pictures_or_the_networks(style: str) -> None:
    for size_like, (height, width) in (("picture", (60, 100)), ("network", (32, 32))):
        image = render(spot(), GREEN, PLACED, style=style, size_like=size_like)
        assert image.mode == "RGB"
        assert image.height == height
        assert image.width == (width if style != "side-by-side" else 2 * width + 2)
    assert render(spot(), None, None, style=style).size == (32, 32)


def test_the_overlay_is_hot_at_the_spot_and_shows_the_picture_elsewhere() -> None:
    pixels = drawn(spot(y=8, x=8))
    y, x = np.unravel_index((pixels[:, :, 0] - pixels[:, :, 1]).argmax(), pixels.shape[:2])
    left, upper, right, lower = PLACED.box
    assert abs(y + 0.5 - (upper + 8.5 / 32 * (lower - upper))) < 4
    assert abs(x + 0.5 - (left + 8.5 / 32 * (right - left))) < 4
    far = pixels[45, 60]
    assert far[1] > far[0]  # still green
    assert far[1] > 30


def test_outside_of_what_the_network_saw_is_dimmed() -> None:
    for style in ("overlay", "contour"):
        pixels = drawn(spot(), style=style)
        assert np.all(pixels[30, 5] < 0.5 * pixels[50, 30] + 1)
        assert np.array_equal(pixels[:, 5], pixels[:, 95])
    heat = drawn(np.zeros((32, 32), np.float32), style="heatmap")
    assert heat[30, 50].tolist() == [0, 0, 0]
    assert heat[30, 5].min() > 50
    seen = Placement((60, 100), (32, 32), (0.0, 0.0, 100.0, 60.0))
    assert np.all(drawn(np.zeros((32, 32)), style="contour", placement=seen) == [40, 160, 40])


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("style", STYLES)
def test_no_evidence_draws_nothing(style: str, signed: bool) -> None:
    """Whatever the picture, an empty map adds no colour and no structure."""
    noise = PIL.Image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 100, 3), np.uint8))
    placement = place((60, 100), (32, 32), "squash")
    pixels = drawn(np.zeros((32, 32), np.float32), style=style, signed=signed, picture=noise, placement=placement)
    original = np.asarray(noise).astype(int)
    if style == "contour":
        assert np.array_equal(pixels, original)
    elif style == "overlay":
        grey = original @ [0.299, 0.587, 0.114]
        assert np.abs(pixels - (0.2 * original + 0.45 * grey[:, :, None])).max() <= 1
    else:
        heat = pixels[:, -100:]
        assert np.ptp(heat.reshape(-1, 3), axis=0).max() == 0
        assert heat[0, 0].tolist() == ([255, 255, 255] if signed else [0, 0, 0])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_not_drawn(bad: float) -> None:
    map = np.full((32, 32), bad, np.float32)
    assert np.array_equal(drawn(map, style="heatmap"), drawn(np.zeros((32, 32)), style="heatmap"))


def test_denormal_relevance_is_no_evidence() -> None:
    tiny = np.full((32, 32), 1e-44, np.float32)
    assert np.array_equal(drawn(tiny, style="heatmap"), drawn(np.zeros((32, 32)), style="heatmap"))


def test_a_positive_map_ignores_rounding_below_zero() -> None:
    map = spot()
    map[0, 0] = -5
    assert np.array_equal(drawn(map, style="heatmap"), drawn(spot(), style="heatmap"))


def test_signed_maps_are_symmetric() -> None:
    whole = Placement((32, 32), (32, 32), (0.0, 0.0, 32.0, 32.0))
    picture = PIL.Image.new("RGB", (32, 32), "gray")
    map = spot(8, 8) - spot(24, 24)
    one = drawn(map, style="heatmap", colormap="bwr", signed=True, picture=picture, placement=whole)
    other = drawn(-map, style="heatmap", colormap="bwr", signed=True, picture=picture, placement=whole)
    assert np.abs(one - other[:, :, ::-1]).max() <= 1
    assert one[8, 8].tolist() == [255, 0, 0]
    assert one[24, 24].tolist() == [0, 0, 255]
    overlay = drawn(map, signed=True, picture=picture, placement=whole)
    assert overlay[8, 8, 0] > overlay[8, 8, 2]
    assert overlay[24, 24, 2] > overlay[24, 24, 0]


def test_the_scale() -> None:
    map = np.zeros((100, 100), np.float32)
    map[0, 0] = 7
    assert full_colour(map) == 7  # hot pixels rarer than a thousandth
    map[:50] = 1
    map[0, 0] = 1000
    assert full_colour(map) == 1
    assert full_colour(-map) == 1
    assert full_colour(map, 2.5) == full_colour(map, "2.5") == 2.5
    assert full_colour(np.zeros((3, 3))) == 0
    half = render(spot(value=1.0), None, None, colormap="grey", scale=2.0)
    assert half.getpixel((16, 16)) == (128, 128, 128)
    for wrong in ("shared", 0, -1, float("nan")):
        with pytest.raises(UsageError, match="neither per-image nor a positive number"):
            full_colour(map, wrong)


def test_settings_that_do_not_fit() -> None:
    with pytest.raises(UsageError, match="overlay, heatmap, side-by-side, contour"):
        render(spot(), GREEN, PLACED, style="glow")
    with pytest.raises(UsageError, match="picture, network"):
        render(spot(), GREEN, PLACED, size_like="screen")
    with pytest.raises(UsageError, match="this map is signed; use seismic"):
        render(spot(), GREEN, PLACED, colormap="hot", signed=True)
    with pytest.raises(UsageError, match="shape 5 is no picture"):
        render(np.zeros(5), None, None)
    assert render(spot(), None, None, colormap="000,fff,000", signed=True).getpixel((0, 0)) == (255, 255, 255)


def test_contours_enclose_their_share() -> None:
    y, x = np.mgrid[:50, :50]
    map = np.exp(-((y - 25) ** 2 + (x - 20) ** 2) / 50)
    for share, level in zip((0.75, 0.5, 0.25), levels(map, (0.75, 0.5, 0.25)), strict=True):
        held = map[map >= level].sum() / map.sum()
        assert share <= held < share + 0.05
    assert levels(np.zeros((4, 4))) == []


def test_smoothing_keeps_sums_and_a_line_runs_where_the_level_is() -> None:
    map = np.random.default_rng(0).random((20, 30))
    assert smoothed(map, 2.0).sum() == pytest.approx(map.sum())
    assert np.allclose(smoothed(np.ones((20, 30)), 2.0), 1)
    y, x = np.mgrid[:100, :100]
    blob = np.exp(-((y - 50) ** 2 + (x - 50) ** 2) / 800)
    whole = Placement((100, 100), (100, 100), (0.0, 0.0, 100.0, 100.0))
    table = np.tile(np.asarray([[255, 0, 0]], np.uint8), (256, 1))
    lines = contour_lines(blob, whole, np.zeros((100, 100, 3), np.uint8), table)[:, :, 0]
    radius = np.hypot(y - 50, x - 50)
    on = lines > 200
    assert on.sum() > 100
    assert not on[radius < 8].any()  # inside the smallest ring
    assert np.unique(np.round(radius[on] / 4)).size >= 3


def test_no_line_runs_along_the_edge_of_what_was_seen() -> None:
    """A map that only grows to one side has lines across, none along the crop's edge."""
    ramp = np.repeat(np.linspace(0, 1, 32, dtype=np.float32)[:, None], 32, axis=1)
    pixels = drawn(ramp, style="contour")
    x0, y0, x1, y1 = PLACED.inside
    assert np.all(pixels[y0 + 2, x0 + 2 : x1 - 2] == [40, 160, 40])
    middle = np.any(pixels[y0:y1, (x0 + x1) // 2] != [40, 160, 40], axis=1).sum()
    for x in (x0, x1 - 1):
        assert abs(np.any(pixels[y0:y1, x] != [40, 160, 40], axis=1).sum() - middle) <= 4


def test_drawing_in_bands_leaves_no_seams() -> None:
    tall = PIL.Image.new("RGB", (40, 1200), (90, 90, 90))
    placement = place((1200, 40), (32, 32), "squash")
    y = np.linspace(-1, 1, 32)[:, None] ** 2 + np.zeros((1, 32))
    for style in ("overlay", "heatmap", "contour"):
        pixels = drawn((1 - y).astype(np.float32), style=style, picture=tall, placement=placement)
        assert np.abs(pixels - pixels[::-1]).max() <= 3, style


def test_the_picture_is_left_as_it_was() -> None:
    picture = GREEN.copy()
    for style in STYLES:
        render(spot(), picture, PLACED, style=style)
    assert np.array_equal(np.asarray(picture), np.asarray(GREEN))
