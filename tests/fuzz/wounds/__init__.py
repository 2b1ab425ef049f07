"""Mutations of a model: each takes one that is well formed and makes it hostile in one way, in place."""

from tests.fuzz.wounds import wires, sizes, attributes, survived, whole  # isort: skip - in the order that numbers them
from tests.fuzz.wounds.registry import WOUNDS

__all__ = ["WOUNDS", "attributes", "sizes", "survived", "whole", "wires"]
