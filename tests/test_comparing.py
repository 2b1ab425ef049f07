"""Comparing from Python: one class for all methods, nothing kept but maps, pictures in any form."""

from __future__ import annotations

import gc
import io
import weakref
from pathlib import Path

import numpy as np
import onnx
import PIL.Image
import pytest

import heatcli
from heatcli.comparing import Comparison, compare
from heatcli.errors import HeatcliError, UsageError
from heatcli.pictures.sheet import Sheet
from heatcli.pictures.zoom import Region
from tests.cli.conftest import classifier

METHODS = ("deep-taylor", "sensitivity", "occlusion")


@pytest.fixture(scope="module")
def explainer(tmp_path_factory: pytest.TempPathFactory) -> heatcli.Explainer:
    path = tmp_path_factory.mktemp("model") / "net.onnx"
    onnx.save(classifier(), path)
    return heatcli.load(path, preprocess="unit", labels=["cat", "dog", "owl", "sea lion"])


@pytest.fixture(scope="module")
def noise() -> list[PIL.Image.Image]:
    random = np.random.default_rng(11)
    return [PIL.Image.fromarray(random.integers(0, 256, (20, 20, 3), dtype=np.uint8)) for _ in range(4)]


def test_maps_are_those_of_explain_for_the_class_of_the_first_method(
    explainer: heatcli.Explainer, noise: list[PIL.Image.Image]
) -> None:
    comparison = compare(explainer, noise, METHODS)
    for column in comparison.columns(None):
        for picture, map in zip(noise, column.maps, strict=True):
            expected = explainer.explain(picture, method=column.heading)
            assert np.array_equal(map, expected.heatmap)
            assert column.signed == expected.signed
    assert not comparison.failures


def test_settings_go_where_they_fit(explainer: heatcli.Explainer, noise: list[PIL.Image.Image]) -> None:
    comparison = compare(explainer, noise[:1], METHODS, target="owl", window=4, input_rule="w2")
    deep_taylor, sensitivity, occlusion = (column.maps[0] for column in comparison.columns(None))
    expected = (
        explainer.explain(noise[0], target=2, input_rule="w2"),
        explainer.explain(noise[0], target=2, method="sensitivity"),
        explainer.explain(noise[0], target=2, method="occlusion", window=4),
    )
    for map, explanation in zip((deep_taylor, sensitivity, occlusion), expected, strict=True):
        assert np.array_equal(map, explanation.heatmap)


def test_no_explanation_outlives_its_cell(explainer: heatcli.Explainer, noise: list[PIL.Image.Image]) -> None:
    references = []
    for cell in Comparison(explainer, noise, METHODS).run():
        assert cell.explanation is not None
        references.append(weakref.ref(cell.explanation))
        del cell
        gc.collect()
        assert sum(reference() is not None for reference in references) <= 1
    assert len(references) == len(noise) * len(METHODS)


def test_steps_are_counted(explainer: heatcli.Explainer, noise: list[PIL.Image.Image]) -> None:
    comparison, taken = Comparison(explainer, noise[:2], METHODS, settings={"window": 8}), []
    assert len(list(comparison.run(lambda: taken.append(1)))) == 6
    assert len(taken) == comparison.steps == 2 * (1 + 1 + 9)


def test_pictures_in_any_form(explainer: heatcli.Explainer, noise: list[PIL.Image.Image], tmp_path: Path) -> None:
    noise[0].save(tmp_path / "a.png")
    content = (tmp_path / "a.png").read_bytes()
    x = np.random.default_rng(1).random((1, 3, 16, 16)).astype(np.float32)
    comparison = compare(explainer, [str(tmp_path / "a.png"), content, io.BytesIO(content), noise[0], x], METHODS[:2])
    assert comparison.names == ("a.png", "picture 2", "picture 3", "picture 4", "picture 5")
    for column in comparison.columns(None):
        first, *others, tensor = column.maps
        assert all(np.array_equal(first, other) for other in others)
        assert tensor is not None
    assert isinstance(comparison.sheet(), Sheet)


def test_what_fails_is_kept_by_cell_and_the_rest_is_drawn(
    explainer: heatcli.Explainer, noise: list[PIL.Image.Image]
) -> None:
    comparison = compare(explainer, ["gone.png", noise[0]], METHODS[:2])
    ((place, method, explanation, error),) = comparison.failures
    assert (place, method, explanation) == (0, "deep-taylor", None)
    assert "no such file" in str(error)
    assert error is not None
    assert error.__traceback__ is None
    assert len(comparison.sheet().captions) == 1
    assert comparison.zoom(Region(1, 2, 3, 3)).captions[1][1] == "3x3 pixels at 1,2"


def test_where_nothing_was_explained_there_is_nothing_to_draw(explainer: heatcli.Explainer) -> None:
    comparison = compare(explainer, ["gone.png"])
    for draw in (comparison.sheet, comparison.zoom):
        with pytest.raises(HeatcliError, match="no picture could be explained"):
            draw()


def test_an_error_of_usage_strikes_at_once(explainer: heatcli.Explainer, noise: list[PIL.Image.Image]) -> None:
    with pytest.raises(UsageError, match="covers the whole input"):
        compare(explainer, noise, ("occlusion",), window=16)
