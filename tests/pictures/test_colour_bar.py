"""The bar below a heatmap: its colours are the map's, its numbers the map's values, and the map stays as it was."""

from __future__ import annotations

from itertools import product

import numpy as np
import PIL.Image
import pytest

from heatcli.errors import UsageError
from heatcli.pictures import rendering
from heatcli.pictures.colour_bar import Bar, figure, with_bar
from heatcli.pictures.contours import SMOOTHING, smoothed
from heatcli.pictures.placement import Placement, place
from heatcli.pictures.rendering import STYLES, render

MARGIN = 6
"""What is left and right of a bar with the smallest letters, and above it."""


def strip(bare: PIL.Image.Image, barred: PIL.Image.Image) -> np.ndarray:
    """The rows that the bar added."""
    return np.asarray(barred)[bare.height :].astype(int)


def dark(part: np.ndarray) -> int:
    return int((part.max(axis=-1) < 110).sum())


def whole(size: int) -> Placement:
    return Placement((size, size), (size, size), (0.0, 0.0, float(size), float(size)))


def ramp(*, signed: bool, full: float = 0.02) -> tuple[np.ndarray, PIL.Image.Image, Placement]:
    """A map that is as wide as its bar below has pixels, and has its values column by column, on mid-grey."""
    values = np.linspace(-full if signed else 0, full, 255, dtype=np.float32)
    map = np.pad(np.tile(values, (267, 1)), ((0, 0), (MARGIN, MARGIN)), mode="edge")
    return map, PIL.Image.new("RGB", (267, 267), (128, 128, 128)), whole(267)


@pytest.mark.parametrize("colormap", [None, "000,f00,fff", "bwr"])
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("style", ["heatmap", "overlay", "side-by-side"])
def test_the_bar_has_the_colours_that_the_map_gives_to_its_values(style: str, signed: bool, colormap: str) -> None:
    map, picture, placement = ramp(signed=signed)
    drawn = np.asarray(
        render(map, picture, placement, style=style, signed=signed, scale=0.02, colormap=colormap, colorbar=True)
    )
    inner = slice(drawn.shape[1] - 267 + MARGIN, drawn.shape[1] - MARGIN)
    assert np.array_equal(drawn[267 + MARGIN + 2, inner], drawn[100, inner])
    assert len(np.unique(drawn[100, inner], axis=0)) > 100


def test_a_map_without_a_picture_has_the_bar_of_a_heatmap() -> None:
    map, _, _ = ramp(signed=True)
    for style in STYLES:
        drawn = np.asarray(render(map, None, None, style=style, signed=True, scale=0.02, colorbar=True))
        assert np.array_equal(drawn[267 + MARGIN + 2, MARGIN:-MARGIN], drawn[100, MARGIN:-MARGIN])


@pytest.mark.parametrize(("style", "signed", "size_like"), [*product(STYLES, (False, True), ("picture", "network"))])
def test_above_the_strip_all_is_as_without_a_bar(style: str, signed: bool, size_like: str) -> None:
    random = np.random.default_rng(3)
    map = random.normal(size=(32, 32)).astype(np.float32)
    for height, width in ((32, 32), (60, 100), (90, 400), (500, 20)):
        picture = PIL.Image.fromarray(random.integers(0, 256, (height, width, 3), np.uint8))
        placement = place((height, width), (32, 32), "crop")
        options = {"style": style, "signed": signed, "size_like": size_like}
        bare = np.asarray(render(map, picture, placement, **options))
        barred = np.asarray(render(map, picture, placement, **options, colorbar=True))
        above = barred[: len(bare)]
        starts = range(above.shape[1] - bare.shape[1] + 1)
        assert any(np.array_equal(above[:, start : start + bare.shape[1]], bare) for start in starts)
        assert barred.shape[1] >= 160
        assert barred.shape[0] > bare.shape[0] + 40


@pytest.mark.parametrize("style", ["heatmap", "overlay", "side-by-side"])
def test_a_small_map_stands_over_the_middle_of_its_bar(style: str) -> None:
    picture = PIL.Image.new("RGB", (32, 32), (0, 90, 0))
    drawn = np.asarray(render(np.ones((32, 32)), picture, whole(32), style=style, scale=2, colorbar=True)).astype(int)
    map = np.flatnonzero(drawn[16, :, 0] > drawn[16, :, 2] + 60)  # half of the full relevance is orange
    assert map.size == 32
    bar = np.flatnonzero((drawn[32 + MARGIN + 2] < 255).any(axis=-1))
    assert abs((map[0] + map[-1]) - (bar[0] + bar[-1])) <= 2


