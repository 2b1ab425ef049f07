"""What several nodes write out is one layer, and its heatmap is that of any other spelling of the same function."""

from __future__ import annotations

import numpy as np
import pytest

import heatcli
from heatcli.network.layers import Gating, Linear, Moving, Network, Normalization
from tests.network.chain_table import ACTIVATION_CHAINS, GATINGS, NORMALISATION_CHAINS, QUANTISED, flat, written
from tests.network.test_operations import RANGE, proto_of

CHAINS = ACTIVATION_CHAINS | NORMALISATION_CHAINS
SEED = 5
PICTURE = np.random.default_rng(SEED).uniform(-0.9, 0.9, (1, 3, 6, 6)).astype("float32")


@pytest.fixture
def opened(tmp_path):
    """A function from a heading and a spelling to the explainer; the layers around are the same for all spellings."""

    def load(heading, spelling, **loading):
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.onnx"
        path.write_bytes(proto_of(CHAINS[heading][spelling], SEED).SerializeToString())
        return heatcli.load(path, range=RANGE, **loading)

    return load


def inner(network: Network):
    """Return the layers of a network between its first activation and its dense layer, moves left out."""
    return [layer for layer in network.layers[2:] if not isinstance(layer, Linear | Moving)]


@pytest.mark.parametrize("name", flat(ACTIVATION_CHAINS))
def test_one_activation(opened, name):
    heading, spelling = name.split(": ")
    layers = inner(opened(heading, spelling).network)
    assert [layer.family for layer in layers] == ["affine"] * (heading == "hard swish") + ["activation"]


@pytest.mark.parametrize("name", flat(NORMALISATION_CHAINS))
def test_one_normalisation(opened, name):
    heading, spelling = name.split(": ")
    (layer,) = inner(opened(heading, spelling).network)
    assert layer.family == ("attention" if heading == "Softmax" else "normalisation")
    assert layer.operation == (spelling if isinstance(layer, Normalization) else heading.split(" of ")[0])


@pytest.mark.parametrize("method", ["deep-taylor", "lrp-epsilon", "gradient"])
@pytest.mark.parametrize("heading", [heading for heading, spellings in CHAINS.items() if len(spellings) > 1])
def test_spellings_have_one_heatmap(opened, heading, method):
    settings = {} if method == "gradient" else {"evidence": "one"}
    maps = {
        spelling: opened(heading, spelling, precision="float64").explain(PICTURE, target=1, method=method, **settings)
        for spelling in CHAINS[heading]
    }
    expected = next(iter(maps.values())).relevance
    largest = np.abs(expected).max()
    assert largest > 0
    for spelling, found in maps.items():
        assert np.abs(found.relevance - expected).max() <= 1e-4 * largest, spelling


@pytest.mark.parametrize("method", ["deep-taylor", "gradient"])
@pytest.mark.parametrize("name", flat(CHAINS))
def test_engines_agree(opened, name, method):
    settings = {} if method == "gradient" else {"evidence": "one"}
    one, other = (
        opened(*name.split(": "), engine=engine).explain(PICTURE, target=1, method=method, **settings)
        for engine in ("numpy", "compiled")
    )
    assert np.abs(one.relevance - other.relevance).max() <= 1e-4 * np.abs(one.relevance).max()


@pytest.mark.parametrize("name", GATINGS)
def test_signal_of_a_product(tmp_path, name):
    signal, example = GATINGS[name]
    path = tmp_path / "model.onnx"
    path.write_bytes(proto_of(example, SEED).SerializeToString())
    network = heatcli.load(path, range=RANGE).network
    gate = next(layer for layer in network.layers if isinstance(layer, Gating))
    assert (None if gate.signal is None else gate.inputs[gate.signal]) == signal


def test_a_sum_with_the_own_mean_stays_a_sum(tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(proto_of(written("m = GlobalAveragePool c; y = Add c m"), SEED).SerializeToString())
    assert [layer.operation for layer in inner(heatcli.load(path, range=RANGE).network)] == ["GlobalAveragePool", "Add"]


def test_rounding_between_the_steps_keeps_them_together(tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(proto_of(QUANTISED, SEED).SerializeToString())
    (layer,) = inner(heatcli.load(path, range=RANGE).network)
    assert layer.operation == "LayerNorm"
