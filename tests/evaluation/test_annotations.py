"""Boxes and masks as others write them, read from files written here by hand; and which picture each belongs to."""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath

import PIL.Image
import pytest

from heatcli.errors import UsageError
from heatcli.evaluation.annotations import assigned, read_boxes, read_masks
from heatcli.evaluation.objects import Annotation, Thing

VOC = """<?xml version="1.0"?>
<annotation>
  <folder>VOC2012</folder><filename>2007_000027.jpg</filename>
  <size><width>486</width><height>500</height><depth>3</depth></size>
  <object><name>person</name><difficult>0</difficult>
    <bndbox><xmin>174</xmin><ymin>101</ymin><xmax>349</xmax><ymax>351</ymax></bndbox>
    <part><name>head</name><bndbox><xmin>169</xmin><ymin>104</ymin><xmax>209</xmax><ymax>146</ymax></bndbox></part>
  </object>
  <object><name>dog</name><bndbox><xmax>10</xmax><xmin>1</xmin><ymin>1</ymin><ymax>5.5</ymax></bndbox></object>
</annotation>"""

COCO = {
    "images": [
        {"id": 397133, "file_name": "000000397133.jpg", "width": 640, "height": 427},
        {"id": 2, "file_name": "b.jpg"},
        {"id": 3, "file_name": "nothing.jpg"},
    ],
    "annotations": [
        {"id": 1, "image_id": 397133, "category_id": 44, "bbox": [217.62, 240.54, 38.99, 57.75]},
        {"id": 2, "image_id": 2, "category_id": 99, "bbox": [0, 0, 10, 20]},
        {"id": 3, "image_id": 2, "category_id": 44, "bbox": [5, 5, 1, 1], "segmentation": []},
    ],
    "categories": [{"id": 44, "name": "bottle"}],
}


def written(path: Path, content: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content), "utf-8")
    return path


class TestForms:
    def test_pascal_voc_counts_from_one_and_its_last_pixel_belongs_to_the_box(self, tmp_path: Path) -> None:
        written(tmp_path / "Annotations/sub/2007_000027.xml", VOC)
        (found,) = read_boxes(tmp_path / "Annotations")
        assert found.file == PurePosixPath("sub/2007_000027.jpg")
        assert found.size == (486, 500)
        assert found.things == (
            Thing("person", (173, 100, 349, 351)),  # and not its head
            Thing("dog", (0, 0, 10, 5.5)),
        )

    def test_coco_gives_width_and_height(self, tmp_path: Path) -> None:
        first, second = read_boxes(written(tmp_path / "instances.json", COCO))
        assert (first.file, first.size) == (PurePosixPath("000000397133.jpg"), (640, 427))
        assert first.things[0].name == "bottle"
        assert first.things[0].box == pytest.approx((217.62, 240.54, 256.61, 298.29))
        assert second.size is None
        assert second.things == (Thing(None, (0, 0, 10, 20)), Thing("bottle", (5, 5, 6, 6)))

    def test_own_json(self, tmp_path: Path) -> None:
        (found,) = read_boxes(written(tmp_path / "a.json", {"x/cat.jpg": [[0, 1, 2, 3], [4.5, 5, 6, 7]]}))
        assert found.file == PurePosixPath("x/cat.jpg")
        assert found.things == (Thing(None, (0, 1, 2, 3)), Thing(None, (4.5, 5, 6, 7)))

    def test_pictures_without_objects_are_left_out_in_every_form(self, tmp_path: Path) -> None:
        (found,) = read_boxes(written(tmp_path / "a.json", {"cat.jpg": [[0, 1, 2, 3]], "sky.jpg": []}))
        assert found.file == PurePosixPath("cat.jpg")
        items = [{"file": "cat.jpg", "boxes": [[0, 1, 2, 3]]}, {"file": "sky.jpg", "boxes": []}]
        (found,) = read_boxes(written(tmp_path / "b.json", {"items": items}))
        assert found.file == PurePosixPath("cat.jpg")
        written(tmp_path / "voc.xml", VOC)
        written(tmp_path / "sky.xml", "<annotation><filename>sky.jpg</filename></annotation>")
        (found,) = read_boxes(tmp_path)
        assert found.file == PurePosixPath("voc.jpg")

    def test_own_json_with_items(self, tmp_path: Path) -> None:
        item = {
            "file": "photos/lion.JPEG",
            "size": [354, 500],
            "wnid": "n02129165",
            "boxes_xyxy_px": [[163, 255, 212, 360]],
        }
        (found,) = read_boxes(written(tmp_path / "a.json", {"note": "by eye", "items": [item]}))
        assert found.size == (354, 500)
        assert found.things == (Thing("n02129165", (163, 255, 212, 360)),)

    def test_the_boxes_of_the_test_data(self, data: Path) -> None:
        found = read_boxes(data / "boxes" / "photo_boxes.json")
        assert len(found) == 14
        assert {entry.file.parent.name for entry in found} == {"photos"}
        for entry in found:
            with PIL.Image.open(data / entry.file) as picture:
                assert picture.size == entry.size

    def test_masks_are_called_like_their_pictures_with_or_without_a_class(self, tmp_path: Path) -> None:
        for name in ("pets.png", "pets.cat.png", "pets.sea lion.png", "a.b.png", "other.png"):
            PIL.Image.new("L", (4, 4)).save(tmp_path / name)
        found = {
            entry.file.name: entry.things for entry in read_masks(tmp_path, ["in/pets.jpg", "in/a.b.jpg", "a.jpg"])
        }
        assert {thing.name for thing in found["pets.png"]} == {None, "cat", "sea lion"}
        assert [thing.mask for thing in found["a.b.png"]] == [tmp_path / "a.b.png"]  # and not class b of a.jpg
        assert set(found) == {"pets.png", "a.b.png", "other.png"}