class TestNumbers:
    @pytest.mark.parametrize("signed", [False, True])
    def test_they_stand_at_the_ends_and_at_zero(self, signed: bool) -> None:
        map, picture, placement = ramp(signed=signed)
        bare = render(map, picture, placement, signed=signed, scale=0.02)
        added = strip(bare, render(map, picture, placement, signed=signed, scale=0.02, colorbar=True))
        labels = added[MARGIN + 8 + 3 : MARGIN + 8 + 3 + 12]
        at = np.flatnonzero((labels.max(axis=-1) < 150).any(axis=0))
        assert at[0] <= MARGIN + 2
        assert at[-1] >= 267 - MARGIN - 3
        middle = at[(at > 100) & (at < 167)]
        assert (middle.size > 0) == signed
        if signed:
            assert abs(middle.mean() - 133) < 2

    def test_the_end_says_that_more_has_the_same_colour(self, monkeypatch: pytest.MonkeyPatch) -> None:
        map, picture, placement = ramp(signed=True)
        assert labels(monkeypatch, map, picture, placement, signed=True, scale=0.02) == ("-0.02", "0", "0.02")
        assert labels(monkeypatch, map, picture, placement, signed=True, scale=0.01) == ("≤ -0.01", "0", "≥ 0.01")
        assert labels(monkeypatch, np.abs(map), picture, placement, scale=0.01) == ("0", "≥ 0.01")
        assert labels(monkeypatch, np.minimum(map, 0), None, None, signed=True, scale=0.01) == ("≤ -0.01", "0", "0.01")
        map = np.where(map > 0.0199, np.float32(7), map)  # 2 columns of 267 are more than a thousandth
        assert labels(monkeypatch, map, picture, placement) == ("0", "7")
        map[:, -20:], map[0, 0] = 1, 7
        assert labels(monkeypatch, map, picture, placement) == ("0", "≥ 1")

    def test_a_fixed_scale_gives_the_same_bar_to_every_map(self) -> None:
        map, picture, placement = ramp(signed=False)
        strips = []
        for factor in (1.0, 0.3):
            bare = render(map * factor, picture, placement)
            for scale in (0.5, "per-image"):
                strips.append(strip(bare, render(map * factor, picture, placement, scale=scale, colorbar=True)))
        assert np.array_equal(strips[0], strips[2])
        assert not np.array_equal(strips[1], strips[3])

    def test_very_small_and_very_large_ones_are_short(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for value, shown in (
            (1e-12, "1e-12"),
            (1e6, "1e6"),
            (1.234e-30, "1.2e-30"),
            (0.0351, "0.035"),
            (-4e-5, "-4e-5"),
        ):
            assert figure(value) == shown
        map = np.full((32, 32), 2.5e-12, np.float32)
        assert labels(monkeypatch, map, None, None) == ("0", "2.5e-12")
        assert labels(monkeypatch, map * np.float32(1e18), None, None, signed=True) == ("-2.5e6", "0", "2.5e6")

    def test_they_have_room_below_the_smallest_map(self) -> None:
        map = np.random.default_rng(0).normal(size=(8, 8)) * 1e-12
        bare = render(map, None, None, signed=True)
        added = strip(bare, render(map, None, None, signed=True, scale=1.3e-13, colorbar=True))
        row = (added[MARGIN + 8 + 3 : MARGIN + 8 + 3 + 12].max(axis=-1) < 200).any(axis=0)
        runs = np.flatnonzero(np.diff(np.flatnonzero(row)) > 8)  # gaps between words
        assert runs.size >= 2  # -1.3e-13, 0 and 1.3e-13 do not touch

    def test_letters_grow_with_the_picture(self) -> None:
        bar = Bar(PIL.Image.new("RGB", (255, 1), "red"), ("0", "1"))
        heights = {}
        for size in ((300, 200), (6000, 4000)):
            image = PIL.Image.new("RGB", size, "green")
            drawn = with_bar(image, 0, bar, "words")
            assert drawn.width == size[0]
            heights[size] = drawn.height - size[1]
        assert heights[300, 200] < 60
        assert 400 < heights[6000, 4000] < 700
        letters = np.asarray(drawn)[4000 + 170 : 4000 + 300, :200]
        assert dark(letters) > 500


class TestNoRelevance:
    @pytest.mark.parametrize("signed", [False, True])
    @pytest.mark.parametrize("style", STYLES)
    def test_it_is_said_and_there_is_no_bar(self, style: str, signed: bool) -> None:
        picture = PIL.Image.new("RGB", (300, 300), (90, 20, 20))
        for map in (
            np.zeros((32, 32)),
            np.full((32, 32), 0 if style == "contour" else 1e-44),
            np.full((32, 32), np.nan),
        ):
            placement = place((300, 300), (32, 32), "crop")
            bare = render(map, picture, placement, style=style, signed=signed)
            added = strip(bare, render(map, picture, placement, style=style, signed=signed, colorbar=True))
            assert np.ptp(added, axis=-1).max() == 0  # grey words on white, no colours
            inked = np.argwhere(added[1:].max(axis=-1) < 150)
            assert len(inked) > 50
            assert abs(inked[:, 0].mean() - added.shape[0] / 2) < 5
            assert abs(inked[:, 1].mean() - (bare.width - 150)) < 5

    def test_negative_relevance_is_none_where_only_positive_is_drawn(self) -> None:
        bare = render(np.full((200, 200), -1.0), None, None)
        added = strip(bare, render(np.full((200, 200), -1.0), None, None, colorbar=True))
        assert np.ptp(added, axis=-1).max() == 0

    def test_with_a_fixed_scale_the_bar_stays_comparable(self) -> None:
        map, picture, placement = ramp(signed=False)
        one, none = (
            strip(picture, render(values, picture, placement, scale=0.02, colorbar=True)) for values in (map, map * 0)
        )
        assert one.shape == none.shape
        words = MARGIN + 8 + 3 + 13
        assert np.array_equal(one[:words], none[:words])
        assert not np.array_equal(one[words:], none[words:])


class TestContours:
    @pytest.mark.parametrize("signed", [False, True])
    def test_a_field_has_the_colour_of_a_line_and_its_value(
        self, signed: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        y, x = np.mgrid[:300, :300]
        map = np.exp(-((y - 150) ** 2 + (x - 90) ** 2) / 2000)
        map -= 0.5 * np.exp(-((y - 150) ** 2 + (x - 220) ** 2) / 900)
        picture = PIL.Image.new("RGB", (300, 300), (0, 90, 0))
        drawn = np.asarray(render(map, picture, whole(300), style="contour", signed=signed, colorbar=True))
        bar = captured(monkeypatch, map, picture, whole(300), style="contour", signed=signed)
        values = [float(label) for label in bar.labels]
        assert len(values) == (6 if signed else 3)
        assert values == sorted(values)
        blurred = {sign: smoothed(np.maximum(sign * map, 0), SMOOTHING * 300) for sign in (-1, 1)}
        row = drawn[300 + MARGIN + 4]
        for value, share in zip(values, bar.stands(), strict=True):
            colour = row[round(MARGIN + share[0] * (300 - 2 * MARGIN))]
            on = (drawn[:300] == colour).all(axis=-1)
            assert on.sum() > 20
            assert blurred[int(np.sign(value))][on].mean() == pytest.approx(abs(value), rel=0.05)

    def test_the_scale_changes_nothing(self) -> None:
        map, picture, placement = ramp(signed=False)
        one, other = (
            np.asarray(render(map, picture, placement, style="contour", scale=scale, colorbar=True))
            for scale in (0.02, 5)
        )
        assert np.array_equal(one, other)


def test_what_is_no_picture_stays_an_error() -> None:
    with pytest.raises(UsageError, match="shape 5 is no picture"):
        render(np.zeros(5), None, None, colorbar=True)


def captured(monkeypatch: pytest.MonkeyPatch, *arguments: object, **options: object) -> Bar:
    """The bar that ``render`` draws."""
    found: list[Bar] = []

    def keep(image: PIL.Image.Image, left: int, bar: Bar, caption: str, *, empty: bool = False) -> PIL.Image.Image:
        found.append(bar)
        return with_bar(image, left, bar, caption, empty=empty)

    with monkeypatch.context() as patched:
        patched.setattr(rendering, "with_bar", keep)
        render(*arguments, **options, colorbar=True)
    return found[0]


def labels(monkeypatch: pytest.MonkeyPatch, *arguments: object, **options: object) -> tuple[str, ...]:
    return captured(monkeypatch, *arguments, **options).labels
