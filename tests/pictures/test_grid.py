"""The grid: cells where they should be, one scale for a method, words where there is something to say, the zoom."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import PIL.Image
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from heatcli.errors import UsageError
from heatcli.pictures.colormaps import colormap
from heatcli.pictures.colour_bar import figure
from heatcli.pictures.grid import Maps, cell_size, full_of, grid
from heatcli.pictures.sheet import Sheet
from heatcli.pictures.zoom import PANEL, Region, busiest, zoom

RED, SEISMIC = colormap("red").table, colormap("seismic").table


def flat(value: float, shape: tuple[int, int] = (8, 12)) -> np.ndarray:
    return np.full(shape, value, np.float32)


def colours(*values: tuple[int, int, int], shape: tuple[int, int] = (8, 12)) -> list[PIL.Image.Image]:
    return [PIL.Image.new("RGB", shape[::-1], value) for value in values]


GREEN, BLUE, GREY = (0, 160, 0), (0, 0, 200), (90, 90, 90)
PICTURES = colours(GREEN, BLUE, GREY)
METHODS = (
    Maps("one", [flat(1), flat(2), flat(3)]),
    Maps("two", [flat(-4), flat(1), flat(4)], signed=True),
)
CAPTIONS = [("frog.jpg", "tailed frog", "f(x) 23.1"), ("cat.jpg", "cat"), ("日本.jpg",)]


def pixels(sheet: Sheet) -> np.ndarray:
    return np.asarray(sheet.draw()).astype(int)


def inside(drawn: np.ndarray, sheet: Sheet, row: int, column: int) -> np.ndarray:
    left, upper, right, lower = sheet.box(row, column)
    return drawn[upper:lower, left:right]


def dark(part: np.ndarray) -> int:
    """How many pixels are written on."""
    return int((part.max(axis=-1) < 150).sum())


class TestPlaces:
    @pytest.mark.parametrize("transposed", [False, True])
    def test_every_picture_and_map_is_in_its_cell(self, transposed: bool) -> None:
        sheet = grid(PICTURES, METHODS, captions=CAPTIONS, cell=48, scale=4.0, transposed=transposed)
        drawn = pixels(sheet)
        assert drawn.shape == (*sheet.size[::-1], 3)
        for row, colour in enumerate((GREEN, BLUE, GREY)):
            assert (inside(drawn, sheet, row, 0) == colour).all()
            assert (inside(drawn, sheet, row, 1) == RED[round((row + 1) / 4 * 254)]).all()
            assert (inside(drawn, sheet, row, 2) == SEISMIC[round((-1, 0.25, 1)[row] * 127 + 127)]).all()

    @pytest.mark.parametrize("transposed", [False, True])
    def test_rows_are_pictures_unless_transposed(self, transposed: bool) -> None:
        sheet = grid(PICTURES, METHODS, captions=CAPTIONS, cell=48, transposed=transposed)
        across = {(r, c): sheet.box(r, c)[0] for r, c in product(range(3), range(3))}
        down = {(r, c): sheet.box(r, c)[1] for r, c in product(range(3), range(3))}
        for (r, c), (x, y) in {place: (across[place], down[place]) for place in across}.items():
            assert x == across[(r, 0) if transposed else (0, c)]
            assert y == down[(0, c) if transposed else (r, 0)]
        step = across[(1, 0) if transposed else (0, 1)] - across[0, 0]
        assert step > 48

    def test_cells_do_not_touch_and_stay_on_the_sheet(self) -> None:
        for transposed in (False, True):
            sheet = grid(PICTURES, METHODS, captions=CAPTIONS, cell=20, transposed=transposed)
            taken = np.zeros(sheet.size[::-1], int)
            for r, c in product(range(3), range(3)):
                left, upper, right, lower = sheet.box(r, c)
                assert (lower - upper, right - left) == (13, 20)
                assert left > 0
                assert upper > 0
                taken[upper - 1 : lower + 1, left - 1 : right + 1] += 1
            assert taken.max() == 1

    def test_small_maps_are_enlarged_in_squares(self) -> None:
        assert cell_size((28, 56)) == (112, 224)
        assert cell_size((224, 224)) == (224, 224)
        assert cell_size((32, 32)) == (224, 224)
        assert cell_size((600, 300)) == (600, 300)
        assert cell_size((1000, 500)) == (640, 320)
        assert cell_size((28, 56), 56) == (28, 56)
        random = np.random.default_rng(1).random((8, 12)).astype(np.float32)
        sheet = grid(PICTURES[:1], [Maps("one", [random])], cell=36)
        cell = inside(pixels(sheet), sheet, 0, 1)
        assert np.array_equal(cell, cell[::3, ::3].repeat(3, axis=0).repeat(3, axis=1))
        assert len(np.unique(cell.reshape(-1, 3), axis=0)) > 50

    def test_arrays_are_pictures_too(self) -> None:
        floats = np.linspace(-0.5, 1.5, 96).reshape(8, 12)
        sheet = grid([floats, np.zeros((8, 12, 3), np.uint8)], [Maps("one", [flat(1), flat(1)])], cell=12)
        drawn = pixels(sheet)
        assert inside(drawn, sheet, 0, 0)[0, 0].tolist() == [0, 0, 0]
        assert inside(drawn, sheet, 0, 0)[-1, -1].tolist() == [255, 255, 255]
        assert not inside(drawn, sheet, 1, 0).any()


class TestScale:
    def test_all_maps_of_a_method_share_one_scale(self) -> None:
        """The median of 1, 2 and 3 has the strongest colour; the other method has a scale of its own."""
        sheet = grid(PICTURES, METHODS, cell=24)
        drawn = pixels(sheet)
        for row, share in enumerate((0.5, 1, 1)):
            assert (inside(drawn, sheet, row, 1) == RED[round(share * 254)]).all()
        for row, share in enumerate((-1, 0.25, 1)):
            assert (inside(drawn, sheet, row, 2) == SEISMIC[round(share * 127 + 127)]).all()

    def test_per_image_and_a_number(self) -> None:
        drawn = pixels(sheet := grid(PICTURES, METHODS[:1], cell=24, scale="per-image"))
        assert all((inside(drawn, sheet, row, 1) == RED[-1]).all() for row in range(3))
        drawn = pixels(sheet := grid(PICTURES, METHODS[:1], cell=24, scale=6))
        assert all((inside(drawn, sheet, row, 1) == RED[round((row + 1) / 6 * 254)]).all() for row in range(3))

    def test_empty_maps_and_what_is_not_finite_do_not_count(self) -> None:
        odd = flat(2)
        odd[0, 0], odd[1, 1] = np.nan, np.inf
        assert full_of(Maps("one", [flat(0), odd, flat(6), None]), "per-method") == 4
        assert full_of(Maps("one", [flat(-5), flat(2)]), "per-method") == 2
        assert full_of(Maps("one", [flat(-5), flat(2)], signed=True), "per-method") == 3.5
        assert full_of(Maps("one", [flat(0)]), "per-method") == 0

    def test_the_bar_shows_the_colours_and_numbers(self) -> None:
        for transposed in (False, True):
            sheet = grid(PICTURES, METHODS, cell=96, scale=0.025, transposed=transposed)
            drawn = pixels(sheet)
            left, upper, right, lower = sheet.box(2, 2)
            if transposed:
                strip = drawn[upper:lower, right + 4 : right + 22][::-1].transpose(1, 0, 2)
                words = drawn[upper:lower, right + 22 :]
            else:
                strip = drawn[lower + 4 : lower + 22, left:right]
                words = drawn[lower + 22 :, left:right]
            bar = strip[9]
            assert np.abs(bar[[0, -1]] - SEISMIC[[0, -1]]).max() < 5
            assert (bar[len(bar) // 2] > 240).all()
            assert dark(words) > 20
        assert [figure(value) for value in (0.0251, -7.6e-6, 1234, 3)] == ["0.025", "-7.6e-6", "1.2e3", "3"]

    def test_the_bar_of_an_overlay_has_the_colours_of_an_overlay(self) -> None:
        grey = colours((128, 128, 128))
        sheet = grid(grey, [Maps("one", [flat(0.5)])], cell=255, scale=1.0, style="overlay")
        drawn = pixels(sheet)
        left, _, right, lower = sheet.box(0, 1)
        cell = inside(drawn, sheet, 0, 1)
        assert np.array_equal(cell[5, 5], drawn[lower + 15, (left + right) // 2])

    def test_a_method_whose_maps_are_all_empty_has_no_bar(self) -> None:
        sheet = grid(PICTURES, [METHODS[0], Maps("none", [flat(0)] * 3)], cell=96)
        drawn = pixels(sheet)
        for column, there in ((1, True), (2, False)):
            left, _, right, lower = sheet.box(2, column)
            assert (dark(drawn[lower + 1 :, left:right]) > 0) == there

    def test_positive_maps_draw_nothing_negative(self) -> None:
        drawn = pixels(sheet := grid(PICTURES, [Maps("one", [flat(-1), flat(1), flat(1)])], style="overlay", cell=96))
        grey = 0.2 * np.array(GREEN) + 0.45 * (np.array(GREEN) @ [0.299, 0.587, 0.114])
        corner = inside(drawn, sheet, 0, 1)[:10, :10]
        assert np.abs(corner - grey).max() <= 1


class TestWords:
    def test_captions_and_headings_are_written(self) -> None:
        for transposed in (False, True):
            sheet = grid(PICTURES, METHODS, captions=CAPTIONS, cell=96, transposed=transposed)
            drawn = pixels(sheet)
            for row in range(3):
                left, upper, right, lower = sheet.box(row, 0)
                beside = drawn[:upper, left:right] if transposed else drawn[upper:lower, :left]
                assert dark(beside[:-1, :] if transposed else beside[:, :-1]) > 20
            for column in range(3):
                left, upper, right, lower = sheet.box(0, column)
                above = drawn[upper:lower, : left - 1] if transposed else drawn[: upper - 1, left:right]
                assert dark(above) > 20

    def test_without_captions_there_is_no_room_for_them(self) -> None:
        with_words = grid(PICTURES, METHODS, captions=CAPTIONS, cell=48)
        without = grid(PICTURES, METHODS, cell=48)
        assert without.size[0] < with_words.size[0]
        assert without.size[1] == with_words.size[1]

    def test_long_names_stay_beside_their_row(self) -> None:
        captions = [("x" * 400, "word " * 100, "f(x) 1"), ("b",), ("c",)]
        sheet = grid(PICTURES, METHODS, captions=captions, cell=60)
        drawn = pixels(sheet)
        left, _, _, lower = sheet.box(0, 0)
        assert left < 300
        between = drawn[lower + 1 : sheet.box(1, 0)[1] - 1, : left - 1]
        assert dark(between[len(between) // 2 :]) == 0

    def test_a_cell_that_failed_and_one_without_relevance_say_so(self) -> None:
        sheet = grid(PICTURES, [Maps("one", [None, flat(0), flat(1)])], cell=96)
        drawn = pixels(sheet)
        failed, empty, full = (inside(drawn, sheet, row, 1) for row in range(3))
        assert (failed[0, 0] == 235).all()
        assert (empty[0, 0] == 255).all()
        assert dark(failed) > 10
        assert dark(empty) > 10
        assert len(np.unique(full.reshape(-1, 3), axis=0)) == 1


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"style": "contour"}, "unknown style 'contour'; known: heatmap, overlay"),
        ({"scale": "shared"}, "neither per-image nor a positive number"),
        ({"captions": [("a",)]}, "1 captions for 3 pictures"),
        ({"methods": [Maps("one", [flat(1)])]}, "1 maps of one for 3 pictures"),
        ({"methods": [Maps("one", [None] * 3)]}, "at least one is needed"),
        ({"methods": [Maps("one", [flat(1), flat(1), flat(1, (4, 4))])]}, "all of one size"),
        ({"methods": [replace(METHODS[1], colormap="hot")]}, "starts at zero"),
        ({"cell": 10_000}, "more than 80 million"),
    ],
)
def test_what_does_not_fit_is_refused(change: dict[str, object], reason: str) -> None:
    options: dict[str, object] = {"methods": METHODS, **change}
    with pytest.raises(UsageError, match=reason):
        grid(PICTURES, options.pop("methods"), **options).draw()


class TestZoom:
    @given(arrays(np.int32, st.tuples(st.integers(1, 14), st.integers(1, 14)), elements=st.integers(-9, 9)))
    def test_the_busiest_region_is_the_brute_force_one(self, map: np.ndarray) -> None:
        height, width = (max(1, round(side / 3)) for side in map.shape)
        held = {
            (y, x): np.abs(map[y : y + height, x : x + width]).sum()
            for y in range(map.shape[0] - height + 1)
            for x in range(map.shape[1] - width + 1)
        }
        y, x = max(held, key=held.__getitem__)
        assert busiest(map.astype(np.float32)) == Region(x, y, width, height)

    def test_panels_hold_the_map_the_picture_and_the_region_of_both(self) -> None:
        map = np.zeros((30, 30), np.float32)
        map[20:25, 5:10] = 1
        picture = PIL.Image.new("RGB", (60, 60), GREEN)
        picture.paste(BLUE, (10, 40, 20, 50))  # the same place, twice as fine
        region = Region(4, 18, 10, 10)
        sheet = zoom(picture, Maps("one", [map]), region, full=1.0, caption=("a.png", "frog"))
        drawn = pixels(sheet)
        factor = -(-PANEL // 30)
        whole, near = inside(drawn, sheet, 0, 1), inside(drawn, sheet, 1, 1)
        assert whole.shape == near.shape == (30 * factor, 30 * factor, 3)
        red = (near == RED[-1]).all(axis=-1)
        expected = np.zeros((10, 10), bool)
        expected[2:7, 1:6] = True
        assert np.array_equal(red, expected.repeat(3 * factor, axis=0).repeat(3 * factor, axis=1))
        photo = inside(drawn, sheet, 1, 0)
        assert (photo[int(4.5 * 3 * factor), int(3.5 * 3 * factor)] == BLUE).all()
        assert (photo[0, 0] == GREEN).all()
        assert (photo[int(8 * 3 * factor), int(8 * 3 * factor)] == GREEN).all()

    @pytest.mark.parametrize("column", [0, 1])
    def test_the_region_is_marked_in_both(self, column: int) -> None:
        region = Region(4, 18, 10, 10)
        picture = PIL.Image.new("RGB", (30, 30), GREEN)
        sheet = zoom(picture, Maps("one", [flat(1, (30, 30))]), region)
        panel, factor = inside(pixels(sheet), sheet, 0, column), -(-PANEL // 30)
        black = (panel == 0).all(axis=-1)
        rows, columns = np.nonzero(black.any(axis=1))[0], np.nonzero(black.any(axis=0))[0]
        assert abs(rows[0] - 18 * factor) <= 3
        assert abs(rows[-1] - 28 * factor) <= 3
        assert abs(columns[0] - 4 * factor) <= 3
        assert abs(columns[-1] - 14 * factor) <= 3

    @pytest.mark.parametrize("region", [(0, 0, 31, 5), (-1, 0, 5, 5), (0, 0, 0, 5), (28, 28, 3, 3)])
    def test_a_region_outside_is_refused(self, region: tuple[int, ...]) -> None:
        with pytest.raises(UsageError, match="does not lie inside the network's 30×30 pixels"):
            zoom(PICTURES[0], Maps("one", [flat(1, (30, 30))]), Region(*region))

    @pytest.mark.parametrize(("x", "y"), [(0, 0), (499, 0), (0, 499), (499, 499), (250, 1)])
    def test_a_single_pixel_can_be_marked_anywhere(self, x: int, y: int) -> None:
        sheet = zoom(PICTURES[0], Maps("one", [flat(1, (500, 500))]), Region(x, y, 1, 1))
        panel = inside(pixels(sheet), sheet, 0, 1)
        assert (panel == 0).all(axis=-1).sum() >= 8

    def test_an_oblong_region_keeps_its_shape(self) -> None:
        sheet = zoom(PICTURES[0], Maps("one", [flat(1, (30, 30))]), Region(0, 0, 20, 5), full=1.0)
        near = inside(pixels(sheet), sheet, 1, 1)
        red = (near == RED[-1]).all(axis=-1)
        assert red.any(axis=0).sum() == 4 * red.any(axis=1).sum()