class TestRefused:
    @pytest.mark.parametrize(
        ("name", "content", "said"),
        [
            ("a.json", "{", "is no JSON"),
            ("a.json", "[1]", "holds no boxes"),
            ("a.json", {"cat.jpg": None}, "cat.jpg has no list of boxes"),
            ("a.json", {"cat.jpg": []}, "holds no boxes"),
            ("a.json", {"images": [{"id": 1, "file_name": "a.jpg"}], "annotations": []}, "holds no boxes"),
            ("a.xml", "<annotation><filename>a.jpg</filename></annotation>", "holds no boxes"),
            ("a.json", {"cat.jpg": [1, 2, 3, 4]}, "not made of four numbers"),
            ("a.json", {"cat.jpg": [[1, 2, 3]]}, "not made of four numbers"),
            ("a.json", {"cat.jpg": [[9, 2, 3, 4]]}, "of cat.jpg is empty"),
            ("a.json", {"items": [{"boxes": []}]}, 'needs a "file"'),
            ("a.json", {"items": [{"file": "a", "boxes": [[0, 0, 1, 1]], "size": 3}]}, "width and a height"),
            (
                "a.json",
                {"images": [{"id": 1}], "annotations": [{"image_id": 1, "bbox": [0, 0, 1, 1]}]},
                "no whole file of COCO",
            ),
            ("a.json", {"images": [], "annotations": [{"image_id": 1, "bbox": [0, 0, 1, 1]}]}, "no whole file of COCO"),
            ("a.xml", "<annotation>", "is no XML"),
            ("a.xml", '<!DOCTYPE x [<!ENTITY a "b">]><annotation/>', "document type"),
            ("a.xml", "<a><object><bndbox><xmin>1</xmin></bndbox></object></a>", "not made of four numbers"),
        ],
    )
    def test_what_cannot_be_read(self, tmp_path: Path, name: str, content: object, said: str) -> None:
        with pytest.raises(UsageError, match=said) as error:
            read_boxes(written(tmp_path / name, content))
        assert name in str(error.value)

    def test_nothing_there(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="no such file or folder"):
            read_boxes(tmp_path / "none.json")
        with pytest.raises(UsageError, match=r"no \.xml file"):
            read_boxes(tmp_path)
        with pytest.raises(UsageError, match=r"no \.png file"):
            read_masks(tmp_path, ["a.jpg"])
        with pytest.raises(UsageError, match="no such folder"):
            read_masks(tmp_path / "none", ["a.jpg"])


def said_of(*files: str) -> list[Annotation]:
    return [Annotation(PurePosixPath(file), (Thing(),), "boxes.json") for file in files]


class TestAssigned:
    def test_by_name_whatever_the_ending(self) -> None:
        found = assigned(said_of("cat.png", "photos/dog.jpg", "emu.jpg"), ["in/cat.jpg", "dog.jpg", "owl.jpg"])
        assert {name: str(entry.file) for name, entry in found.by_picture.items()} == {
            "in/cat.jpg": "cat.png",
            "dog.jpg": "photos/dog.jpg",
        }
        assert found.missing == ("owl.jpg",)
        assert found.unused == ("emu.jpg",)

    def test_folders_decide_between_equal_names(self) -> None:
        pictures = ["/data/one/1.jpg", "/data/two/1.jpg"]
        found = assigned(said_of("two/1.jpg", "one/1.jpg"), pictures)
        assert [str(found.by_picture[name].file) for name in pictures] == ["one/1.jpg", "two/1.jpg"]

    def test_then_the_ending(self) -> None:
        found = assigned(said_of("1.png", "1.jpg"), ["x/1.jpg", "x/1.png"])
        assert str(found.by_picture["x/1.jpg"].file) == "1.jpg"

    def test_one_annotation_belongs_to_the_picture_that_fits_it_best(self) -> None:
        found = assigned(said_of("two/1.jpg"), ["one/1.jpg", "two/1.jpg"])
        assert set(found.by_picture) == {"two/1.jpg"}
        assert found.missing == ("one/1.jpg",)

    def test_what_fits_equally_well_is_refused(self) -> None:
        with pytest.raises(UsageError, match="equally well"):
            assigned(said_of("1.jpg"), ["one/1.jpg", "two/1.jpg"])
        with pytest.raises(UsageError, match="equally well"):
            assigned(said_of("a/1.jpg", "b/1.jpg"), ["1.jpg"])
