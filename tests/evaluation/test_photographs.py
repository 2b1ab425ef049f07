"""GoogLeNet on photographs: maps find the object and what the network needs, better than chance and the centre do."""

from __future__ import annotations

from pathlib import Path

import pytest

import heatcli
from heatcli.evaluation import Evaluation, assigned, evaluate, read_boxes

FEW = ("n01518878_ostrich", "n01641577_bullfrog", "n02279972_monarch", "n04398044_teapot")


@pytest.fixture(scope="module")
def found(data: Path) -> Evaluation:
    explainer = heatcli.load(
        data / "models" / "bvlc_googlenet_opset8.onnx", labels=data / "imagenet_synset_words.txt", threads=1
    )
    pictures = [str(data / "photos" / f"{name}.JPEG") for name in FEW]
    objects = assigned(read_boxes(data / "boxes" / "photo_boxes.json"), pictures).by_picture
    assert len(objects) == len(FEW)
    checks = ("conservation", "perturbation", "localisation")
    return evaluate(explainer, pictures, ("deep-taylor", "gradient-x-input"), checks=checks, objects=objects, jobs=2)


def test_the_account_closes_with_the_biases(found: Evaluation):
    taylor, gradient = found.conservation
    assert taylor.positive
    assert taylor.closes
    assert 0.05 < taylor.biases < 0.3
    assert not gradient.positive
    assert not gradient.conservative


def test_what_deep_taylor_names_is_what_the_network_needs(found: Evaluation):
    differences = {entry.name: entry.difference for entry in found.perturbation}
    assert differences["deep-taylor"] > max(differences[name] for name in ("gradient-x-input", "random", "centre"))
    assert differences["deep-taylor"] > 0.25
    assert found.regions == 196


def test_deep_taylor_points_at_the_object(found: Evaluation):
    located = {entry.name: entry for entry in found.localisation}
    taylor = located["deep-taylor"]
    assert taylor.hits == taylor.pictures == 4
    assert taylor.inside > max(1.3 * taylor.area, located["random"].inside, located["centre"].inside)
    assert found.window == 9
    assert found.unnamed == 0  # the network is right, and the boxes bear the WordNet id of its class
