"""What a shell offers after the tab key: names of methods, rules, presets and models."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path


def _starting(incomplete: str, words: Iterable[str]) -> list[str]:
    return [word for word in words if word.startswith(incomplete)]


def methods(incomplete: str) -> list[str]:
    """Offer the methods."""
    from heatcli.methods import METHODS

    return _starting(incomplete, METHODS)


def several_methods(incomplete: str) -> list[str]:
    """Offer the methods that are not named yet behind those that are: ``gradient,`` becomes ``gradient,occlusion``."""
    before, comma, begun = incomplete.rpartition(",")
    named = before.split(",")
    return [f"{before}{comma}{method}" for method in methods(begun) if method not in named]


def input_rules(incomplete: str) -> list[str]:
    """Offer the rules of the first layer."""
    return _starting(incomplete, ("zB", "w2", "z+", "flat"))


def rules(incomplete: str) -> list[str]:
    """Offer the rules behind the pattern that is already typed: ``conv1=`` becomes ``conv1=w2``."""
    from heatcli.relevance.rules import NAMES

    pattern, equals, begun = incomplete.partition("=")
    return [f"{pattern or '*'}={rule}" for rule in NAMES if not equals or rule.startswith(begun)]


def presets(incomplete: str) -> list[str]:
    """Offer the presets of preprocessing."""
    from heatcli.pictures.presets import PRESETS

    return _starting(incomplete, ("auto", *PRESETS))


def known_models(incomplete: str) -> list[str]:
    """Offer the short names of known models."""
    from heatcli.known.registry import models

    return _starting(incomplete, sorted(alias for known in models() for alias in known.aliases))


def model_files(incomplete: str) -> list[str]:
    """Offer ONNX files and folders that go on from what is typed, then the known models."""
    typed = Path(incomplete)
    folder, begun = (typed, "") if incomplete.endswith("/") or not incomplete else (typed.parent, typed.name)
    found = []
    if folder.is_dir():
        for entry in sorted(folder.iterdir()):
            if entry.name.startswith(begun) and not entry.name.startswith("."):
                if entry.is_dir():
                    found.append(f"{entry}/")
                elif entry.suffix == ".onnx":
                    found.append(str(entry))
    return found + known_models(incomplete)
