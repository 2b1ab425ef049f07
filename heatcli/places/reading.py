"""Pictures by name that are read whenever they are asked for, so that many of them take no memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from heatcli.places.items import Item


class Pictures(Mapping[str, Path | bytes]):
    """What ``items`` are called and, on asking, what ``Explainer.explain`` takes; raises PictureError then."""

    def __init__(self, items: Iterable[Item]) -> None:
        """Take the ``items``; stdin, which can be read once, is read now."""
        self._items = {item.called: item for item in items}
        self._read = {name: item.picture() for name, item in self._items.items() if item.is_stdin}

    def __getitem__(self, name: str) -> Path | bytes:
        """Return the path of a file of this machine, else the bytes."""
        return self._read[name] if name in self._read else self._items[name].picture()

    def __iter__(self) -> Iterator[str]:
        """Go through the names, in the order of the items."""
        return iter(self._items)

    def __len__(self) -> int:
        """How many there are."""
        return len(self._items)
