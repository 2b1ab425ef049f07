"""What is on record about public models, read from ``models.json`` beside this file."""

from __future__ import annotations

import difflib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from heatcli.errors import UsageError
from heatcli.pictures.labels import Labels

SERVER = "HEATCLI_ZOO_URL"
"""Environment variable: the address of a server that holds the files, in place of the registry's own addresses."""


@dataclass(frozen=True)
class Known:
    """One public model file: ``size`` in bytes, ``path`` within the collection it was published in.

    ``settings`` are its preprocessing, with the keys of a sidecar file; ``checked`` says that pictures confirmed it.
    """

    name: str
    aliases: tuple[str, ...]
    family: str
    path: str
    sha256: str
    size: int
    classes: int
    settings: Mapping[str, Any]
    checked: bool = False
    note: str = ""


@cache
def _content() -> Any:
    return json.loads(_text("models.json"))


def _text(name: str) -> str:
    return resources.files("heatcli.known").joinpath(name).read_text(encoding="utf-8")


@cache
def models() -> tuple[Known, ...]:
    """Return every known model, by name."""
    settings = _content()["settings"]
    return tuple(
        Known(
            name=entry["name"],
            aliases=tuple(entry["aliases"]),
            family=entry["family"],
            path=entry["path"],
            sha256=entry["sha256"],
            size=entry["bytes"],
            classes=entry["classes"],
            settings=settings[entry["settings"]]["facts"],
            checked=settings[entry["settings"]]["checked"],
            note=settings[entry["settings"]]["note"],
        )
        for entry in _content()["models"]
    )


@cache
def _by_name() -> dict[str, Known]:
    return {name: known for known in models() for name in (known.name, *known.aliases)}


def is_name(text: str) -> bool:
    """Whether ``text`` is the name of a known model, whatever its case."""
    return text.lower() in _by_name()


def find(name: str) -> Known:
    """Return the model called ``name``. Raises UsageError with the closest names."""
    known = _by_name().get(name.lower())
    if known is None:
        close = difflib.get_close_matches(name.lower(), _by_name(), n=3)
        hint = f"; closest: {', '.join(close)}" if close else ""
        raise UsageError(f"no known model is called '{name}'{hint}; `heatcli models list` names them")
    return known


def recognise(sha256: str) -> Known | None:
    """Return the known model whose file has this checksum, whatever it is called here.

    Some files were published under two names; the first is returned.
    """
    return next((known for known in models() if known.sha256 == sha256), None)


def sources(known: Known) -> tuple[str, ...]:
    """Return the addresses to fetch ``known`` from, in order; only those of ``HEATCLI_ZOO_URL`` where that is set."""
    if server := os.environ.get(SERVER):
        base = server.rstrip("/")
        return f"{base}/{known.path}", f"{base}/{known.name}.onnx"
    return tuple(source["address"].format(name=known.name, path=known.path) for source in _content()["sources"])


def labels(known: Known) -> Labels:
    """Return the class names of ``known``: ImageNet's, or the ten digits."""
    return _imagenet() if known.classes == 1000 else Labels([str(digit) for digit in range(known.classes)])


@cache
def _imagenet() -> Labels:
    lines = [line.split(" ", 1) for line in _text("imagenet.txt").splitlines()]
    return Labels([name for _, name in lines], [synset for synset, _ in lines])
