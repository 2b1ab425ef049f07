"""Import arrows point one way, and what only one room may know is known in that room only."""

from __future__ import annotations

import ast
import sys
import tomllib
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

BELOW = {
    # room: the rooms it may import from, the road's order from the command line down to the layer list
    "__main__": {"cli"},
    "cli": {
        *(
            "batch",
            "comparing",
            "cores",
            "places",
            "describing",
            "evaluation",
            "explainer",
            "explanation",
            "known",
            "methods",
        ),
        *("exporting", "fitting", "network", "pictures", "relevance", "replacing", "reporting", "targets"),
    },
    "reporting": {"batch", "places", "cores", "pictures", "replacing"},
    "evaluation": {
        *("batch", "choosing", "explainer", "inputs", "methods", "network", "pictures", "places", "relevance"),
        "replacing",
        *("targets",),
    },
    "batch": {"explainer", "explanation", "pictures", "places", "replacing", "targets"},
    "places": {"replacing"},
    "comparing": {"explainer", "explanation", "inputs", "methods", "pictures", "targets"},
    "describing": {"explainer", "explanation", "forward", "inputs", "pictures", "targets"},
    "fitting": {
        *("explainer", "forward", "inputs", "kernels", "pictures", "planning", "relevance", "replacing", "targets"),
    },
    "loading": {"explainer", "explanation", "inputs", "known", "network", "pictures"},
    "explainer": {
        *("choosing", "explanation", "exporting", "forward", "inputs", "pictures", "planning"),
        *("relevance", "runtime", "targets"),
    },
    "known": {"pictures"},
    "exporting": {"compiling", "explanation", "inputs", "pictures", "planning", "replacing", "runtime", "targets"},
    "replacing": set(),
    "compiling": {"kernels", "methods", "pictures", "relevance", "runtime"},
    "planning": {
        *("choosing", "compiling", "cores", "explanation", "forward", "pictures", "relevance", "runtime", "targets"),
    },
    "choosing": {"methods", "relevance"},
    "cores": set(),
    "inputs": {"pictures"},
    "explanation": {"pictures", "relevance"},
    "methods": {"relevance"},
    "targets": {"pictures"},
    "relevance": {"kernels"},
    "kernels": set(),
    "forward": {"kernels", "runtime"},
    "network": {"runtime"},
    "pictures": {"replacing"},
    "runtime": set(),
    "network.layers": {"errors"},
    "errors": {"visible"},
    "limits": {"errors"},
    "opening": set(),
    "settings": set(),
    "visible": set(),
    "heatcli": {"errors", "explainer", "explanation", "loading"},
}
FOR_ALL = {"errors", "heatcli", "limits", "network.layers", "opening", "settings", "visible"}
"""What every room may import: errors, the version number, names of settings, limits, how files are opened, layers, and
how the text of strangers is shown."""

KNOWN_TO = {
    "onnxruntime": ("heatcli.runtime",),
    "onnx": (
        "heatcli.network",
        "heatcli.kernels.symbols",
        "heatcli.compiling",
        "heatcli.forward",
        "heatcli.runtime",
    ),
    "google": ("heatcli.network",),
    "typer": ("heatcli.cli",),
    "click": ("heatcli.cli",),
    "rich": ("heatcli.cli",),
    "distributed": ("heatcli.batch.cluster",),
    "matplotlib": ("heatcli.evaluation.figures",),
    "pyarrow": ("heatcli.reporting.tables",),
    "fsspec": ("heatcli.places.remote",),
    "aiohttp": ("heatcli.places.remote",),
}
DISTRIBUTIONS = {"PIL": "pillow", "click": "typer", "google": "onnx"}
"""The runtime package that brings a module whose name differs: protobuf comes with onnx, click's names with typer."""


@cache
def modules() -> dict[str, Path]:
    """Return every module of the package by its dotted name."""
    found = {}
    for path in sorted((ROOT / "heatcli").rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@cache
def imports(module: str) -> frozenset[str]:
    """Return the dotted names that ``module`` imports anywhere, inside functions and for type checking included."""
    names = set()
    for node in ast.walk(ast.parse(modules()[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} imports relatively"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                names.add(inner if inner in modules() else node.module)
    return frozenset(names)


def room(module: str) -> str:
    """Return the room of a module: the name below heatcli, the layer list being a room of its own."""
    if module == "heatcli.network.layers":
        return "network.layers"
    return module.split(".")[1] if "." in module else module


@pytest.mark.parametrize("module", modules())
def test_a_room_imports_only_from_rooms_below(module: str):
    here = room(module)
    assert here in BELOW, f"{here} is a new room: give it its place in this table"
    allowed = BELOW[here] | {here} | (FOR_ALL if here not in FOR_ALL else set())
    upward = {name for name in imports(module) if name in modules() and room(name) not in allowed}
    assert not upward


def test_the_table_itself_has_no_circle():
    TopologicalSorter(BELOW).prepare()  # raises CycleError


def test_no_two_modules_import_each_other():
    # The package's own __init__ is left out: it names what it offers and imports it only when it is asked for.
    graph = {name: {other for other in imports(name) if other in modules()} - {"heatcli"} for name in modules()}
    del graph["heatcli"]
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as circle:
        pytest.fail(" → ".join(circle.args[1]))


@pytest.mark.parametrize("package", KNOWN_TO)
def test_a_package_is_known_to_its_own_room_only(package: str):
    users = {module for module in modules() if any(name.split(".")[0] == package for name in imports(module))}
    rooms = KNOWN_TO[package]
    strangers = {user for user in users if not any(user == name or user.startswith(f"{name}.") for name in rooms)}
    assert not strangers
    assert "heatcli.network.layers" not in users


def test_nothing_is_imported_but_the_declared_packages():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    requirements = (*project["dependencies"], *extras["plots"], *extras["cloud"], *extras["table"])
    declared = {requirement.split(">")[0] for requirement in requirements}
    imported = {name.split(".")[0] for module in modules() for name in imports(module)}
    foreign = imported - set(sys.stdlib_module_names) - {"heatcli"}
    assert {DISTRIBUTIONS.get(name, name) for name in foreign} <= declared
