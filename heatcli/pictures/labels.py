"""The names of the classes: read from a file, and found again by what a user types."""

from __future__ import annotations

import ast
import difflib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from heatcli.errors import UsageError
from heatcli.opening import TooLarge, content, reason

SYNSET = re.compile(r"(n\d{8})[\s,]+(\S.*)")
"""A line of ImageNet's synset files: the WordNet id, then the name."""

MOST_BYTES = 16 << 20
MOST_METADATA, LONGEST = 1 << 20, 200
"""Characters of the names in a model's metadata at most, in all and a class: what is read of them takes much memory."""
MOST_CANDIDATES = 8


class Labels(tuple[str, ...]):  # noqa: SLOT001 (a tuple subclass has no room for slots)
    """Class names by index; ``synsets`` holds their WordNet ids where the file had them."""

    synsets: tuple[str | None, ...]

    def __new__(cls, names: Sequence[str], synsets: Sequence[str | None] = ()) -> Self:
        """Make a tuple of ``names`` that remembers ``synsets``, one a name or none at all."""
        labels = super().__new__(cls, names)
        labels.synsets = tuple(synsets)
        return labels

    def __getnewargs__(self) -> tuple[tuple[str, ...], tuple[str | None, ...]]:
        """Copy and pickle with the synsets."""
        return tuple(self), self.synsets


def read_labels(path: str | Path, classes: int, *, single: bool = False) -> Labels:
    """Read the names of ``classes`` classes from ``path``.

    Text has a label a line; of a synset line (``n01440764 tench, Tinca tinca``) the label is what follows the id. JSON
    is a list, an object from index to label, one from index to [synset, label], or a Hugging Face configuration with
    ``id2label``. Where a network has a ``single`` score for two classes, one label is enough, see ``both``. Raises
    UsageError where the file cannot be read or has another number of labels.
    """
    text = _text(Path(path))
    if Path(path).suffix.lower() == ".json" or text.lstrip()[:1] in ("{", "["):
        names = _from_json(text, path)
    else:
        names = [line.strip() for line in text.splitlines()]
        while names and not names[-1]:
            names.pop()
    if single and len(names) == 1:
        return both(names[0])
    if len(names) != classes:
        raise UsageError(_mismatch(path, len(names), classes))
    matches = [SYNSET.fullmatch(name) for name in names]
    if any(matches):
        return Labels(
            [match.group(2) if match else name for name, match in zip(names, matches, strict=True)],
            [match.group(1) if match else None for match in matches],
        )
    return Labels(names)


def both(label: str) -> Labels:
    """Return the names of two classes by that of the second: what is not so, and what is."""
    return Labels([f"not {label}", label])


def labels_from_metadata(metadata: Mapping[str, str], classes: int) -> Labels | None:
    """Return the class names that Ultralytics writes into a model (``names``), None where they do not fit."""
    text = metadata.get("names", "")
    if len(text) > min(MOST_METADATA, 1000 + LONGEST * classes):
        return None
    try:
        names = ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None
    if isinstance(names, list | tuple):
        names = dict(enumerate(names))
    if not isinstance(names, dict) or len(names) != classes or set(names) != set(range(classes)):
        return None
    return Labels([str(names[index]) for index in range(classes)])


def find_label(labels: Sequence[str], text: str) -> int:
    """Return the index of the class that ``text`` names, whatever its case.

    Tried in this order: the whole label, its WordNet id, one of its names between commas, a part of exactly one label.
    Raises UsageError with the candidates where several fit, and with the closest names where none does.
    """
    wanted = _plain(text)
    plain = [_plain(label) for label in labels]
    synsets = labels.synsets if isinstance(labels, Labels) else ()
    attempts = (
        [index for index, label in enumerate(plain) if label == wanted],
        [index for index, synset in enumerate(synsets) if synset == wanted],
        [index for index, label in enumerate(plain) if wanted in map(str.strip, label.split(","))],
        [index for index, label in enumerate(plain) if wanted and wanted in label],
    )
    for found in attempts:
        if len(found) == 1:
            return found[0]
        if found:
            listed = "; ".join(f"{index} {labels[index]}" for index in found[:MOST_CANDIDATES])
            more = f"; and {len(found) - MOST_CANDIDATES} more" if len(found) > MOST_CANDIDATES else ""
            raise UsageError(f"'{text}' fits {len(found)} classes, give the index of one: {listed}{more}")
    names = {name.strip(): label for label in labels for name in _plain(label).split(",")}
    near = difflib.get_close_matches(wanted, names, n=3, cutoff=0.6) or difflib.get_close_matches(wanted, names, 1, 0.4)
    close = dict.fromkeys(names[name] for name in near)
    hint = f"; closest: {'; '.join(close)}" if close else ""
    raise UsageError(f"no class is called '{text}'{hint}; names come from --labels, an index works too")


def _plain(text: str) -> str:
    return " ".join(text.replace("_", " ").casefold().split())


def _text(path: Path) -> str:
    try:
        found = content(path, MOST_BYTES)
        if b"\0" in found:
            raise UsageError(f"{path}: is no file of labels; text or JSON is needed")
        return found.decode("utf-8-sig")
    except FileNotFoundError:
        raise UsageError(f"{path}: no such file of labels") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path}: is no file of labels; text or JSON in UTF-8 is needed") from None
    except TooLarge:
        raise UsageError(f"{path}: is no file of labels; it has more than {MOST_BYTES >> 20} MiB") from None
    except (OSError, ValueError) as error:  # ValueError: a name with a null byte
        raise UsageError(f"{path}: cannot be read ({reason(error)})") from error


def _from_json(text: str, path: str | Path) -> list[str]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path}: is broken JSON ({reason(error)})") from error
    if isinstance(found, dict) and isinstance(found.get("id2label"), dict):
        found = found["id2label"]
    if isinstance(found, dict):
        try:
            found = {int(index): label for index, label in found.items()}
        except ValueError:
            raise UsageError(f"{path}: an object from class index to label is needed, or a list") from None
        missing = next((index for index in range(len(found)) if index not in found), None)
        if missing is not None:
            raise UsageError(f"{path}: has {len(found)} labels, but none for class {missing}")
        found = [found[index] for index in range(len(found))]
    if not isinstance(found, list):
        raise UsageError(f"{path}: a JSON list of labels is needed, or an object from class index to label")
    return [_one(label) for label in found]


def _one(label: Any) -> str:
    """Return one JSON label as text; Keras writes pairs of synset and name."""
    return " ".join(map(str, label)) if isinstance(label, list) else str(label)


def _mismatch(path: str | Path, found: int, classes: int) -> str:
    text = f"{path}: has {found} {'label' if found == 1 else 'labels'}, but the model has {_classes(classes)}"
    if classes - found == 1:
        return f"{text}; one of them may be a background class, usually the first, which needs a label too"
    if found - classes == 1:
        return f"{text}; the first label may be that of a background class, which this model has not"
    return text


def _classes(number: int) -> str:
    return "1 class" if number == 1 else f"{number} classes"
