"""Shapes by static inference, where they are taken, are those of true arrays."""

from importlib import import_module

import numpy as np
import onnx
import pytest
from onnx import helper

from heatcli import network
from heatcli.errors import HeatcliError
from tests import single

simplify = import_module("heatcli.network.simplify")


@pytest.fixture
def compared(monkeypatch):
    """A list that gets the shapes of every network read for which both ways were taken and agree."""
    agreed, inferred, probe = [], simplify.inferred, simplify.probe
    expected = []

    def both(model, spec, constants):
        expected.append(inferred(model, spec, constants))

    def probed(model, weights, spec, constants):
        shapes = probe(model, weights, spec, constants)
        sure = expected.pop() if expected else inferred(model, spec, constants)  # what is rewritten is only run
        if sure is not None:
            assert {name: sure[name] for name in shapes} == shapes
            agreed.append(shapes)
        return shapes

    monkeypatch.setattr(simplify, "inferred", both)
    monkeypatch.setattr(simplify, "probe", probed)
    return agreed


def test_light_networks(light_model, compared):
    network.read(light_model)
    assert len(compared) <= 1


def test_every_graph(data, compared):
    for folder in ("models", "graphs"):
        for path in sorted((data / folder).glob("*.onnx")):
            try:
                network.read(path)
            except HeatcliError:
                continue
    assert len(compared) >= 20


def pooled(tmp_path, **attributes):
    nodes = [
        helper.make_node("MaxPool", ["x"], ["pooled"], kernel_shape=[3, 3], strides=[2, 2], **attributes),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("MatMul", ["flat", "w"], ["y"]),
    ]
    side = 3 if attributes.get("ceil_mode") else 2
    path = tmp_path / "pooled.onnx"
    weights = {"w": np.ones((side * side, 2), np.float32)}
    onnx.save(single.model(nodes, {"x": (1, 1, 6, 6)}, weights, "y"), path)
    return path


def test_plain_pools_need_no_run(tmp_path, compared, monkeypatch):
    network.read(pooled(tmp_path))
    assert len(compared) == 1
    monkeypatch.undo()
    monkeypatch.setattr(simplify, "probe", lambda *_: pytest.fail("run for its shapes"))
    assert network.read(pooled(tmp_path)).shapes["pooled"] == (1, 1, 2, 2)


def test_ceil_mode_is_run(tmp_path, compared):
    network.read(pooled(tmp_path, ceil_mode=1))
    assert not compared
