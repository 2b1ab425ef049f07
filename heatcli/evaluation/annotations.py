"""Reads where the objects of pictures are: Pascal VOC, COCO, plain JSON, masks; and finds the picture for each."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath, PurePosixPath, PureWindowsPath
from typing import Any
from xml.etree import ElementTree as ET

from heatcli.errors import UsageError, shown
from heatcli.evaluation.objects import Annotation, Box, Thing
from heatcli.opening import content, reason

MOST_JSON, MOST_XML = 1 << 30, 16 << 20
"""Bytes of a file at most: COCO's largest has half a gigabyte, one of Pascal VOC is about one picture."""
FORMS = (
    "a folder of Pascal VOC .xml files, a COCO .json file, or JSON such as "
    '{"cat.jpg": [[x0, y0, x1, y1]]}, in pixels from the upper left corner'
)


@dataclass(frozen=True)
class Found:
    """The annotation of every picture that has one, by the picture's name.

    ``missing`` are pictures without, ``unused`` the files that annotations are about and no picture is.
    """

    by_picture: dict[str, Annotation]
    missing: tuple[str, ...]
    unused: tuple[str, ...]


def read_boxes(path: str | Path) -> list[Annotation]:
    """Read the boxes at ``path``: a folder of VOC files, or a JSON file of COCO or of heatcli's own.

    Pictures that are said to hold no object are left out.

    Own JSON goes from file names to lists of boxes, or is ``{"items": [{"file": …, "boxes_xyxy_px": [[…]], "size":
    [width, height], "label": …}]}``, where size and label (or ``wnid``) can be left out. Raises UsageError for what
    cannot be read, and where there is no box at all.
    """
    found = [entry for entry in _pictures(Path(path)) if entry.things]
    if not found:
        raise UsageError(f"--boxes {path}: holds no boxes; give {FORMS}")
    return found


def _pictures(path: Path) -> list[Annotation]:
    """Return all pictures that ``path`` speaks of, those without objects included."""
    if path.is_dir():
        files = sorted(path.rglob("*.xml"))
        if not files:
            raise UsageError(f"--boxes {path}: no .xml file is in this folder; give {FORMS}")
        return [_voc(file, path) for file in files]
    if path.suffix.lower() == ".xml":
        return [_voc(path, path.parent)]
    try:
        found = json.loads(_text(path))
    except (ValueError, RecursionError) as error:
        raise UsageError(f"--boxes {path}: is no JSON ({reason(error)}); give {FORMS}") from error
    if isinstance(found, dict) and isinstance(found.get("images"), list) and "annotations" in found:
        return _coco(found, path)
    if isinstance(found, dict) and isinstance(found.get("items"), list):
        return [_item(entry, path) for entry in found["items"]]
    if isinstance(found, dict):
        return [_annotation(name, boxes, path) for name, boxes in found.items()]
    raise UsageError(f"--boxes {path}: holds no boxes; give {FORMS}")


