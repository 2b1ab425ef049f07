"""Which versions did the work, read from the installed packages without importing them."""

from __future__ import annotations

import platform
from importlib import metadata

import heatcli

PACKAGES = ("onnxruntime", "onnx", "numpy", "pillow")


def versions() -> dict[str, str]:
    """Return the versions that can change a heatmap: heatcli's own, the packages it computes with, and Python's."""
    found = {"heatcli": heatcli.__version__}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found | {"python": platform.python_version()}
