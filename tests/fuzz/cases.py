"""What a case is, and how it comes from its kind, its seed and its number alone."""

from __future__ import annotations

import importlib
import json
import random
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

KINDS = ("models", "pictures", "texts", "commands")


@dataclass(frozen=True)
class Name:
    """What a case is called and made from, such as ``models:1:4711``."""

    kind: str
    seed: int
    number: int

    @classmethod
    def of(cls, text: str) -> Name:
        kind, seed, number = text.split(":")
        if kind not in KINDS:
            raise ValueError(f"{kind}: no such kind; known: {', '.join(KINDS)}")
        return cls(kind, int(seed), int(number))

    def __str__(self) -> str:
        return f"{self.kind}:{self.seed}:{self.number}"


@dataclass
class Case:
    """A command in a folder of its own; ``told`` says what was done to its files.

    ``may_write`` are names, of files and of folders with all in them, that may change; files that the command makes
    where no file was are judged by ``makes``: suffixes of the names they may have, None for any.
    """

    arguments: list[str]
    stdin: str | None = None
    may_write: list[str] = field(default_factory=list)
    makes: list[str] | None = None
    told: list[str] = field(default_factory=list)

    def written(self) -> str:
        return json.dumps(asdict(self), indent=2)

    @classmethod
    def read(cls, text: str) -> Case:
        return cls(**json.loads(text))


class Chance(random.Random):
    """Everything that is left to chance in a case; ``numbers`` is the same for arrays."""

    def __init__(self, name: Name) -> None:
        super().__init__(str(name))
        self.numbers = np.random.default_rng([KINDS.index(name.kind), name.seed, name.number])

    def happens(self, share: float) -> bool:
        return self.random() < share

    def some(self, things, least=1, most=3):
        """Return some of ``things``, each once."""
        things = list(things)
        return self.sample(things, min(len(things), self.randint(least, most)))


def make(name: Name, folder: Path) -> Case:
    """Write the files of a case into ``folder``, which is empty, and return it."""
    kind = importlib.import_module(f"tests.fuzz.{name.kind}")
    return kind.make(Chance(name), folder)