def read_masks(folder: str | Path, pictures: Sequence[str]) -> list[Annotation]:
    """Return the masks of ``pictures`` in ``folder`` and below it: ``cat.png``, or ``cat.NAME.png`` for one class.

    What is not black in a mask is the object. Raises UsageError where there is no such file.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UsageError(f"--masks {folder}: no such folder; give one of masks that are called like their pictures")
    files = sorted(folder.rglob("*.png"))
    if not files:
        raise UsageError(f"--masks {folder}: no .png file is in this folder; masks are called like their pictures")
    stems = {_pure(name).stem for name in pictures}
    things: dict[PurePath, list[Thing]] = {}
    for file in files:
        stem, name = file.stem, None
        if stem not in stems and "." in stem:
            head = max((known for known in stems if stem.startswith(f"{known}.")), key=len, default=None)
            stem, name = (head, stem[len(head) + 1 :]) if head is not None else (stem, None)
        things.setdefault(file.relative_to(folder).with_name(f"{stem}.png"), []).append(Thing(name, mask=file))
    return [Annotation(file, tuple(entries), str(folder)) for file, entries in things.items()]


def assigned(annotations: Sequence[Annotation], pictures: Sequence[str]) -> Found:
    """Find the annotation of each of ``pictures``, given by path: that of the same name, whatever its ending.

    Where several bear that name, folders decide, from the file's own on upwards, and then the ending. Raises UsageError
    where two annotations fit one picture equally well, or one of them two pictures.
    """
    by_stem: dict[str, list[Annotation]] = {}
    for annotation in annotations:
        by_stem.setdefault(annotation.file.stem, []).append(annotation)
    claims: dict[int, list[str]] = {}
    fitting: dict[str, Annotation] = {}
    for picture in pictures:
        here = _pure(picture)
        fits = sorted(by_stem.get(here.stem, []), key=lambda entry: _agreement(entry.file, here), reverse=True)
        if len(fits) > 1 and _agreement(fits[0].file, here) == _agreement(fits[1].file, here):
            raise UsageError(
                f"{picture}: {fits[0].file} and {fits[1].file} in {fits[0].source} fit it equally well; "
                "their folders must tell them apart"
            )
        if fits:
            fitting[picture] = fits[0]
            claims.setdefault(id(fits[0]), []).append(picture)
    for claimed in claims.values():
        file, source = fitting[claimed[0]].file, fitting[claimed[0]].source
        best, *others = sorted(claimed, key=lambda picture: _agreement(file, _pure(picture)), reverse=True)
        for other in others:
            if _agreement(file, _pure(other)) == _agreement(file, _pure(best)):
                raise UsageError(
                    f"{source}: {file} fits {best} and {other} equally well; their folders must tell them apart"
                )
            del fitting[other]
    missing = tuple(picture for picture in pictures if picture not in fitting)
    unused = tuple(str(entry.file) for entry in annotations if id(entry) not in claims)
    return Found(fitting, missing, unused)


def _agreement(file: PurePath, picture: PurePath) -> tuple[int, bool]:
    """Return how many folders agree from the file upwards, and whether the ending does."""
    agreed = 0
    for one, other in zip(reversed(file.parent.parts), reversed(picture.parent.parts), strict=False):
        if one != other:
            break
        agreed += 1
    return agreed, file.suffix == picture.suffix


def _pure(name: str) -> PurePath:
    """Return the path in ``name``, which may come from the other kind of system."""
    return PureWindowsPath(name) if "\\" in name else PurePosixPath(name)


# forms ----------------------------------------------------------------------------------------------------------------


def _voc(file: Path, folder: Path) -> Annotation:
    """Read one file of Pascal VOC: pixels are counted from 1, and the last one belongs to the box."""
    text = _text(file)
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise UsageError(f"{file}: declares a document type; VOC files have none, and it is not opened")
    try:
        root = ET.fromstring(text)  # noqa: S314 - without a document type there is nothing to expand
    except ET.ParseError as error:
        raise UsageError(f"{file}: is no XML ({error})") from error
    things = []
    for entry in root.iter("object"):
        values = [entry.findtext(f"bndbox/{name}") for name in ("xmin", "ymin", "xmax", "ymax")]
        left, upper, right, lower = _numbers(values, file)
        things.append(Thing(entry.findtext("name"), _box((left - 1, upper - 1, right, lower), file)))
    size = _size([root.findtext("size/width") or 0, root.findtext("size/height") or 0], file)
    named = _pure(root.findtext("filename") or "").suffix
    return Annotation(file.relative_to(folder).with_suffix(named or ".xml"), tuple(things), str(file), size)


def _coco(found: Mapping[str, Any], path: Path) -> list[Annotation]:
    """Read COCO's instances: boxes are [left, upper, width, height]."""
    try:
        names = {entry["id"]: str(entry["name"]) for entry in found.get("categories") or []}
        things: dict[Any, list[Thing]] = {entry["id"]: [] for entry in found["images"]}
        for entry in found["annotations"]:
            left, upper, width, height = _numbers(entry["bbox"], path)
            box = _box((left, upper, left + width, upper + height), path)
            things[entry["image_id"]].append(Thing(names.get(entry.get("category_id")), box))
        return [
            Annotation(
                _pure(str(entry["file_name"])),
                tuple(things[entry["id"]]),
                str(path),
                _size([entry.get("width") or 0, entry.get("height") or 0], path),
            )
            for entry in found["images"]
        ]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UsageError(
            f"--boxes {path}: is no whole file of COCO instances ({type(error).__name__}: {reason(error)})"
        ) from error


def _item(entry: Any, path: Path) -> Annotation:
    if not isinstance(entry, dict) or "file" not in entry:
        raise UsageError(f'--boxes {path}: every item needs a "file"; give {FORMS}')
    boxes = entry.get("boxes_xyxy_px", entry.get("boxes"))
    size = _size(entry["size"], path) if entry.get("size") else None
    label = entry.get("label") or entry.get("wnid")
    if not isinstance(label, str | None):
        raise UsageError(f"--boxes {path}: the label {shown(repr(label))} of {shown(str(entry['file']))} is no text")
    return _annotation(str(entry["file"]), boxes, path, size, label)


def _annotation(
    name: str, boxes: Any, path: Path, size: tuple[int, int] | None = None, label: str | None = None
) -> Annotation:
    if not isinstance(boxes, list):
        raise UsageError(f"--boxes {path}: {shown(name)} has no list of boxes; give {FORMS}")
    things = tuple(Thing(label, _box(_numbers(box, path, name), path, name)) for box in boxes)
    return Annotation(_pure(name), things, str(path), size)


def _box(box: Box, path: Path, name: str = "") -> Box:
    left, upper, right, lower = box
    if not (left < right and upper < lower):
        of = f" of {shown(name)}" if name else ""
        raise UsageError(f"{path}: the box {list(box)}{of} is empty; boxes are left, upper, right, lower")
    return box


def _numbers(values: Any, path: Path, name: str = "") -> Box:
    try:
        left, upper, right, lower = (float(value) for value in values)
    except (TypeError, ValueError, OverflowError):
        of = f" of {shown(name)}" if name else ""
        raise UsageError(f"{path}: the box {shown(repr(values))}{of} is not made of four numbers") from None
    if not all(map(math.isfinite, (left, upper, right, lower))):
        raise UsageError(f"{path}: the box {shown(repr(values))} has a number that is not finite")
    return left, upper, right, lower


def _size(values: Any, path: Path) -> tuple[int, int] | None:
    """Return (width, height), None where a file has zeros there."""
    try:
        width, height = (int(value) for value in values)
    except (TypeError, ValueError, OverflowError):
        raise UsageError(f"{path}: the size {shown(repr(values))} is not a width and a height") from None
    return (width, height) if width > 0 and height > 0 else None


def _text(path: Path) -> str:
    try:
        return content(path, MOST_XML if path.suffix.lower() == ".xml" else MOST_JSON).decode("utf-8-sig")
    except FileNotFoundError:
        raise UsageError(f"--boxes {path}: no such file or folder") from None
    except UnicodeDecodeError:
        raise UsageError(f"--boxes {path}: is no text in UTF-8; give {FORMS}") from None
    except (OSError, ValueError) as error:
        raise UsageError(f"--boxes {path}: cannot be read ({reason(error)})") from error
