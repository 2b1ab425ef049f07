"""Forgetting: the stages, explainers whose layers and forward pass forget alike, and figures worked out by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import heatcli
from heatcli.errors import UnsupportedModel
from heatcli.evaluation import evaluate
from heatcli.evaluation.sanity import Stage, alike, forgetful, sanity, stages, unit
from tests import whole
from tests.evaluation import small
from tests.whole import End, node


@pytest.fixture
def explainer(tmp_path: Path) -> heatcli.Explainer:
    return heatcli.load(small.convolutional(tmp_path / "net.onnx"), preprocess="unit")


def deep(path: Path, layers: int) -> heatcli.Explainer:
    """A chain of dense layers, called d1 to dN from the picture up."""
    random = np.random.default_rng(0)
    nodes = [node("MatMul", f"{f'd{n}' if n else 'x'} w{n}", f"d{n + 1}") for n in range(layers)]
    constants = {f"w{n}": random.normal(size=(4, 4)).astype("float32") for n in range(layers)}
    whole.save(path, nodes, [End("x", [1, 4])], [End(f"d{layers}", [1, 4])], constants)
    return heatcli.load(path)


def test_stages_go_from_the_topmost_layer_to_all(tmp_path: Path):
    assert stages(deep(tmp_path / "a.onnx", 3)) == (Stage(1, "d3"), Stage(2, "d2"), Stage(3, "d1"))
    many = stages(deep(tmp_path / "b.onnx", 30))
    assert len(many) == 12
    assert many[0] == Stage(1, "d30")
    assert many[-1] == Stage(30, "d1")


def test_a_network_without_weights_has_no_stages(tmp_path: Path):
    file = whole.save(tmp_path / "a.onnx", [node("Relu", "x", "y")], [End("x", [1, 4])], [End("y", [1, 4])], {})
    with pytest.raises(UnsupportedModel, match="no weights"):
        stages(heatcli.load(file))


@pytest.mark.parametrize("stage", [Stage(1, "s"), Stage(2, "conv")])
def test_layers_and_forward_pass_forget_alike(explainer: heatcli.Explainer, tmp_path: Path, stage: Stage):
    (picture,) = small.pictures(tmp_path, 1)
    other = forgetful(explainer, stage, seed=2)
    before = explainer.explain(picture, target=0, method="lrp-epsilon", evidence="one")
    after = other.explain(picture, target=0, method="lrp-epsilon", evidence="one")
    assert before.score != pytest.approx(after.score, rel=1e-3)
    assert abs(after.ledger.error) < 1e-5  # the walk's weights fit the activations that it meets
    assert other.preprocessing == explainer.preprocessing


def test_sizes_that_the_file_leaves_open_and_layouts_stay(tmp_path: Path):
    explainer = heatcli.load(small.convolutional(tmp_path / "net.onnx", sides="side"), size=20, preprocess="unit")
    assert forgetful(explainer, Stage(1, "s")).network.input == explainer.network.input


def test_methods_that_share_out_start_with_one():
    assert unit({"method": "deep-taylor", "pool": "winner"})["evidence"] == "one"
    assert "evidence" not in unit({"method": "gradient"})


def test_maps_are_compared_by_size_whatever_their_sign():
    map = np.random.default_rng(0).normal(size=(8, 8))
    assert alike(map, -map) == pytest.approx((1, 1))


def test_means_leave_out_what_cannot_be_compared():
    nan = float("nan")
    found = sanity(
        "m", (Stage(1, "a"), Stage(2, "b")), [[(0.5, 0.3), (nan, nan)], [(0.1, 0.5), (nan, nan)], [(nan, nan)] * 2]
    )
    assert found.spearman[0] == pytest.approx(0.3)
    assert found.ssim[0] == pytest.approx(0.4)
    assert np.isnan([found.spearman[1], found.ssim[1]]).all()
    assert found.compared == (2, 0)


def test_the_gradient_of_a_linear_network_is_its_weights_before_and_after(tmp_path: Path):
    explainer = heatcli.load(small.linear(tmp_path / "net.onnx"), preprocess="unit")
    found = evaluate(explainer, small.pictures(tmp_path, 2), ["gradient"], target=1, checks=["sanity"], seed=4)
    (row,) = found.sanity
    (layer,) = [
        layer for layer in forgetful(explainer, row.stages[0], seed=4).network.layers if layer.family == "linear"
    ]
    maps = [np.abs(weights[:, 1].reshape(3, 28, 28).sum(axis=0)) for weights in (small.WEIGHTS, layer.weights)]
    places = [np.argsort(np.argsort(map, axis=None)) for map in maps]
    assert row.spearman == pytest.approx((np.corrcoef(*places)[0, 1],), abs=1e-3)
    assert row.compared == (2,)


def test_a_map_that_does_not_see_the_weights_does_not_change(explainer: heatcli.Explainer, tmp_path: Path):
    methods = {"blind": {"method": "deep-taylor", "rules": ("*=flat",)}, "seeing": {"method": "gradient-x-input"}}
    found = evaluate(explainer, small.pictures(tmp_path), methods, checks=["sanity"])
    blind, seeing = found.sanity
    assert blind.spearman == pytest.approx((1, 1), abs=1e-6)
    assert seeing.spearman[-1] < 0.9
