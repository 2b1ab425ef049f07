"""Label files of every kind, and finding a class by what a user types."""

from __future__ import annotations

import copy
import json
import pickle
from pathlib import Path

import pytest

from heatcli.errors import UsageError
from heatcli.pictures.labels import Labels, find_label, labels_from_metadata, read_labels

NAMES = ("tench, Tinca tinca", "goldfish, Carassius auratus", "crane")


def written(folder: Path, text: str, name: str = "labels.txt") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("labels.txt", "tench, Tinca tinca\ngoldfish, Carassius auratus\ncrane\n\n\n"),
        ("labels.txt", "\ufefftench, Tinca tinca\r\ngoldfish, Carassius auratus\r\ncrane"),
        ("words.txt", "n01440764 tench, Tinca tinca\nn01443537 goldfish, Carassius auratus\nn02012849 crane\n"),
        ("a.json", json.dumps(NAMES)),
        ("a.json", json.dumps({2: NAMES[2], 0: NAMES[0], 1: NAMES[1]})),
        ("a.txt", json.dumps(NAMES)),
        ("config.json", json.dumps({"model_type": "vit", "id2label": dict(enumerate(NAMES))})),
        ("keras.json", json.dumps({0: ["n01440764", NAMES[0]], 1: ["n01443537", NAMES[1]], 2: ["n02012849", "crane"]})),
    ],
)
def test_every_kind_of_file(tmp_path: Path, name: str, text: str) -> None:
    assert read_labels(written(tmp_path, text, name), 3) == NAMES


def test_an_empty_line_in_the_middle_is_a_label(tmp_path: Path) -> None:
    assert read_labels(written(tmp_path, "a\n\nc\n"), 3) == ("a", "", "c")


def test_the_real_files(data: Path) -> None:
    labels = read_labels(data / "imagenet_synset_words.txt", 1000)
    assert labels[3] == "tiger shark, Galeocerdo cuvieri"
    assert find_label(labels, "n01491361") == 3
    assert find_label(labels, "Tiger Shark") == 3
    assert find_label(labels, "tailed_frog") == 32
    with pytest.raises(UsageError, match=r"fits 2 classes.*134 crane; 517 crane"):
        find_label(labels, "crane")
    assert read_labels(data / "imagenet_1001_labels.txt", 1001)[0] == "background"
    with pytest.raises(UsageError, match=r"has 1001 labels, but the model has 1000 classes.*background"):
        read_labels(data / "imagenet_1001_labels.txt", 1000)
    with pytest.raises(UsageError, match=r"has 1000 labels, but the model has 1001 classes.*background"):
        read_labels(data / "imagenet_synset_words.txt", 1001)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.txt", "a\nb\n", r"a\.txt: has 2 labels, but the model has 5 classes$"),
        ("a.json", "{", "broken JSON"),
        ("a.json", '{"cat": 0}', "from class index to label"),
        ("a.json", '{"0": "a", "2": "b"}', "none for class 1"),
        ("a.json", "3", "a JSON list"),
        ("a.txt", "a\0b", "is no file of labels"),
    ],
)
def test_what_is_no_label_file(tmp_path: Path, name: str, text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read_labels(written(tmp_path, text, name), 5)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        read_labels(tmp_path / "none.txt", 3)
    with pytest.raises(UsageError, match="cannot be read"):
        read_labels(tmp_path, 3)
    (tmp_path / "latin").write_bytes("Köter\n".encode("latin-1"))
    with pytest.raises(UsageError, match="UTF-8"):
        read_labels(tmp_path / "latin", 1)


LABELS = ("cat", "tiger cat", "Egyptian cat", "dog, hound", "wolf hound", "crane", "crane")


@pytest.mark.parametrize(
    ("text", "index"),
    [("cat", 0), ("CAT", 0), (" Tiger  Cat ", 1), ("hound", 3), ("egypt", 2), ("wolf", 4), ("dog, hound", 3)],
)
def test_finding(text: str, index: int) -> None:
    assert find_label(LABELS, text) == index


def test_one_label_is_one_label(tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text("cat\n")
    with pytest.raises(UsageError, match="has 1 label, but the model has 3 classes"):
        read_labels(tmp_path / "labels.txt", 3)


def test_several_and_none() -> None:
    with pytest.raises(UsageError, match="'ca' fits 3 classes, give the index of one: 0 cat; 1 tiger cat; 2 Egyptian"):
        find_label(LABELS, "ca")
    with pytest.raises(UsageError, match=r"no class is called 'hund'; closest: dog, hound"):
        find_label(LABELS, "hund")
    with pytest.raises(UsageError, match=r"no class is called 'xylophone'; .*--labels"):
        find_label(LABELS, "xylophone")
    with pytest.raises(UsageError, match=r"no class is called ''"):
        find_label(LABELS, "")
    with pytest.raises(UsageError, match=r"fits 30 classes.*; and 22 more"):
        find_label(tuple(f"dog {i}" for i in range(30)), "dog")


def test_names_in_ultralytics_metadata() -> None:
    assert labels_from_metadata({"names": "{0: 'cat', 1: 'dog'}"}, 2) == ("cat", "dog")
    assert labels_from_metadata({"names": "['cat', 'dog']"}, 2) == ("cat", "dog")
    assert labels_from_metadata({"names": "{0: 'cat'}"}, 2) is None
    assert labels_from_metadata({"names": "__import__('os')"}, 2) is None
    assert labels_from_metadata({}, 2) is None


def test_synsets_survive_copies_and_processes() -> None:
    labels = Labels(("a", "b"), ("n00000001", "n00000002"))
    for twin in (copy.copy(labels), copy.deepcopy(labels), pickle.loads(pickle.dumps(labels))):
        assert twin == labels
        assert find_label(twin, "N00000002") == 1
