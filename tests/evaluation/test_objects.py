"""Boxes and masks through the geometry of preprocessing, against the picture itself going the same way."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import numpy as np
import PIL.Image
import PIL.ImageDraw
import pytest

from heatcli.errors import PictureError
from heatcli.evaluation.objects import Annotation, Thing, belonging, class_names, mask_of
from heatcli.limits import Limits
from heatcli.pictures.labels import Labels
from heatcli.pictures.placement import Placement, place

BOX = (60.0, 30.0, 150.0, 90.0)


def masked(thing: Thing, placement: Placement, size: tuple[int, int] | None = None) -> np.ndarray:
    return mask_of(Annotation(PurePosixPath("a.jpg"), (thing,), "boxes.json", size), (thing,), placement)


@pytest.mark.parametrize(("fit", "resize"), [("crop", 64), ("crop", 56), ("squash", None), ("pad", None)])
def test_a_box_goes_where_the_picture_goes(fit: str, resize: int | None):
    placement = place((120, 200), (56, 56), fit, resize)
    picture = PIL.Image.new("L", (200, 120))
    PIL.ImageDraw.Draw(picture).rectangle((60, 30, 149, 89), fill=255)  # its last pixel is part of Pillow's rectangle
    seen = np.asarray(placement.view(picture)) / 255
    found = masked(Thing(box=BOX), placement)
    assert found[seen > 0.95].all()
    assert not found[seen < 0.05].any()
    assert found.any()
    assert not found.all()


def test_edges_are_exact_where_pixels_are_kept():
    placement = place((40, 60), (40, 60), "squash")
    expected = np.zeros((40, 60), bool)
    expected[5:30, 10:20] = True
    assert np.array_equal(masked(Thing(box=(10, 5, 20, 30)), placement), expected)


def test_a_mask_file_goes_the_same_way_whatever_its_values(tmp_path: Path):
    placement = place((120, 200), (56, 56), "crop", 64)
    for value in (1, 255):
        mask = PIL.Image.new("L", (200, 120))
        PIL.ImageDraw.Draw(mask).rectangle((60, 30, 149, 89), fill=value)
        mask.save(tmp_path / "mask.png")
        found = masked(Thing(mask=tmp_path / "mask.png"), placement)
        seen = np.asarray(placement.view(mask.point([0] + [255] * 255))) / 255
        assert found[seen > 0.55].all()
        assert not found[seen < 0.45].any()


def test_a_mask_may_be_as_large_as_the_picture_that_was_accepted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Limits, "pixels", 1000)
    PIL.Image.new("L", (200, 120), 255).save(tmp_path / "mask.png")
    assert masked(Thing(mask=tmp_path / "mask.png"), place((120, 200), (56, 56), "crop", 64)).all()
    with pytest.raises(PictureError, match="200×120 pixels are more than"):
        masked(Thing(mask=tmp_path / "mask.png"), place((60, 100), (56, 56), "crop", 64))


def test_what_the_network_does_not_see_is_nowhere():
    placement = place((100, 300), (50, 50), "crop")
    assert not masked(Thing(box=(0, 0, 90, 100)), placement).any()
    assert masked(Thing(box=(0, 0, 102, 100)), placement)[:, 0].all()


def test_sizes_that_are_not_the_pictures_are_refused(tmp_path: Path):
    placement = place((120, 200), (56, 56), "crop")
    with pytest.raises(PictureError, match="for a picture of 120×200 pixels; this one has 200×120"):
        masked(Thing(box=BOX), placement, (120, 200))
    PIL.Image.new("L", (20, 12)).save(tmp_path / "mask.png")
    with pytest.raises(PictureError, match="mask has 20×12 pixels"):
        masked(Thing(mask=tmp_path / "mask.png"), placement)
    with pytest.raises(PictureError, match="no such file"):
        masked(Thing(mask=tmp_path / "none.png"), placement)


NAMES = class_names(Labels(["tench, Tinca tinca", "tiger cat", "Persian cat"], ["n01440764", None, "n02123394"]))
CAT, TIGER, OTHER, UNNAMED = (Thing(name) for name in ("persian_cat", "tiger cat", "sofa", None))


@pytest.mark.parametrize(
    ("things", "target", "found", "sure"),
    [
        ((CAT, TIGER, OTHER, UNNAMED), 2, (CAT,), True),  # those of the class
        ((Thing("n02123394"), OTHER), 2, (Thing("n02123394"),), True),
        ((Thing("Tinca tinca"), TIGER), 0, (Thing("Tinca tinca"),), True),
        ((TIGER, OTHER, UNNAMED), 2, (OTHER, UNNAMED), True),  # those that are no other class
        ((TIGER, CAT), 0, (TIGER, CAT), False),  # all are of other classes
    ],
)
def test_which_objects_belong_to_a_class(things, target, found, sure):
    assert belonging(things, NAMES, target) == (found, sure)


def test_without_labels_all_objects_belong():
    assert belonging((CAT, OTHER), class_names(None), 7) == ((CAT, OTHER), True)


@pytest.mark.parametrize("box", [(200, 0, 220, 20), (0, 120, 20, 140), (-20, 0, 0, 20), (0, -20, 20, 0)])
def test_a_box_outside_the_picture_is_refused(box: tuple[float, float, float, float]):
    placement = place((120, 200), (56, 56), "squash")
    with pytest.raises(PictureError, match=r"boxes\.json: the box .* lies outside the picture of 200×120 pixels"):
        masked(Thing(box=box), placement)
    left, upper, right, lower = box
    assert masked(Thing(box=(left - 9, upper - 9, right + 9, lower + 9)), placement).any()  # a part of it is inside
